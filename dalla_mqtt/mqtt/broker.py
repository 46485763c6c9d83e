"""The embedded broker of the demonstration (extra `demo`): MQTT 3.1.1 on the loopback, gone when it is left."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from dalla_mqtt.errors import ConfigError

_START_S = 10.0
_STOP_S = 1.0


class EmbeddedBroker:
    """A broker for anybody on this machine. `elsewhere`: at any free port where `port` is taken; `port` says which.

    Raises ConfigError where the port is taken or the extra is not installed.
    """

    def __init__(self, port: int, *, elsewhere: bool) -> None:
        self.port = free_port(port, elsewhere=elsewhere)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="broker", daemon=True)

    def __enter__(self) -> Self:
        try:
            from amqtt.broker import Broker  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise ConfigError("the demonstration needs a broker of its own: pip install 'dalla-mqtt[demo]'") from error
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        self._thread.start()
        self._broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            },
            loop=self._loop,
        )
        _keep_to_subscribers(self._broker)
        asyncio.run_coroutine_threadsafe(self._broker.start(), self._loop).result(_START_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """Shut down, but not for longer than _STOP_S: amqtt waits for ever for a client that leaves just then."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._broker.shutdown(), _STOP_S)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _keep_to_subscribers(broker: Any) -> None:  # noqa: ANN401  # an extra: need not be there where types are checked
    """Mend amqtt 0.12, which tells each client that connects what it keeps for the subscriptions of all others."""
    tell = broker._publish_retained_messages_for_subscription  # noqa: SLF001  # there is no other place to mend it

    async def tell_subscribers(subscription: tuple[str, int], session: Any) -> None:  # noqa: ANN401  # the same
        subscribers = broker._subscriptions.get(subscription[0], ())  # noqa: SLF001  # the same
        if any(other.client_id == session.client_id for other, _ in subscribers):
            await tell(subscription, session)

    broker._publish_retained_messages_for_subscription = tell_subscribers  # noqa: SLF001  # the same


def free_port(wanted: int, *, elsewhere: bool) -> int:
    """`wanted`, a port of this machine; or, if `elsewhere`, any other where it is taken. Raises ConfigError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            if not elsewhere:
                raise ConfigError(f"port {wanted} is taken; another one, or none, would do") from error
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
