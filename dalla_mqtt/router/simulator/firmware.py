"""What differs from one firmware of these routers to another."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import msgspec

Login = Literal[
    "cookie",  # the password in every request; nothing to log in with
    "rsa",  # a login that is encrypted, and everything after it in the clear: MR200, VR600
    "gdpr",  # all is encrypted, with RSA that pads by zeros: WR841N, and an Archer C20
    "gdpr-pkcs1",  # with RSA that pads as PKCS#1 v1.5 says: C50 v4
    "mr",  # as `gdpr`, but with a login of its own and a token: MR600, VR400
]
Counters = Literal[
    "classic",  # both directions in one counter
    "rx-tx",  # apart, and no packets
    "rx-tx-macs",  # the same, and no addresses
]
HardwareNat = Literal[
    "off",
    "first",  # on: of each flow the first packets are counted
    "none",  # on: nothing is
]


@dataclass(frozen=True, slots=True)
class Firmware:
    """Of a C20 none of it is certain; docs/router.md, "Open questions"."""

    login: Login = "cookie"
    statistics: Counters = "classic"
    statistics_enabled: bool = True  # fresh from the shop they are off
    max_rows: int = 256
    counter_bits: Literal[32, 64] = 32
    hardware_nat: HardwareNat = "off"  # fresh from the shop it is on; bandwidth control keeps it out of the way
    reboot_s: float = 0.0  # how long it answers nobody after a reboot
    attempts: int | None = None  # wrong passwords before it is locked; None: ten, five with the login `mr`
    wrong_cookie: Literal[500, 401, 406] = 500  # the status for a wrong password, with the login `cookie`
    busy: Literal[500, 406] | None = None  # the status for another administrator; None: 500, 406 where all is encrypted
    malformed: int = 71014  # the error number for what is no batch; also seen or thought of: 71011, 9003
    unknown_object: int = 9804
    unknown_attribute: int = 9005
    unknown_instance: int = 9805
    last_newline: bool | None = None  # after `[error]0`; None: with every login but `cookie`
    single_stack: str = "0,0,0,0,0,0"  # of what there is one of; a synthetic record has 1,1,0,0,0,0
    classic_pair_only: bool = False  # refuses every batch of more than two sections
    one_connection: bool = False  # tells who never logged in over one the model and no more: WR841N v14
    leaky_chunks: bool = False  # a chunk's size leaks into the next answer of a connection: Archer C20 v4
    false_chunks: bool = False  # error pages are said to be chunked and are not: WR841N v14
    ipv6: bool = False  # half of what everybody moves goes over it: not counted, and with rules of its own
    max_rules: int = 32  # in each table of bandwidth control and access control
    renumbers: bool = False  # the numbers of their rows are places, which close up
    forgets_rules: bool = False  # after a reboot there are none, and both are off
    late_s: float = 2.0  # how long an answer takes that the fault `late` is for

    @classmethod
    def of(cls, settings: dict[str, str]) -> Firmware:
        """The firmware that differs from the usual one by `settings`. ValueError tells which of them makes no sense."""
        if unknown := settings.keys() - {field.name for field in fields(cls)}:
            raise ValueError(f"a firmware has no {', '.join(sorted(unknown))}")
        try:
            return msgspec.convert(settings, cls, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"a firmware is not like that: {error}") from error

    @property
    def newer(self) -> bool:
        """Whether it is of the generation that has a login."""
        return self.login != "cookie"

    @property
    def ending(self) -> str:
        """What follows the last line of an answer."""
        return "\n" if (self.newer if self.last_newline is None else self.last_newline) else ""

    def number(self, error: int) -> int:
        """The error number that this firmware has for the usual one."""
        own = {71014: self.malformed, 9804: self.unknown_object, 9005: self.unknown_attribute}
        return (own | {9805: self.unknown_instance}).get(error, error)
