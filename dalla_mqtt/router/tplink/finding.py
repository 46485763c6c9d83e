"""Which client class of tplinkrouterc6u is the one for a router, as far as that shows without a password.

The library's own way (`TplinkRouterProvider.get_client`) logs in with one class after the other: a password that is
wrong would be tried seven times in a row. Here only those classes count that can tell bytes per device, and a poll logs
in with one of them. That of the plain cookie is left out: its routers are those of driver `archer-c20`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import requests

from dalla_mqtt.errors import AdminBusy, BadReply
from dalla_mqtt.router.login import pads_by_pkcs1
from dalla_mqtt.router.tplink.words import Order

_CERTIFIED = {"SG CLS L1 STAGE2", "EU CE RED"}  # firmware of TplinkRouterSG
_WEB_ENCRYPTED = 200  # characters: what the router's own page makes of a password, for TplinkC5400XRouter
_LONG_KEY, _SHORT_KEY = 512, 128  # hexadecimal digits
_BUSY = re.compile(r"\bis(?:Logined|Busy)\s*=\s*1\b")


def find(order: Order, client: Callable[[str], Any]) -> str:
    """The name of the class to log in with next. `client` makes one of a name. Sends no password.

    Raises AdminBusy, BadReply where there is none, or what requests raises where the router is away.
    """
    page = _ask(order, "GET", "/")
    for name in _fitting(order, client):
        if name not in order.unfit:
            return name
    what = f"HTTP {page.status_code}" if page.status_code != HTTPStatus.OK else "its page is there"
    tried = f", nor did {' and '.join(order.unfit)}" if order.unfit else ""
    raise BadReply(
        f"no class of tplinkrouterc6u that tells bytes per device fits this router ({what}){tried}: "
        "name one in router.client, or see whether `router.driver: archer-c20` understands it"
    )


def _fitting(order: Order, client: Callable[[str], Any]) -> Iterator[str]:
    """The classes that may be right, the likeliest first."""
    if len(order.password) >= _WEB_ENCRYPTED:
        yield "TplinkC5400XRouter"
    if keys := _luci(order, "login?form=keys"):
        yield from _of_luci(order, _digits(keys.get("password")))
    elif _digits(_luci(order, "login?form=login").get("password")):
        yield "TplinkC1200Router"
    else:
        yield from _of_cgi(order, client)


def _of_luci(order: Order, digits: int) -> Iterator[str]:
    """Archer A, AX and C of the generation with `/cgi-bin/luci`."""
    certificates = _luci(order, "device_config?form=config").get("certification")
    if isinstance(certificates, list) and _CERTIFIED.intersection(map(str, certificates)):
        yield "TplinkRouterSG"
    elif digits >= _LONG_KEY:
        yield "TplinkRouterV1_11"
    else:
        if _digits(_luci(order, "login?form=auth").get("key")) == _SHORT_KEY:
            yield "TplinkRouterAX72"
        yield "TplinkRouter"


def _of_cgi(order: Order, client: Callable[[str], Any]) -> Iterator[str]:
    """MR, VR, and others that speak as an Archer C20 does, but behind another login."""
    if _BUSY.search(_ask(order, "POST", "/cgi/getBusy").text):
        raise AdminBusy("another administrator is logged in to the router")
    for name in ("TPLinkVRClient", "TPLinkMR600Client", "TPLinkMR6400v7Client"):
        if client(name).supports():
            yield name
    script = _ask(order, "GET", "/js/tpEncrypt.js")
    encrypts = script.status_code == HTTPStatus.OK and "encrypt" in script.text
    if not encrypts:
        for name in ("TPLinkVR400v2Client", "TPLinkMR200Client"):
            if client(name).supports():
                yield name
    if client("TPLinkMRClient").supports():
        if encrypts and pads_by_pkcs1(script.text):
            yield "TPLinkC50Client"
        else:
            yield from ("TPLinkMRClient", "TPLinkWR841NClient", "TPLinkMRClientGCM")


def _luci(order: Order, form: str) -> dict[str, Any]:
    """What `form` says to anybody; nothing where there is no such thing. Some read the query, and some the body."""
    reply = _ask(order, "POST", f"/cgi-bin/luci/;stok=/{form}&operation=read", {"operation": "read"})
    try:
        data = reply.json()["data"]
    except (ValueError, LookupError, TypeError):
        return {}
    return data if isinstance(data, dict) else {}


def _digits(key: object) -> int:
    """How long a public key is that is told as [modulus, exponent]; 0 where it is none."""
    return len(str(key[0])) if isinstance(key, list) and key else 0


def _ask(order: Order, method: str, path: str, data: dict[str, str] | None = None) -> requests.Response:
    headers = {"Referer": f"{order.url}/webpages/index.html" if data else f"{order.url}/"}
    return requests.request(
        method, f"{order.url}{path}", data=data, headers=headers, timeout=order.timeout_s, allow_redirects=False
    )
