"""What is answered at which address. All that is said comes from a snapshot that does not change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from flask import Flask, Response, abort, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

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

_log = logging.getLogger(__name__)

_LONGEST_BODY = 10_000  # bytes
_JSON = "application/json"
_OF_ALL = ("topup", "quota", "limited")


def make_app(
    web: WebConfig, snapshot: Callable[[], Snapshot | None], records: Records, command: Callable[[Command], None]
) -> Flask:
    """The page as a WSGI application. `command` is given what somebody wants, from any thread."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _LONGEST_BODY
    door, site = Door(web), _Site(snapshot, records, command)
    app.before_request(lambda: _let_in(door))
    app.after_request(_finish)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(CommandRefused, lambda error: _error(400, str(error)))
    app.register_error_handler(Unknown, lambda error: _error(404, str(error)))
    app.register_error_handler(ArchiveError, _unreadable)
    app.register_error_handler(Exception, _unexpected)
    _add(app, "/", "index", lambda: app.send_static_file("index.html"))
    _add(app, "/health", "health", site.health)
    _add(app, "/metrics", "metrics", site.metrics)
    _add(app, "/api/now", "now", site.now)
    _add(app, "/api/history", "history", site.history)
    _add(app, "/api/poll", "poll", site.poll, "POST")
    for what in ("user", "name"):
        _add(app, f"/api/device/<id>/{what}", f"device-{what}", _wish(site, "device", what), "POST")
    for what in _OF_ALL:
        for kind in ("user", "device", "pool"):
            _add(app, f"/api/{kind}/<id>/{what}", f"{kind}-{what}", _wish(site, kind, what), "POST")
    return app


def _add(app: Flask, path: str, name: str, answer: Callable[..., Any], method: str = "GET") -> None:
    app.add_url_rule(path, name, answer, methods=[method], provide_automatic_options=False)


def _wish(site: _Site, kind: str, what: str) -> Callable[[str], Response]:
    return lambda id: site.wish(what, f"{kind}/{id}")  # noqa: A006  # as the address calls it


class _Site:
    def __init__(
        self, snapshot: Callable[[], Snapshot | None], records: Records, command: Callable[[Command], None]
    ) -> None:
        self._snapshot = snapshot
        self._records = records
        self._command = command

    @property
    def _known(self) -> Snapshot:
        snapshot = self._snapshot()
        if snapshot is None:
            abort(503, "nothing is known yet: the router is being asked")
        return snapshot

    def now(self) -> Response:
        """How it stands."""
        return _told(now_json(self._known, may_change=g.may_change))

    def history(self) -> Response:
        """What one series moved, bin by bin."""
        of, by = request.args.get("of", ""), _by(request.args.get("by", ""))
        found = history_json(of, by, _last(by, request.args.get("last")), self._known, self._records)
        if found is None:
            abort(404, "there is no such series: expected total, user/<id> or device/<id> in `of`")
        return _told(found)

    def health(self) -> Response:
        """Whether all is well: 200, or 503."""
        well, body = health(self._snapshot(), time.monotonic())
        return Response(body, 200 if well else 503, mimetype=_JSON)

    def metrics(self) -> Response:
        """All figures for Prometheus."""
        abort(404, "there are no metrics yet")

    def poll(self) -> Response:
        """Ask the router now."""
        return self._take(poll_now(request.get_data()))

    def wish(self, what: str, path: str) -> Response:
        """What somebody wants of the subject at `path`."""
        return self._take(about(what, path, request.get_data(), self._known))

    def _take(self, command: Command) -> Response:
        self._command(command)
        return Response(b'{"accepted":true}', 202, mimetype=_JSON)


def _let_in(door: Door) -> None:
    """Who may not ask gets an error; `g.may_change`: whether who asks may also change something."""
    environ = request.environ
    ingress = door.through_home_assistant(environ)
    if not (ingress or door.calls_us(environ)):
        abort(421, "this is not the name of this page: call it by its address, or add the name to web.hosts")
    g.may_change = ingress or door.knows(environ)
    if request.routing_exception is not None:
        raise request.routing_exception
    if request.method == "POST":
        _let_change(door)
    elif not (door.reads_open or g.may_change or request.endpoint in ("index", "static", "health")):
        abort(401, "this is told to those only who say the token: Authorization: Bearer …")


def _let_change(door: Door) -> None:
    if not (g.may_change or door.has_token):
        abort(403, "nothing can be changed here: set DALLA_WEB_TOKEN or web.token_file first")
    if not g.may_change:
        abort(401, "the token is missing or wrong: Authorization: Bearer …")
    if request.mimetype != _JSON:
        abort(415, f"expected Content-Type: {_JSON}")


def _by(text: str) -> By:
    found = next((by for by in BINS if by == text), None)
    if found is None:
        abort(400, f"expected {', '.join(BINS)} in `by`")
    return found


def _last(by: By, text: str | None) -> int:
    if text is None:
        return LAST[by]
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= MOST[by]):  # noqa: PLR2004
        abort(400, f"expected a number from 1 to {MOST[by]} in `last`")
    return int(text)


def _told(body: bytes) -> Response:
    """JSON that need not be sent again to who has it."""
    response = Response(body, mimetype=_JSON)
    response.set_etag(blake2b(body, digest_size=12).hexdigest())
    response.headers["Vary"] = "Authorization"
    response.make_conditional(request)
    return response


def _finish(response: Response) -> Response:
    response.headers.update(HEADERS)
    kept = request.method in ("GET", "HEAD") and response.status_code < 400  # noqa: PLR2004  # errors
    response.headers["Cache-Control"] = "private, no-cache" if kept else "no-store"
    return response


def _error(code: int, text: str) -> Response:
    return Response(error_json(text), code, mimetype=_JSON)


def _http_error(error: HTTPException) -> Response:
    response = _error(error.code or 500, error.description or error.name)
    if error.code == 401:  # noqa: PLR2004  # unauthorized
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(error.valid_methods)
    return response


def _unreadable(error: ArchiveError) -> Response:
    _log.debug("%s", error)
    return _error(503, "the records cannot be read just now")


def _unexpected(error: Exception) -> Response:
    _log.error("the page could not answer", exc_info=error)
    return _error(500, "this should not have happened: see the log of dalla-mqtt")
