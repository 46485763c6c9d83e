"""What every answer has: headers, and an error in words."""

from __future__ import annotations

import msgspec
from msgspec import Struct

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class _Error(Struct):
    error: str


def error_json(text: str) -> bytes:
    """What is wrong, in words."""
    return msgspec.json.encode(_Error(text))
