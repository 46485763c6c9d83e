"""How it stands with a quota, in words: whole sentences that fit a phone's notification."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from dalla_mqtt.usage.hours import HOUR_S
from dalla_mqtt.usage.quota import Action, Allowance, Rate, Window
from dalla_mqtt.usage.tariff import Tariff

_DAY_S = 86_400
_MIB, _MB = 2**20, 10**6
_WEEK = 7
_PARTS = {"together": "", "on_peak": " on-peak", "off_peak": " off-peak"}
DONE: dict[Action, str] = {"throttle": "throttled", "block": "blocked"}


class Account(NamedTuple):
    """Whose quota it is, by a printable name, how it stands with one part of it, in which window, and now."""

    name: str
    allowance: Allowance
    window: Window
    now: float  # UTC epoch seconds
    tariff: Tariff


def describe(account: Account) -> str:
    """Alice has used 36.2 of 40 GiB (90 %), 6 days left; at this pace it runs out on Friday."""
    return f"{account.name} has used {_used(account)}, {_left(account)}{_outlook(account)}."


def warning(account: Account, threshold: int) -> str:
    """Alice has reached 80 %: 33.2 of 40 GiB (83 %), 6 days left; at this pace it runs out on Friday."""
    return f"{account.name} has reached {threshold} %: {_used(account)}, {_left(account)}{_outlook(account)}."


def reached(account: Account) -> str:
    """Alice has used more than the quota: 40.1 of 40 GiB (100 %), 6 days left."""
    return f"{account.name} has used more than the quota: {_used(account)}, {_left(account)}."


def projected(account: Account) -> str:
    """Alice may use more than the quota: 20 of 40 GiB (50 %), 18 days left; at this pace it runs out on 12 December."""
    return f"{account.name} may use more than the quota: {_used(account)}, {_left(account)}{_outlook(account)}."


def limited(account: Account, action: Action, rate: Rate) -> str:
    """Alice is throttled to 512/128 kbit/s until 1 December, after 41.3 of 40 GiB (103 %)."""
    part = account.allowance.part
    hours = "" if part == "together" else f" in{_PARTS[part]} hours"
    return f"{account.name} is {_limit(action, rate)}{hours} until {_end(account)}, after {_used(account)}."


def held(name: str, action: Action, rate: Rate) -> str:
    """Alice is throttled to 512/128 kbit/s until somebody ends it."""
    return f"{name} is {_limit(action, rate)} until somebody ends it."


def released(name: str, action: Action) -> str:
    """Alice is no longer throttled."""
    return f"{name} is no longer {DONE[action]}."


def _limit(action: Action, rate: Rate) -> str:
    return DONE[action] + (f" to {rate.down}/{rate.up} kbit/s" if action == "throttle" else "")


def _used(account: Account) -> str:
    """36.2 of 40 GiB on-peak (90 %)."""
    allowance = account.allowance
    used, limit = _figure(allowance, allowance.used), _figure(allowance, allowance.limit)
    unit, _ = _unit(allowance)
    return f"{used} of {limit} {unit}{_PARTS[allowance.part]} ({int(allowance.used_percent)} %)"


def _unit(allowance: Allowance) -> tuple[str, int]:
    """That of the limit, and its size: GiB where the quota was said in such, else GB."""
    binary = allowance.quota % _MIB == 0
    size, base = (_MIB, 1024) if binary else (_MB, 1000)
    larger = [power for power in (2, 1) if allowance.limit >= size * base**power]
    power = larger[0] if larger else 0
    return "MGT"[power] + ("iB" if binary else "B"), size * base**power


def _figure(allowance: Allowance, amount: int) -> str:
    """Three digits, and no more than two after the point. What is below the limit stays below it, when read, too."""
    _, size = _unit(allowance)
    decimals = 2 if amount < 10 * size else 1 if amount < 100 * size else 0
    scaled = amount * 10**decimals
    whole = scaled // size if amount < allowance.limit else -(-scaled // size)
    text = f"{whole / 10**decimals:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def _left(account: Account) -> str:
    end = account.tariff.midnight(account.window.last + timedelta(days=1))
    left_s = end.timestamp() - account.now
    if left_s >= _DAY_S:
        return f"{_count(left_s / _DAY_S, 'day')} left"
    if left_s >= HOUR_S:
        return f"{_count(left_s / HOUR_S, 'hour')} left"
    return "less than an hour left"


def _count(number: float, what: str) -> str:
    whole = int(number + 0.5)
    return f"{whole} {what}" if whole == 1 else f"{whole} {what}s"


def _outlook(account: Account) -> str:
    """What will become of it, or has."""
    allowance = account.allowance
    at = allowance.exhausted_at
    if allowance.exceeded:
        return "" if at is None else f"; it ran out {_when(account, at, 'at')}"
    if allowance.used == allowance.limit or allowance.expected is None:
        return ""
    if at is not None:
        return f"; at this pace it runs out {_when(account, at, 'after')}"
    expected = max(allowance.used, allowance.expected)
    return f"; at this pace {_figure(allowance, expected)} {_unit(allowance)[0]} at the end"


def _when(account: Account, at: float, hour: str) -> str:
    """A day as people say it; `hour` is the word before the hour, which is told today."""
    local = account.tariff.local(at)
    day = _day(account, local.date())
    return f"today {hour} {local:%H:%M}" if day == "today" else day


def _day(account: Account, day: date) -> str:
    days = (day - account.tariff.local(account.now).date()).days
    near = {-1: "yesterday", 0: "today", 1: "tomorrow"}
    if days in near:
        return near[days]
    return f"on {day:%A}" if abs(days) < _WEEK else f"on {day.day} {day:%B}"


def _end(account: Account) -> str:
    """When the window will be over."""
    if account.window.last == account.tariff.local(account.now).date():
        return "midnight"
    return _day(account, account.window.last + timedelta(days=1)).removeprefix("on ")
