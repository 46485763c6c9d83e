"""What the settings say of quotas -> Quotas: those of users, devices and pools, and what is done about them."""

from __future__ import annotations

from dalla_mqtt.config.settings import DeviceSettings, PartsSettings, PoolSettings, Settings, UserSettings
from dalla_mqtt.config.values import parse_percent, parse_rate, parse_size
from dalla_mqtt.config.yaml_file import Places
from dalla_mqtt.usage.people import UNKNOWN, People, check_name
from dalla_mqtt.usage.quota import PARTS, AtQuota, Part, Quota, Quotas, Rate, Subject
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import DAY_NAMES

_SLOWEST_KBIT, _FASTEST_KBIT = 16, 1_000_000  # 16 kbit/s to 1 Gbit/s


def read_quotas(settings: Settings, people: People, places: Places) -> Quotas:
    """All that is said of quotas, checked against the `people` there are. Raises ConfigError."""
    return _Reader(settings, people, places).read()


class _Reader:
    def __init__(self, settings: Settings, people: People, places: Places) -> None:
        self._settings = settings
        self._users = (*people.names, UNKNOWN)
        self._places = places
        self._subjects: dict[Subject, Quota] = {}

    def read(self) -> Quotas:
        quota = self._settings.quota
        default = self._at_quota("quota.at_quota", quota.at_quota)
        for name, user in self._settings.users.items():
            if user.quota is not None or user.at_quota is not None:
                self._add(f"users.{name}", Subject("user", check_name(name)), user)
        for text, device in quota.devices.items():
            key = f"quota.devices.{text}"
            self._add(key, Subject("device", self._places.parse(key, Mac.parse, text).dashed), device)
        for name, pool in quota.pool.items():
            key = f"quota.pool.{name}"
            self._add(key, Subject("pool", self._places.parse(key, check_name, name)), pool)
        warn_at = {
            self._places.parse(f"quota.warn_at[{index}]", parse_percent, text)
            for index, text in enumerate(quota.warn_at)
        }
        return Quotas(
            subjects=self._subjects,
            warn_at=tuple(sorted(warn_at)),
            throttle=self._rate("quota.throttle", quota.throttle.down, quota.throttle.up),
            line=self._line(),
            topup=self._topup(),
            at_quota=default,
        )

    def _add(self, key: str, subject: Subject, said: UserSettings | DeviceSettings | PoolSettings) -> None:
        if subject in self._subjects:
            raise self._places.error(key, f"what {subject.name} may move is said already; leave one of them out")
        at_quota = self._settings.quota.at_quota if said.at_quota is None else said.at_quota
        parts = PartsSettings() if said.quota is None else said.quota
        self._subjects[subject] = Quota(
            limits={} if said.quota is None else self._limits(f"{key}.quota", said.quota),
            per=parts.per,
            starts=self._starts(f"{key}.quota", parts),
            carry_over=parts.carry_over,
            at_quota=self._at_quota(f"{key}.at_quota", at_quota),
            users=self._members(key, said.users) if isinstance(said, PoolSettings) else (),
        )

    def _limits(self, key: str, parts: PartsSettings) -> dict[Part, int]:
        """Bytes of each part of which a quota is said, in the order of PARTS; a quota of 0 is none."""
        said = {part: getattr(parts, part) for part in PARTS if getattr(parts, part) is not None}
        if not said:
            raise self._places.error(key, f"there is no size: give {', '.join(PARTS)}, or some of them")
        sizes = {part: self._size(f"{key}.{part}", size) for part, size in said.items()}
        return {part: size for part, size in sizes.items() if size}

    def _size(self, key: str, size: str | int) -> int:
        short = key if self._places.names(key) else key.rpartition(".")[0]  # `quota: 40 GiB`
        return self._places.parse(short, parse_size, str(size))

    def _starts(self, key: str, parts: PartsSettings) -> int | None:
        """The day of the month, or of the week, 0 for Monday."""
        key, starts = f"{key}.starts", parts.starts
        if starts is None:
            return None
        if parts.per == "day":
            raise self._places.error(key, "take it out, or set `per: week` or `per: period`: a day starts at midnight")
        if parts.per == "week":
            if str(starts).lower() not in DAY_NAMES:
                raise self._places.error(key, f"expected a day of the week, Mon to Sun, not {starts!r}")
            return DAY_NAMES.index(str(starts).lower())
        if not isinstance(starts, int) or not (starts == -1 or 1 <= starts <= 31):  # noqa: PLR2004  # days a month
            raise self._places.error(key, f"expected a day of the month, 1 to 31, or -1 for the last, not {starts!r}")
        return starts

    def _at_quota(self, key: str, at_quota: AtQuota) -> AtQuota:
        if at_quota != "notify" and self._settings.router.driver == "tplink":
            raise self._places.error(key, "take it out, or say notify: `router.driver: tplink` can limit nobody")
        return at_quota

    def _members(self, key: str, names: list[str]) -> tuple[str, ...]:
        """Who shares a pool, each once."""
        for index, name in enumerate(names):
            if name.strip() not in self._users:
                there_are = f"there is no user {name!r}; there are {', '.join(self._users)}"
                raise self._places.error(f"{key}.users[{index}]", there_are)
        return tuple(dict.fromkeys(name.strip() for name in names))

    def _line(self) -> Rate | None:
        line = self._settings.quota.line
        if line.down is None and line.up is None:
            return None
        if line.down is None or line.up is None:
            missing, said = ("down", "up") if line.down is None else ("up", "down")
            raise self._places.error(f"quota.line.{missing}", f"give it too, or take quota.line.{said} out")
        return self._rate("quota.line", line.down, line.up)

    def _rate(self, key: str, down: str, up: str) -> Rate:
        return Rate(self._kbit(f"{key}.down", down), self._kbit(f"{key}.up", up))

    def _kbit(self, key: str, text: str) -> int:
        kbit = self._places.parse(key, parse_rate, text) / 1000
        if not (kbit.is_integer() and _SLOWEST_KBIT <= kbit <= _FASTEST_KBIT):
            raise self._places.error(key, f"expected whole kbit/s, from 16 kbit/s to 1 Gbit/s, not {text}")
        return int(kbit)

    def _topup(self) -> int:
        size = self._places.parse("quota.topup", parse_size, str(self._settings.quota.topup))
        if not size:
            raise self._places.error("quota.topup", "expected more than 0, such as 1 GiB")
        return size
