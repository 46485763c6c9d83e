"""Which addresses there are. Names of sites stand below an address of their own: none of them can hide another one."""

from __future__ import annotations

from werkzeug.routing import Map, Rule, Submount

_PAGE = (
    Rule("/", endpoint="page", methods=["GET"]),
    Rule("/static/<path:name>", endpoint="static", methods=["GET"]),
    Rule("/api/now", endpoint="now", methods=["GET"]),
    Rule("/api/history", endpoint="history", methods=["GET"]),
    Rule("/api/poll", endpoint="poll", methods=["POST"]),
    Rule("/api/<any(device):kind>/<id>/<any(user, name):what>", endpoint="wish", methods=["POST"]),
    Rule(
        "/api/<any(user, device, pool):kind>/<id>/<any(topup, quota, limited):what>", endpoint="wish", methods=["POST"]
    ),
)
_OF_ALL = (
    Rule("/health", endpoint="health", methods=["GET"]),
    Rule("/alive", endpoint="alive", methods=["GET"]),
    Rule("/metrics", endpoint="metrics", methods=["GET"]),
)

# A Submount makes rules of its own, so they can be in both.
ONE = Map([Submount("", [*_PAGE, *_OF_ALL])], merge_slashes=False)
SEVERAL = Map(
    [
        Rule("/", endpoint="list", methods=["GET"]),
        Rule("/static/<path:name>", endpoint="static", methods=["GET"]),
        Rule("/api/sites", endpoint="sites", methods=["GET"]),
        Submount("", _OF_ALL),
        Rule("/site/<site>", endpoint="without_slash", methods=["GET"]),
        Submount("/site/<site>", _PAGE),
    ],
    merge_slashes=False,
)
FOR_ALL = ("list", "page", "without_slash", "static", "health", "alive")  # nobody's figures are there
