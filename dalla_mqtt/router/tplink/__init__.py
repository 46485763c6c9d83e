"""Every other TP-Link model, by the client classes of tplinkrouterc6u, in a process of their own.

That library bounds neither the time nor the size of an answer, and raises whatever a spoilt one makes of it. A process
can be interrupted wherever it is, holds no more memory than it is allowed, and if it dies only a poll is lost. It
also keeps what is under the GPL out of this one: see guest.py, which is the only way in.
"""

from __future__ import annotations

import difflib
import logging
import os
import subprocess
import sys
from importlib.util import find_spec
from multiprocessing.connection import Connection, Pipe

import msgspec

from dalla_mqtt import errors
from dalla_mqtt.config import RouterConfig
from dalla_mqtt.errors import ArchiveError, BadReply, ConfigError, DallaError, LimitRefused, RouterUnreachable
from dalla_mqtt.router import Memory
from dalla_mqtt.router.tplink.words import LEAVE_S, Answer, Order
from dalla_mqtt.usage.limits import Limited, Limits
from dalla_mqtt.usage.reading import Reading

_log = logging.getLogger(__name__)

_PATIENCE = 3  # polls in a row after which a class that was found is one no more
_REST = 60  # polls in vain until classes that did not fit are tried again: each try may count as one for the router
_START_S = 60.0  # a Raspberry Pi needs seconds to load the library
_SLACK_S = 1.0  # what comes on top of a poll and its logout, before the process is taken to hang
_DYING_S = 0.2
_INSTALL = "pip install 'dalla-mqtt[tplink]'"


class Tplink:
    """Polls by the class that the configuration names, or one that is found once, then remembered in `memory`.

    The whole poll is bounded by the time-out of the configuration, the logout after it by LEAVE_S. Raises ConfigError.
    """

    def __init__(self, config: RouterConfig, memory: Memory | None = None) -> None:
        if find_spec("tplinkrouterc6u") is None:
            raise ConfigError(f"router.driver: tplink needs tplinkrouterc6u: {_INSTALL}")
        self._config = config
        self._memory = memory
        self._key = f"router.client {config.url}"
        self._guest = _Guest()
        self._client = config.client
        if config.client is not None and config.client not in self._guest.names:
            self.leave()
            raise ConfigError(_unknown(config.client, self._guest.names))
        if config.client is None and memory is not None:
            remembered = memory.recall(self._key)
            self._client = remembered if remembered in self._guest.names else None
        self._unfit: tuple[str, ...] = ()  # classes that did not understand this router
        self._misses = 0

    def poll(self) -> Reading:
        """See Router. At most one login, also while the class is looked for."""
        config = self._config
        answer = self._guest.ask(
            Order(
                config.url,
                config.username,
                config.password.value,
                config.timeout,
                enable_statistics=config.enable_statistics,
                client=self._client,
                unfit=self._unfit,
            )
        )
        if answer.reading is None:
            error: DallaError = getattr(errors, answer.error)(answer.text)
            self._missed(answer.client, error)
            raise error
        self._misses = 0
        if answer.client is not None and self._client is None:
            self._found(answer.client)
        return answer.reading

    def enforce(self, limits: Limits, *, dry_run: bool = False) -> Limited:  # noqa: ARG002
        """See Router. The library has no words for it."""
        if limits.throttled or limits.blocked:
            raise LimitRefused("`router.driver: tplink` can limit nobody: set `at_quota: notify`")
        return Limited()

    def leave(self) -> None:
        """See Router."""
        self._guest.leave()

    def _found(self, client: str) -> None:
        _log.info("the router is one for %s of tplinkrouterc6u: router.client may name it", client)
        self._client, self._unfit = client, ()
        if self._memory is not None:
            try:
                self._memory.keep(self._key, client)
            except ArchiveError as error:
                _log.warning("%s is not remembered: %s", client, error)

    def _missed(self, client: str | None, error: DallaError) -> None:
        """Think about another class, where none is named. Looking costs no login while somebody else is logged in."""
        if self._config.client is not None or isinstance(error, RouterUnreachable):
            return
        self._misses += 1
        if self._client is not None and self._misses >= _PATIENCE:
            _log.debug("%s of tplinkrouterc6u does no more: a class is looked for anew", self._client)
            self._client, self._misses = None, 0
        elif self._client is None and client is not None and isinstance(error, BadReply):
            self._unfit, self._misses = (*self._unfit, client), 0
        elif self._misses >= _REST:
            self._unfit, self._misses = (), 0


class _Guest:
    """The process in which the library works; started anew where it has ended. `names`: the classes it knows."""

    def __init__(self) -> None:
        self._held: tuple[subprocess.Popen[bytes], Connection] | None = None
        self.names: tuple[str, ...] = ()
        try:
            self._start()
        except (EOFError, OSError) as error:
            raise ConfigError(f"tplinkrouterc6u cannot be loaded: {self._end()}; {_INSTALL}") from error

    def ask(self, order: Order) -> Answer:
        """Raises RouterUnreachable where no answer comes in time, or BadReply where the process dies of one."""
        try:
            line = self._held[1] if self._held else self._start()
            line.send_bytes(msgspec.json.encode(order))
            if line.poll(order.timeout_s + LEAVE_S + _SLACK_S):
                return msgspec.json.decode(line.recv_bytes(), type=Answer)
        except (EOFError, OSError) as error:
            raise BadReply(f"tplinkrouterc6u did not survive the router's answer: {self._end()}") from error
        self._end()
        raise RouterUnreachable("the router's answer did not end in time")

    def leave(self) -> None:
        """Let it log out, if it is in the middle of a poll, and end it."""
        if self._held is not None:
            self._held[0].terminate()
            self._end(LEAVE_S)

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        # no proxy and no .netrc stands between a daemon and its router, and it needs no secret but what orders hold
        environment = {
            key: value
            for key, value in os.environ.items()
            if not (key.lower().endswith("_proxy") or key.startswith("DALLA_"))
        }
        process = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-m", "dalla_mqtt.router.tplink.guest", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the daemon, which passes it on
            env={**environment, "NETRC": os.devnull},
        )
        theirs.close()
        self._held = process, ours
        if not ours.poll(_START_S):
            raise EOFError
        self.names = msgspec.json.decode(ours.recv_bytes(), type=tuple[str, ...])
        return ours

    def _end(self, patience_s: float = _DYING_S) -> str:
        """Be rid of the process, by force where it does not end by itself; how it has ended."""
        held, self._held = self._held, None
        if held is None:
            return "it was told to end"
        try:
            code = held[0].wait(patience_s)
        except subprocess.TimeoutExpired:
            held[0].kill()
            code = held[0].wait()
        return f"its process ended with {code}"


def _unknown(name: str, names: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    mend = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    return f"router.client: tplinkrouterc6u has no {name}; {mend}"
