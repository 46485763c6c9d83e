"""One question to the router's web server, and its answer: bounded in time and in size, whatever the answer is."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import BadStatusLine, RemoteDisconnected
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from msgspec import Struct
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from dalla_mqtt.errors import BadReply, DallaError, RouterUnreachable
from dalla_mqtt.log import printable

_log = logging.getLogger(__name__)

_BODY_LIMIT = 2 * 2**20  # 256 rows are 52 kB; what is larger is not statistics
_LAST_TIMEOUT_S = 1.0  # a stopping daemon has two seconds
_SESSION = re.compile(r"JSESSIONID=([0-9A-Za-z]{1,128})")
_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)


class Answer(Struct, frozen=True):
    """What came back. `text` is read where the status is 200, else empty.

    `whole` is False where the chunks did not end as they should: the text may be cut then. `cookie` is the JSESSIONID
    that the answer sets, if it does; the router takes one back by setting `deleted`.
    """

    status: int
    text: str
    cookie: str | None
    whole: bool


class Exchange:
    """One request at a time with the router at `url`; `timeout_s` is for each whole answer, its header included.

    `keep`: use one connection for several requests, until `close`. The login of some firmware needs that; other
    firmware leaks the size line of a chunk into the next answer then, after which it is not done any more.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self.keep = False
        self._used = False  # whether the open connection has brought an answer
        self._leaks = False
        self._last_call = False
        self._line = _Line()
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands between a daemon and its router; a quarter of the CPU saved
        # requests follows a redirect half-way even when told not to, and reads a body without end meanwhile
        self._session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]  # noqa: ARG005
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _WatchedAdapter(self._line))
        self._session.headers = {
            "Content-Type": "text/plain",
            "Referer": f"{self.url}/mainFrame.htm",  # without it the router answers 403
            "Accept-Encoding": "identity",
        }

    @property
    def ends(self) -> tuple[str, ...]:
        """The addresses of this machine and of the router on the connection that was last made; none before."""
        return self._line.ends

    def get(self, path: str, headers: Mapping[str, str]) -> Answer:
        """Raises RouterUnreachable or BadReply, as `post` does."""
        return self._ask("GET", path, b"", headers, self.timeout_s)

    def post(self, path: str, body: bytes, headers: Mapping[str, str], *, last: bool = False) -> Answer:
        """The answer, of any status. Raises RouterUnreachable where none came whole, BadReply where it is too large.

        `last`: the request may be made after the last call, too, and is not waited for long.
        """
        if self._last_call and not last:
            raise RouterUnreachable("the router is not asked any more: the program is ending")
        return self._ask("POST", path, body, headers, _LAST_TIMEOUT_S if last else self.timeout_s)

    def close(self) -> None:
        """End the kept connection, if there is one."""
        self._used = False
        self._session.close()

    def keep_again(self) -> None:
        """Believe that the router does not leak after all: it may be that it wants one connection for all."""
        self._leaks = False

    def last_call(self) -> None:
        """Begin no request from now on but what is posted as the last. For other threads."""
        self._last_call = True

    def hang_up(self) -> None:
        """Cut the request that is under way short: it fails at once. For other threads."""
        self._line.cut()

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        keep = self.keep and not self._leaks
        self._line.begin()
        watch = threading.Timer(timeout_s, self._line.cut)
        watch.daemon = True
        watch.start()
        try:
            with self._session.request(
                method,
                f"{self.url}{path}",
                data=body,
                headers={**headers, "Connection": "keep-alive" if keep else "close"},
                timeout=timeout_s,
                stream=True,
                allow_redirects=False,
            ) as response:
                answer = self._answer(response)
            if not keep:
                self.close()
        except _FAILURES as error:
            self._forget_connection(error)
            reason = "it did not end in time" if self._line.was_cut else _reason(error)
            raise RouterUnreachable(f"no whole answer from the router at {self.url}: {reason}") from error
        except BadReply:
            self.close()
            raise
        finally:
            watch.cancel()
        self._used = keep
        return answer

    def _answer(self, response: requests.Response) -> Answer:
        cookie = _SESSION.search(response.headers.get("Set-Cookie", ""))
        if response.status_code != requests.codes.ok:
            return Answer(response.status_code, "", cookie and cookie[1], whole=True)
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        content, whole = _read(response.raw, chunked=chunked)
        if self._line.was_cut:
            raise TimeoutError
        text = content.decode("utf-8", "replace")
        return Answer(response.status_code, text, cookie and cookie[1], whole)

    def _forget_connection(self, error: Exception) -> None:
        cause = _innermost(error)
        garbled = isinstance(cause, BadStatusLine) and not isinstance(cause, RemoteDisconnected)
        if self._used and garbled and not self._leaks:
            _log.debug("the router garbles answers on a kept connection: each request gets its own from now on")
            self._leaks = True
        self.close()


