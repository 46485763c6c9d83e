"""What differs from one firmware of these routers to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Login = Literal[
    "cookie",  # the password in every request; nothing to log in with
    "rsa",  # a login that is encrypted, and everything after it in the clear: MR200, VR600
    "gdpr",  # all is encrypted, with RSA that pads by zeros: WR841N, and an Archer C20
    "gdpr-pkcs1",  # with RSA that pads as PKCS#1 v1.5 says: C50 v4
    "mr",  # as `gdpr`, but with a login of its own and a token: MR600, VR400
]


@dataclass(frozen=True, slots=True)
class Firmware:
    """Of a C20 none of it is certain; docs/router.md, "Open questions"."""

    login: Login = "cookie"
    statistics_enabled: bool = True  # fresh from the shop they are off
    max_rows: int = 256
    counter_bits: Literal[32, 64] = 32
    reboot_s: float = 0.0  # how long it answers nobody after a reboot
    classic_pair_only: bool = False  # refuses every batch of more than two sections
    one_connection: bool = False  # hides statistics and LAN from a login that took more than one: WR841N v14
    leaky_chunks: bool = False  # a chunk's size leaks into the next answer of a connection: Archer C20 v4
    false_chunks: bool = False  # error pages are said to be chunked and are not: WR841N v14
