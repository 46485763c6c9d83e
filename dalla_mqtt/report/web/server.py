"""The page's socket and its threads. Who asks slowly, or only holds a connection, keeps nobody else waiting."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context

from dalla_mqtt.config import WebConfig
from dalla_mqtt.errors import CommandRefused
from dalla_mqtt.report.web.site import Site
from dalla_mqtt.usage.commands import Command

_log = logging.getLogger(__name__)

_STOP_S = 0.8

Sites = Callable[[], Mapping[str, Site | None]]


class Server:
    """Serves all sites that joined, from the first that comes until the last has left. For any thread.

    `names`: of all that may join, where there are several. Then `/` lists them, and the page of each is at
    `/site/<name>/`. Without them there is one site, whose page is at `/`.
    """

    def __init__(self, web: WebConfig, names: Iterable[str] = ()) -> None:
        self._web = web
        self._names = tuple(names)
        self._lock = threading.Lock()
        self._sites: Mapping[str, Site | None] = dict.fromkeys(self._names)  # not changed, but replaced: for any thread
        self._here: set[str] = set()
        self._serving: _Serving | None = None

    @property
    def port(self) -> int | None:
        """Where it listens; None where it does not."""
        return self._serving.port if self._serving else None

    def add(self, site: Site) -> None:
        """Serve it, too; returns at once. The first has the socket opened: where that cannot be, it is told once."""
        with self._lock:
            first = not self._here
            self._here.add(site.name)
            self._sites = {**self._sites, site.name: site}
            if first:
                Context().run(self._open)  # what is told of it is no single site's

    def remove(self, site: Site) -> None:
        """Take no more orders for it, and tell what was known last. With the last of all, every connection is closed.

        No answer under way is waited for long.
        """
        with self._lock:
            if self._sites.get(site.name) is not site:
                return
            self._here.remove(site.name)
            self._sites = {**self._sites, site.name: site._replace(command=_refuse)}
            if not self._here:
                self._sites = dict.fromkeys(self._names)
                if self._serving is not None:
                    self._serving.stop()
                    self._serving = None

    def _open(self) -> None:
        host, port = self._web.host, self._web.port
        try:
            listening = _listen(host, port)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            _log.warning("there is no page: cannot listen on %s: %s; set web.listen", _shown(host, port), why)
            return
        self._serving = _Serving(self._web, listening, lambda: self._sites, several=bool(self._names))
        _log.info("the page is at http://%s/", _shown(host, self._serving.port))


class _Serving:
    """A socket that listens, and the thread that serves there."""

    def __init__(self, web: WebConfig, listening: socket.socket, sites: Sites, *, several: bool) -> None:
        self.port: int = listening.getsockname()[1]
        self._web = web
        self._sites = sites
        self._several = several
        self._lock = threading.Lock()  # for whether it stops
        self._stopping = False
        self._wake: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._serve, args=(listening,), name="page", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            self._wake()
        self._thread.join(_STOP_S)

    def _serve(self, listening: socket.socket) -> None:
        with listening:
            from dalla_mqtt.report.web.app import App  # noqa: PLC0415  # costs 60 ms: the first poll goes ahead
            from dalla_mqtt.report.web.channel import Loop  # noqa: PLC0415

            app = App(self._web, self._sites, several=self._several)
            loop = Loop(app, listening)
            with self._lock:
                self._wake = loop.wake
            while not self._stopping:
                loop.turn()
            with self._lock:
                self._wake = lambda: None
            loop.end()


def _refuse(_: Command) -> None:
    raise CommandRefused("this site is not counted just now: the log of dalla-mqtt says why")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
