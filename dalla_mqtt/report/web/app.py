"""What is answered at which address. All that is said comes from a snapshot that does not change."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace
from werkzeug.exceptions import HTTPException, MethodNotAllowed, abort
from werkzeug.utils import send_from_directory
from werkzeug.wrappers import Request, Response

from dalla_mqtt.config import WebConfig
from dalla_mqtt.errors import ArchiveError, CommandRefused
from dalla_mqtt.report.health import health_json, health_of_all_json, is_stuck
from dalla_mqtt.report.history import BINS, LAST, MOST, By, history_json
from dalla_mqtt.report.now import now_json
from dalla_mqtt.report.sites import sites_json
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.report.web.addresses import FOR_ALL, ONE, SEVERAL
from dalla_mqtt.report.web.answers import HEADERS, error_json
from dalla_mqtt.report.web.door import Door
from dalla_mqtt.report.web.site import Site
from dalla_mqtt.report.wishes import Unknown, about, poll_now
from dalla_mqtt.usage.commands import Command

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)

_STATIC = Path(__file__).with_name("static")
_LONGEST_BODY = 10_000  # bytes
_DIGITS = 5  # of a number of bins
_JSON = "application/json"
_GZIP = 31  # what zlib calls it
_KEPT = 16  # answers, each of the latest snapshot of a site
_ALONE = b'id="back" hidden'  # the way to the other sites is shown where there are some

_NO_SITE = "there is no such site"
_NOTHING_YET = "nothing is known yet: the router is being asked"
_WORDS = {404: "there is nothing at this address", 413: f"expected at most {_LONGEST_BODY} bytes"}


class _Asked(Struct, frozen=True):
    """A request that was let in. `may_change`: whether who asks may also change something."""

    request: Request
    may_change: bool
    site: str | None = None  # of which site, where there are several


class App:
    """The page as a WSGI application: of the one site that there is, or of `several` and the list of them."""

    def __init__(self, web: WebConfig, sites: Callable[[], Mapping[str, Site | None]], *, several: bool) -> None:
        self._door = Door(web)
        self._sites_now = sites
        self._several = several
        self._addresses = SEVERAL if several else ONE
        self._told_now: dict[
            tuple[str, bool], tuple[Snapshot, bytes]
        ] = {}  # what was made last of a site, for those who may not or may change

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
            endpoint, values = self._addresses.bind("", path_info=request.path).match(method=request.method)
            self._allow(asked, endpoint)
            answer: Callable[..., Response] = getattr(self, f"_{endpoint}")
            more = dict(values)
            return answer(replace(asked, site=more.pop("site", None)), **more)
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
            if not (self._may_read(asked) or endpoint in FOR_ALL):
                abort(401, "this is told to those only who say the token: Authorization: Bearer …")
            return
        if not (asked.may_change or self._door.has_token):
            abort(403, "nothing can be changed here: set DALLA_WEB_TOKEN or web.token_file first")
        if not asked.may_change:
            abort(401, "the token is missing or wrong: Authorization: Bearer …")
        if asked.request.mimetype != _JSON:
            abort(415, f"expected Content-Type: {_JSON}")

    def _may_read(self, asked: _Asked) -> bool:
        return self._door.reads_open or asked.may_change

    def _static(self, asked: _Asked, name: str) -> Response:
        return send_from_directory(_STATIC, name, asked.request.environ)

    def _list(self, asked: _Asked) -> Response:
        return self._static(asked, "sites.html")

    def _sites(self, asked: _Asked) -> Response:
        return _packed(asked, _told(asked, sites_json(self._snapshots, time.monotonic())))

    def _health(self, _: _Asked) -> Response:
        known, now = [*self._snapshots.values()], time.monotonic()
        well, body = health_of_all_json(known, now) if self._several else health_json(next(iter(known), None), now)
        return Response(body, 200 if well else 503, mimetype=_JSON)

    def _alive(self, _: _Asked) -> Response:
        known, now = self._snapshots.values(), time.monotonic()
        stuck = bool(known) and all(is_stuck(snapshot, now) for snapshot in known)
        return Response("stuck\n" if stuck else "alive\n", 503 if stuck else 200, mimetype="text/plain")

    def _metrics(self, asked: _Asked) -> Response:
        from dalla_mqtt.report.metrics import (  # noqa: PLC0415  # costs 1.5 MiB, and few ask
            CONTENT_TYPE,
            metrics,
            metrics_of_all,
        )

        known = self._snapshots
        if self._several:
            return _packed(asked, Response(metrics_of_all(known), content_type=CONTENT_TYPE))
        return Response(metrics(next(iter(known.values()), None)), content_type=CONTENT_TYPE)

    def _page(self, asked: _Asked) -> Response:
        if not self._several:
            return self._static(asked, "index.html")
        if self._may_read(asked) and asked.site not in self._sites_now():  # nobody else learns which there are
            abort(404, _NO_SITE)
        page = (_STATIC / "index.html").read_bytes().replace(_ALONE, b'id="back"')
        return _told(asked, page, "text/html")

    def _without_slash(self, asked: _Asked) -> Response:
        return Response(status=308, headers={"Location": f"./{quote(asked.site or '', safe='')}/"})

    def _now(self, asked: _Asked) -> Response:
        may_change = asked.may_change or self._door.has_token  # who has not said it may do so when it comes to that
        site, snapshot = self._known(asked)
        known = self._told_now.get((site.name, may_change))
        if known is None or known[0] is not snapshot:
            known = snapshot, now_json(snapshot, may_change=may_change)
            if len(self._told_now) >= _KEPT:
                self._told_now.clear()
            self._told_now[site.name, may_change] = known
        return _told(asked, known[1])

    def _history(self, asked: _Asked) -> Response:
        arguments = asked.request.args
        of, by = arguments.get("of", ""), _by(arguments.get("by", ""))
        site, snapshot = self._known(asked)
        found = history_json(of, by, _last(by, arguments.get("last")), snapshot, site.records)
        if found is None:
            abort(404, "there is no such series: expected total, user/<id> or device/<id> in `of`")
        return _told(asked, found)

    def _poll(self, asked: _Asked) -> Response:
        return _take(self._site(asked), poll_now(asked.request.get_data()))

    def _wish(self, asked: _Asked, kind: str, id: str, what: str) -> Response:  # noqa: A002  # as the address calls it
        site, snapshot = self._known(asked)
        return _take(site, about(what, f"{kind}/{id}", asked.request.get_data(), snapshot))

    def _site(self, asked: _Asked) -> Site:
        """The one that is meant."""
        sites = self._sites_now()
        name = asked.site if self._several else next(iter(sites), None)
        if name is None or name not in sites:
            abort(404, _NO_SITE)
        return sites[name] or abort(503, _NOTHING_YET)

    def _known(self, asked: _Asked) -> tuple[Site, Snapshot]:
        """The site that is meant, and what is known of it."""
        site = self._site(asked)
        snapshot = site.snapshot()
        if snapshot is None:
            abort(503, _NOTHING_YET)
        return site, snapshot

    @property
    def _snapshots(self) -> dict[str, Snapshot | None]:
        return {name: site.snapshot() if site else None for name, site in self._sites_now().items()}


def _take(site: Site, command: Command) -> Response:
    site.command(command)
    return Response(b'{"accepted":true}', 202, mimetype=_JSON)


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


def _told(asked: _Asked, body: bytes, mimetype: str = _JSON) -> Response:
    """What need not be sent again to who has it."""
    response = Response(body, mimetype=mimetype)
    response.set_etag(blake2b(body, digest_size=12).hexdigest())
    response.headers["Vary"] = "Authorization"
    response.make_conditional(asked.request)
    return response


def _packed(asked: _Asked, response: Response) -> Response:
    """The same in gzip, where that can be read: of a thousand sites there is much to tell."""
    response.headers.add("Vary", "Accept-Encoding")
    if response.status_code == 200 and asked.request.accept_encodings["gzip"]:  # noqa: PLR2004  # not what is known already
        response.headers["Content-Encoding"] = "gzip"
        response.headers.pop("Content-Length", None)
        response.response = _gzip(response.iter_encoded())
    return response


def _gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(1, wbits=_GZIP)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


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
