"""What is answered at which address. All that is said comes from a snapshot that does not change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from werkzeug.exceptions import HTTPException, MethodNotAllowed, abort
from werkzeug.routing import Map, Rule
from werkzeug.utils import send_from_directory
from werkzeug.wrappers import Request, Response

from dalla_mqtt.config import WebConfig
from dalla_mqtt.errors import ArchiveError, CommandRefused
from dalla_mqtt.report.health import health
from dalla_mqtt.report.history import BINS, LAST, MOST, By, history_json
from dalla_mqtt.report.now import now_json
from dalla_mqtt.report.records import Records
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.report.web.answers import HEADERS, error_json
from dalla_mqtt.report.web.door import Door
from dalla_mqtt.report.wishes import Unknown, about, poll_now
from dalla_mqtt.usage.commands import Command

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)

_STATIC = Path(__file__).with_name("static")
_LONGEST_BODY = 10_000  # bytes
_DIGITS = 5  # of a number of bins
_JSON = "application/json"
_FOR_ALL = ("index", "static", "health")  # nobody's figures are there

_WORDS = {404: "there is nothing at this address", 413: f"expected at most {_LONGEST_BODY} bytes"}

_ADDRESSES = Map(
    [
        Rule("/", endpoint="index", methods=["GET"]),
        Rule("/static/<path:name>", endpoint="static", methods=["GET"]),
        Rule("/health", endpoint="health", methods=["GET"]),
        Rule("/metrics", endpoint="metrics", methods=["GET"]),
        Rule("/api/now", endpoint="now", methods=["GET"]),
        Rule("/api/history", endpoint="history", methods=["GET"]),
        Rule("/api/poll", endpoint="poll", methods=["POST"]),
        Rule("/api/<any(device):kind>/<id>/<any(user, name):what>", endpoint="wish", methods=["POST"]),
        Rule(
            "/api/<any(user, device, pool):kind>/<id>/<any(topup, quota, limited):what>",
            endpoint="wish",
            methods=["POST"],
        ),
    ],
    merge_slashes=False,
)


class _Asked(Struct, frozen=True):
    """A request that was let in. `may_change`: whether who asks may also change something."""

    request: Request
    may_change: bool


class App:
    """The page as a WSGI application. `command` is given what somebody wants, from any thread."""

    def __init__(
        self,
        web: WebConfig,
        snapshot: Callable[[], Snapshot | None],
        records: Records,
        command: Callable[[Command], None],
    ) -> None:
        self._door = Door(web)
        self._snapshot = snapshot
        self._records = records
        self._command = command
        self._told_now: dict[
            bool, tuple[Snapshot, bytes]
        ] = {}  # what was made last, for those who may not or may change

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """As WSGI has it."""
        request = Request(environ)
        request.max_content_length = _LONGEST_BODY
        response = self._answer(request)
        response.headers.update(HEADERS)
        kept = request.method in ("GET", "HEAD") and response.status_code < 400  # noqa: PLR2004  # errors
        response.headers["Cache-Control"] = "private, no-cache" if kept else "no-store"
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        try:
            asked = self._let_in(request)
            endpoint, values = _ADDRESSES.bind("", path_info=request.path).match(method=request.method)
            self._allow(asked, endpoint)
            answer: Callable[..., Response] = getattr(self, f"_{endpoint}")
            return answer(asked, **values)
        except HTTPException as error:
            return _http_error(error)
        except CommandRefused as error:
            return _error(400, str(error))
        except Unknown as error:
            return _error(404, str(error))
        except ArchiveError as error:
            _log.debug("%s", error)
            return _error(503, "the records cannot be read just now")
        except Exception:  # noqa: BLE001  # told in the log, and to nobody else
            _log.exception("the page could not answer")
            return _error(500, "this should not have happened: see the log of dalla-mqtt")

    def _let_in(self, request: Request) -> _Asked:
        ingress = self._door.through_home_assistant(request.environ)
        if not (ingress or self._door.calls_us(request.environ)):
            abort(421, "this is not the name of this page: call it by its address, or add the name to web.hosts")
        return _Asked(request, ingress or self._door.knows(request.environ))

    def _allow(self, asked: _Asked, endpoint: str) -> None:
        """Whether who asks may have that."""
        if asked.request.method != "POST":
            if not (self._door.reads_open or asked.may_change or endpoint in _FOR_ALL):
                abort(401, "this is told to those only who say the token: Authorization: Bearer …")
            return
        if not (asked.may_change or self._door.has_token):
            abort(403, "nothing can be changed here: set DALLA_WEB_TOKEN or web.token_file first")
        if not asked.may_change:
            abort(401, "the token is missing or wrong: Authorization: Bearer …")
        if asked.request.mimetype != _JSON:
            abort(415, f"expected Content-Type: {_JSON}")

    def _index(self, asked: _Asked) -> Response:
        return self._static(asked, "index.html")

    def _static(self, asked: _Asked, name: str) -> Response:
        return send_from_directory(_STATIC, name, asked.request.environ)

    def _health(self, _: _Asked) -> Response:
        well, body = health(self._snapshot(), time.monotonic())
        return Response(body, 200 if well else 503, mimetype=_JSON)

    def _metrics(self, _: _Asked) -> Response:
        from dalla_mqtt.report.metrics import CONTENT_TYPE, metrics  # noqa: PLC0415  # costs 1.5 MiB, and few ask

        return Response(metrics(self._snapshot()), content_type=CONTENT_TYPE)

    def _now(self, asked: _Asked) -> Response:
        may_change = asked.may_change or self._door.has_token  # who has not said it may do so when it comes to that
        snapshot, known = self._known, self._told_now.get(may_change)
        if known is None or known[0] is not snapshot:
            known = snapshot, now_json(snapshot, may_change=may_change)
            self._told_now[may_change] = known
        return _told(asked, known[1])

    def _history(self, asked: _Asked) -> Response:
        arguments = asked.request.args
        of, by = arguments.get("of", ""), _by(arguments.get("by", ""))
        found = history_json(of, by, _last(by, arguments.get("last")), self._known, self._records)
        if found is None:
            abort(404, "there is no such series: expected total, user/<id> or device/<id> in `of`")
        return _told(asked, found)

    def _poll(self, asked: _Asked) -> Response:
        return self._take(poll_now(asked.request.get_data()))

    def _wish(self, asked: _Asked, kind: str, id: str, what: str) -> Response:  # noqa: A002  # as the address calls it
        return self._take(about(what, f"{kind}/{id}", asked.request.get_data(), self._known))

    def _take(self, command: Command) -> Response:
        self._command(command)
        return Response(b'{"accepted":true}', 202, mimetype=_JSON)

    @property
    def _known(self) -> Snapshot:
        snapshot = self._snapshot()
        if snapshot is None:
            abort(503, "nothing is known yet: the router is being asked")
        return snapshot


def _by(text: str) -> By:
    found = next((by for by in BINS if by == text), None)
    if found is None:
        abort(400, f"expected one of {', '.join(BINS)} in `by`")
    return found


def _last(by: By, text: str | None) -> int:
    if text is None:
        return LAST[by]
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS and 1 <= int(text) <= MOST[by]):
        abort(400, f"expected a number from 1 to {MOST[by]} in `last`")
    return int(text)


def _told(asked: _Asked, body: bytes) -> Response:
    """JSON that need not be sent again to who has it."""
    response = Response(body, mimetype=_JSON)
    response.set_etag(blake2b(body, digest_size=12).hexdigest())
    response.headers["Vary"] = "Authorization"
    response.make_conditional(asked.request)
    return response


def _error(code: int, text: str) -> Response:
    return Response(error_json(text), code, mimetype=_JSON)


def _http_error(error: HTTPException) -> Response:
    own = error.description != type(error).description
    code = error.code or 500
    response = _error(code, _WORDS.get(code, error.name) if not own else str(error.description))
    if response.status_code == 401:  # noqa: PLR2004  # unauthorized
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(error.valid_methods)
    return response