def _read(raw: Any, *, chunked: bool) -> tuple[bytes, bool]:  # noqa: ANN401  # urllib3 names no type that has read1
    """The body, and whether it ended as it should. Some firmware ends its chunks wrongly: what came of them may do."""
    body = bytearray()  # and no list of pieces, of which each may be a byte
    try:
        while piece := raw.read1(2**16):
            body += piece
            if len(body) > _BODY_LIMIT:
                raise BadReply(f"the router's answer is larger than {_BODY_LIMIT} bytes")
    except (urllib3.exceptions.HTTPError, OSError):
        if not chunked:
            raise
        return bytes(body), False
    return bytes(body), True


class _Line:
    """The connection that is in use, to be cut from another thread."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self.was_cut = False  # whether what came on it is not to be believed
        self.ends: tuple[str, ...] = ()

    def begin(self) -> None:
        """Another request, on the connection that is open or on a new one."""
        self.was_cut = False

    def use(self, connected: socket.socket) -> None:
        """From now on it is this one."""
        self._socket = connected
        with suppress(OSError):  # it is closed already
            self.ends = (connected.getsockname()[0], connected.getpeername()[0])
        if self.was_cut:
            self.cut()

    def cut(self) -> None:
        """Whoever waits for it waits no longer."""
        self.was_cut = True
        if self._socket is not None:
            with suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)


class _WatchedAdapter(HTTPAdapter):
    """Tells `line` of each connection: the time-out of requests is for each read, and not for the answer."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # as the base has it
        super().init_poolmanager(*args, **kwargs)
        pools = {scheme: partial(_watched, pool, self._line) for scheme, pool in _POOLS.items()}
        self.poolmanager.pool_classes_by_scheme = pools


def _telling(plain: Any) -> type:  # noqa: ANN401  # of urllib3, which has one for each scheme
    """Connections that tell the line, which they are made with, when they are open."""

    def begin(connection: Any, line: _Line, **about: Any) -> None:  # noqa: ANN401  # made when the program runs
        plain.__init__(connection, **about)
        connection.line = line

    def connect(connection: Any) -> None:  # noqa: ANN401
        plain.connect(connection)
        connection.line.use(connection.sock)

    return type("_Connection", (plain,), {"__init__": begin, "connect": connect})


_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
_CONNECTIONS = {pool: _telling(pool.ConnectionCls) for pool in _POOLS.values()}  # once: a class takes 2 KiB


def _watched(pool: type[HTTPConnectionPool], line: _Line, *where: Any, **how: Any) -> HTTPConnectionPool:  # noqa: ANN401
    """A pool, of connections that tell `line` when they are open."""
    made = pool(*where, **how)
    made.ConnectionCls = partial(_CONNECTIONS[pool], line)  # type: ignore[assignment]
    return made


def _innermost(error: Exception) -> Exception:
    """The first cause, of those that have to do with this exchange and not with one before."""
    while isinstance(cause := error.__cause__ or error.__context__, Exception) and not isinstance(cause, DallaError):
        error = cause
    return error


def _reason(error: Exception) -> str:
    """The innermost cause in few words: requests wraps urllib3 wraps OSError. It may quote what the router sent."""
    error = _innermost(error)
    return printable(" ".join(str(error).split())) or type(error).__name__
