"""The WebSocket API of Home Assistant: one question, one answer. What comes is not believed until it is parsed."""

from __future__ import annotations

import re
import time
from typing import Any, Self, TypeVar

import msgspec
from msgspec import Struct

from dalla_mqtt.config import Secret
from dalla_mqtt.config.values import split_url
from dalla_mqtt.errors import ConfigError, HomeAssistantError

T = TypeVar("T")

_OLDEST = (2024, 11)
_OPEN_S, _ANSWER_S, _CLOSE_S = 10, 60, 1
_LARGEST = 2**25  # bytes of an answer: that of a very large house to `config/entity_registry/list` is half of it
_LONGEST_TEXT = 200
_EXAMPLE = "Home Assistant's address, such as http://homeassistant.local:8123"


class _Error(Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Answer(Struct, frozen=True):
    type: str
    id: int | None = None
    success: bool = False
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error = _Error()
    ha_version: str = ""


def api_of(url: str) -> str:
    """Where the API of the Home Assistant at `url` is, which may be below a path of a proxy. Raises ConfigError."""
    try:
        parts = split_url(url, ("http", "https"), _EXAMPLE)
        if parts.query or parts.fragment:
            raise ValueError(f"expected {_EXAMPLE}")
    except ValueError as error:
        raise ConfigError(f"--home-assistant: {error}") from error
    scheme = "wss" if parts.scheme == "https" else "ws"
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/api/websocket"


class Connection:
    """A Home Assistant that lets us in; `version` is its year and month. Raises ConfigError and HomeAssistantError."""

    def __init__(self, url: str, token: Secret) -> None:
        self._url = url
        api = api_of(url)
        try:
            from websockets.exceptions import InvalidStatus, WebSocketException  # noqa: PLC0415  # an optional extra
            from websockets.sync.client import connect  # noqa: PLC0415
        except ImportError as error:
            mend = "install it beside dalla-mqtt: pip install 'websockets>=15'"
            raise ConfigError(f"--home-assistant needs the Python package websockets; {mend}") from error
        self._broken = (WebSocketException, OSError, EOFError)  # OSError: TLS and time-outs too
        self._asked = 0
        try:
            self._socket = connect(api, open_timeout=_OPEN_S, close_timeout=_CLOSE_S, max_size=_LARGEST, proxy=None)
        except InvalidStatus as error:
            status = error.response.status_code
            mend = "is that its address, and does what stands before it let websockets through?"
            raise HomeAssistantError(f"{url}: there is no Home Assistant: HTTP {status} for {api}; {mend}") from error
        except self._broken as error:
            mend = "is it running, and is that its address?"
            raise HomeAssistantError(f"{url}: Home Assistant cannot be reached: {_short(error)}; {mend}") from error
        try:
            self.version = self._enter(token)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, what: str, kind: type[T], **about: Any) -> T:  # noqa: ANN401  # what JSON can hold
        """The result of the command `what`, which is of type `kind`. Raises HomeAssistantError."""
        self._asked += 1
        self._send({"id": self._asked, "type": what, **about})
        deadline = time.monotonic() + _ANSWER_S
        while (answer := self._hear(deadline)).type != "result" or answer.id != self._asked:
            continue  # of something that we did not ask
        if answer.success:
            return self._parse(answer.result, kind)
        if answer.error.code == "unauthorized":
            mend = "make the token as a user who is an administrator"
            raise HomeAssistantError(f"{self._url}: the token is not one of an administrator: {mend}")
        raise HomeAssistantError(f"{self._url}: Home Assistant refused {what}: {_short(answer.error.message)}")

    def _enter(self, token: Secret) -> tuple[int, int]:
        deadline = time.monotonic() + _ANSWER_S
        hello = self._hear(deadline)
        version = re.match(r"(\d{4})\.(\d{1,2})\.", hello.ha_version)
        if hello.type != "auth_required" or version is None:
            raise HomeAssistantError(f"{self._url}: what answers there is not Home Assistant")
        found = int(version[1]), int(version[2])
        if found < _OLDEST:
            oldest = "{}.{}".format(*_OLDEST)
            raise HomeAssistantError(
                f"{self._url}: Home Assistant {version[1]}.{version[2]} is too old: {oldest} or newer is needed"
            )
        self._send({"type": "auth", "access_token": token.value})
        if self._hear(deadline).type != "auth_ok":
            mend = "make a long-lived one on your profile's page, under Security"
            raise HomeAssistantError(f"{self._url}: Home Assistant refused the token: {mend}")
        return found

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.send(msgspec.json.encode(message).decode())
        except self._broken as error:
            raise self._lost(error) from error

    def _hear(self, deadline: float) -> _Answer:
        try:
            if (left := deadline - time.monotonic()) <= 0:  # what never ends would have an answer each time
                raise TimeoutError
            text = self._socket.recv(left)
        except self._broken as error:
            raise self._lost(error) from error
        return self._parse(text, _Answer)

    def _parse(self, text: str | bytes | msgspec.Raw, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(text, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise HomeAssistantError(f"{self._url}: an answer that cannot be used: {_short(error)}") from error

    def _lost(self, error: Exception) -> HomeAssistantError:
        why = "no answer in time" if isinstance(error, TimeoutError) else _short(error)
        return HomeAssistantError(f"{self._url}: the connection to Home Assistant is lost: {why}; hand over once more")


def _short(text: object) -> str:
    return str(text)[:_LONGEST_TEXT]
