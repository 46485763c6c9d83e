"""Whether a daemon is well, asked of its page: for whoever restarts a program that hangs."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from dalla_mqtt.config import settings_file
from dalla_mqtt.config.settings import read_settings
from dalla_mqtt.config.values import parse_listen
from dalla_mqtt.log import printable

_TIMEOUT_S = 5.0  # for each step of the answer; who asks has a bound for all of it
_LONGEST = 10_000  # bytes
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where who listens everywhere is found


class _Health(Struct):
    """What is wanted of an answer."""

    status: str
    text: str


def run_health(file: Path | None, environment: Mapping[str, str]) -> bool:
    """Say how the daemon fares that runs with these settings; whether all is well.

    Only `web.listen` is read of them. Raises ConfigError where that has no address to ask at.
    """
    host, port = _page(file, environment)
    try:
        well, health = _ask(host, port)
    except (OSError, http.client.HTTPException) as error:
        print(f"the page at port {port} does not answer: {type(error).__name__}")  # noqa: T201  # what the command is for
        return False
    except msgspec.MsgspecError:
        print(f"what answers at port {port} is not dalla-mqtt")  # noqa: T201  # the same
        return False
    print(f"{printable(health.status)}: {printable(health.text)}")  # noqa: T201  # the same
    return well


def _page(file: Path | None, environment: Mapping[str, str]) -> tuple[str, int]:
    """The address at which the page is found from this machine."""
    settings, places = read_settings(settings_file(file), environment, {})
    listen = str(settings.web.listen)
    if listen.lower() in ("off", "false"):
        raise places.error("web.listen", "there is no page to ask: listen on 127.0.0.1:8765, where nobody else comes")
    host, port = places.parse("web.listen", parse_listen, listen)
    if port == 0:
        raise places.error("web.listen", "nobody knows which port was free: name one")
    return _ANYWHERE.get(host, host), port


def _ask(host: str, port: int) -> tuple[bool, _Health]:
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status == http.HTTPStatus.OK, msgspec.json.decode(answer.read(_LONGEST), type=_Health)
    finally:
        connection.close()
