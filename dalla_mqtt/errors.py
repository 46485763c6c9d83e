"""What can go wrong, one class for each thing its reader can do about it."""

from __future__ import annotations


class DallaError(Exception):
    """Base of all errors that are told in one line, without a traceback."""


class ConfigError(DallaError):
    """A setting, a flag or a file named in one is wrong. The text names the place and the mend."""


class LoginRefused(DallaError):
    """The router refused the user name or the password. Never try the same pair again: ten tries lock the owner out."""


class AdminBusy(DallaError):
    """The router serves another administrator. Old firmware says the same to a wrong password: `maybe_refused`."""

    def __init__(self, text: str, *, maybe_refused: bool = False) -> None:
        super().__init__(text)
        self.maybe_refused = maybe_refused


class RouterUnreachable(DallaError):
    """No whole answer came in time. The next poll may fare better."""


class BadReply(DallaError):
    """An answer came that cannot be used. It is thrown away whole."""


class CommandRefused(DallaError):
    """A command from the broker is not understood, or cannot be done now. Nothing has changed."""


class LimitRefused(DallaError):
    """The router cannot limit a device, or does not take the rule. The text names why, and the mend if any.

    `devices`: whose MACs, with dashes; all else is as it was wanted. None where nobody knows that.
    """

    def __init__(self, text: str, devices: frozenset[str] | None = None) -> None:
        super().__init__(text)
        self.devices = devices


class ArchiveError(DallaError):
    """The state file or the CSV files cannot be used. The text names the file and the mend."""


class HomeAssistantError(DallaError):
    """Home Assistant does not answer, refuses, or answers what cannot be used. The text names the mend."""
