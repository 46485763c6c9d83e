"""How the router fares."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.usage.reading import Reading

RouterState = Literal["ok", "busy", "unreachable", "login_refused", "bad_reply", "paused"]


class RouterStatus(Struct, frozen=True):
    """What the topic `router` says: how the router fared at the last poll. Times are UTC epoch seconds."""

    state: RouterState
    since: float
    last_poll: float | None = None  # the last that brought a reading
    poll_ms: int | None = None
    polls: int = 0
    failures: int = 0
    model: str | None = None
    firmware: str | None = None
    hardware: str | None = None
    uptime_s: int | None = None
    login: str | None = None
    statistics: bool | None = None
    sampling_s: int | None = None
    table_full: bool | None = None

    def turned(self, state: RouterState, at: float) -> RouterStatus:
        """The same, in `state` from `at` on, or since it was in it."""
        return self if state == self.state else replace(self, state=state, since=at)

    def answered(self, reading: Reading, at: float, poll_ms: int) -> RouterStatus:
        """After a poll that brought a reading."""
        info = reading.info
        return replace(
            self.turned("ok", at),
            last_poll=at,
            poll_ms=poll_ms,
            polls=self.polls + 1,
            model=info.model or self.model,
            firmware=info.firmware or self.firmware,
            hardware=info.hardware or self.hardware,
            uptime_s=info.uptime_s,
            login=info.login or self.login,
            statistics=reading.statistics_enabled,
            sampling_s=reading.sampling_s or self.sampling_s,
            table_full=reading.full,
        )

    def missed(self, state: RouterState, at: float) -> RouterStatus:
        """After a poll that brought none."""
        return replace(self.turned(state, at), polls=self.polls + 1, failures=self.failures + 1)
