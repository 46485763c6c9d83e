"""The TP-Link Archer C20 with the plain-cookie login, and its siblings of that firmware generation.

Source: docs/router.md; captures of three independent units, 2016 to 2026.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterable
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy

import requests
import urllib3

from dalla_mqtt.errors import AdminBusy, BadReply, DallaError, LoginRefused, RouterUnreachable
from dalla_mqtt.router.cgi import CALL, GET, LIST, Block, Reply, Section, decode, encode
from dalla_mqtt.usage.reading import Host, Mac, Reading, RouterInfo, Row

_log = logging.getLogger(__name__)

_STATISTICS = (Section(GET, "STAT_CFG"), Section(LIST, "STAT_ENTRY"))
_EVERYTHING = (
    *_STATISTICS,
    Section(LIST, "LAN_HOST_ENTRY", ("leaseTimeRemaining", "MACAddress", "hostName", "IPAddress")),
    Section(GET, "IGD_DEV_INFO", ("modelName", "softwareVersion", "hardwareVersion", "upTime")),
)
_LOGOUT = (Section(CALL, "/cgi/logout"),)

_CREDENTIAL_LENGTH = 15  # this firmware compares no more of the user name and of the password
_BODY_LIMIT = 8 * 2**20  # 256 rows are 52 kB; what is larger is not statistics
_COUNTER_LIMIT = 2**52  # 11 years at 100 Mbit/s: what is larger is not a counter, and sums must stay below 2**63
_NO_MAC = "00:00:00:00:00:00"
_NAME_LENGTH = 64  # a label in DNS has 63
_LOGOUT_TIMEOUT_S = 1.0  # a stopping daemon has two seconds
_BAD_CREDENTIALS = range(71230, 71234)  # user name, user type, argument, password: the router's err.js
_NOT_LOGGED_IN = 71145
_LONGEST_REST = 64  # polls: the longest that a batch is not asked again after it was refused


class ArcherC20:
    """Polls with one request and logs out with another, each on a connection of its own.

    `url` is what the owner types into a browser; user name and password are cut to 15 characters as this firmware does.
    `timeout_s` is for each whole answer.
    """

    def __init__(self, url: str, username: str, password: str, timeout_s: float) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._rest = 0  # polls for which the batch is not asked
        self._last_rest = 0
        self._logged_in = False
        pair = f"{username[:_CREDENTIAL_LENGTH]}:{password[:_CREDENTIAL_LENGTH]}"
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands between a daemon and its router; a quarter of the CPU saved
        # requests follows a redirect half-way even when told not to, and reads a body without end meanwhile
        self._session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]  # noqa: ARG005
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers = {
            "Content-Type": "text/plain",
            "Referer": f"{self._url}/mainFrame.htm",  # without it the router answers 403
            # never quoted or encoded: the router compares the text
            "Cookie": f"Authorization=Basic {base64.b64encode(pair.encode()).decode()}",
            "Connection": "close",  # v4 firmware leaks a chunk size line into the next answer of a kept connection
            "Accept-Encoding": "identity",
        }

    def poll(self) -> Reading:
        """See Router. One batch; where the router refuses the batch, the classic pair of statistics alone."""
        self._logged_in = True
        try:
            return _reading(self._statistics())
        except (AdminBusy, LoginRefused):
            self._logged_in = False  # there is no session of ours to leave, and asking would count as one more try
            raise
        finally:
            self.leave()

    def leave(self) -> None:
        """See Router."""
        if not self._logged_in:
            return
        self._logged_in = False
        try:
            self._ask(_LOGOUT, min(self._timeout_s, _LOGOUT_TIMEOUT_S))
        except DallaError as error:
            _log.debug("the logout was not answered: %s", error)

    def _statistics(self) -> tuple[Block, ...]:
        refusal = 0
        if self._rest:
            self._rest -= 1
        else:
            reply = self._ask(_EVERYTHING, self._timeout_s)
            if not reply.error:
                self._last_rest = 0
                return reply.blocks
            refusal = reply.error
        pair = self._ask(_STATISTICS, self._timeout_s)
        if pair.error:
            raise BadReply(f"the router refused to tell its statistics: [error]{pair.error}")
        if refusal:
            self._rest_from_batch(refusal)
        return pair.blocks

    def _rest_from_batch(self, refusal: int) -> None:
        """Do without host names and uptime for some polls, ever more of them: a router may refuse once, or always."""
        if not self._last_rest:
            _log.warning("the router tells its statistics, but not names and uptime with them: [error]%d", refusal)
        self._rest = self._last_rest = min(max(1, 2 * self._last_rest), _LONGEST_REST)

    def _ask(self, sections: tuple[Section, ...], timeout_s: float) -> Reply:
        query, body = encode(sections)
        reply = decode(self._post(f"{self._url}/cgi?{query}", body, timeout_s))
        if reply.error in _BAD_CREDENTIALS:
            raise LoginRefused(f"the router refused the user name or the password: [error]{reply.error}")
        if reply.error == _NOT_LOGGED_IN:
            raise AdminBusy("the router ended the session: another administrator has logged in")
        return reply

    def _post(self, url: str, body: bytes, timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        try:
            with self._session.post(url, body, timeout=timeout_s, stream=True, allow_redirects=False) as response:
                _raise_for_status(response.status_code)
                return _read(response.raw, deadline).decode("utf-8", "replace")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise RouterUnreachable(f"no whole answer from the router at {self._url}: {_reason(error)}") from error


def _raise_for_status(status: int) -> None:
    if status == requests.codes.ok:
        return
    if status == requests.codes.unauthorized:
        raise LoginRefused("the router refused the user name or the password: HTTP 401")
    if status in (requests.codes.server_error, requests.codes.not_acceptable):
        raise AdminBusy(f"another administrator is logged in to the router, or the password is wrong: HTTP {status}")
    if status == requests.codes.forbidden:
        raise BadReply("the router does not know itself by the address in router.url: HTTP 403")
    raise BadReply(f"the router answered HTTP {status}")


def _read(raw: urllib3.response.BaseHTTPResponse, deadline: float) -> bytes:
    """The body, as far as it comes before `deadline`: the time-out of requests is for each read, not for the answer."""
    chunks, size = [], 0
    while chunk := raw.read1(2**16):
        chunks.append(chunk)
        size += len(chunk)
        if size > _BODY_LIMIT:
            raise BadReply(f"the router's answer is larger than {_BODY_LIMIT} bytes")
        if time.monotonic() > deadline:
            raise RouterUnreachable("the router's answer did not end in time")
    return b"".join(chunks)


def _reason(error: Exception) -> str:
    """The innermost cause in few words: requests wraps urllib3 wraps OSError."""
    while (cause := error.__cause__ or error.__context__) is not None and isinstance(cause, Exception):
        error = cause
    return " ".join(str(error).split()) or type(error).__name__


def _reading(blocks: tuple[Block, ...]) -> Reading:
    sections: tuple[list[dict[str, str]], ...] = ([], [], [], [])
    for block in blocks:
        if block.index >= len(sections):
            raise BadReply(f"the router answered section {block.index}, which was not asked")
        sections[block.index].append(block.values)
    configuration, rows, hosts, info = sections
    if len(configuration) != 1:
        raise BadReply("the router did not answer STAT_CFG")
    return Reading(
        rows=_rows(rows),
        hosts=tuple(_hosts(hosts)),
        info=_info(info[0]) if info else RouterInfo(),
        statistics_enabled=configuration[0].get("enable") != "0",
    )


def _rows(blocks: list[dict[str, str]]) -> tuple[Row, ...]:
    rows: dict[str, Row] = {}
    for values in blocks:
        row = _row(values)
        if rows.setdefault(row.ip, row) != row:
            raise BadReply(f"the router told two different counters for {row.ip}")
    return tuple(rows.values())


def _row(values: dict[str, str]) -> Row:
    try:
        mac = values["macAddress"]
        return Row(
            _dotted(values["ipAddress"]),
            None if mac == _NO_MAC else Mac.parse(mac),
            _count(values["totalPkts"]),
            _count(values["totalBytes"]),
        )
    except KeyError as error:
        raise BadReply(f"a row of the router's statistics lacks {error}") from error
    except ValueError as error:
        raise BadReply(f"a row of the router's statistics makes no sense: {error}") from error


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < _COUNTER_LIMIT):  # noqa: PLR2004  # digits
        raise ValueError(f"{text[:40]!r} is not a counter")
    return int(text)


@lru_cache(maxsize=8192)
def _dotted(text: str) -> str:
    """`192.168.1.100` of `3232235876`: the first octet is the most significant one."""
    number = _count(text)
    if number >= 2**32:
        raise ValueError(f"{text[:40]!r} is not an address")
    return ".".join(str(octet) for octet in number.to_bytes(4, "big"))


def _hosts(blocks: list[dict[str, str]]) -> Iterable[Host]:
    """The leases that make sense; one that does not costs a name, and no byte."""
    for values in blocks:
        try:
            yield Host(values["IPAddress"], Mac.parse(values["MACAddress"]), _host_name(values.get("hostName", "")))
        except (KeyError, ValueError) as error:
            _log.debug("a lease makes no sense: %s", error)


def _host_name(text: str) -> str | None:
    """What the device calls itself, without what could not be shown; None for the router's `Unknown`."""
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    name = text[:_NAME_LENGTH].strip()
    return name if name not in ("", "Unknown") else None


def _info(values: dict[str, str]) -> RouterInfo:
    uptime = values.get("upTime", "")
    return RouterInfo(
        model=_host_name(values.get("modelName", "")),
        firmware=_host_name(values.get("softwareVersion", "")),
        hardware=_host_name(values.get("hardwareVersion", "")),
        uptime_s=int(uptime) if uptime.isascii() and uptime.isdigit() and len(uptime) < 12 else None,  # noqa: PLR2004
    )
