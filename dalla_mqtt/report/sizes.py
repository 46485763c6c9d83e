"""Sizes as people read them: decimal, as Home Assistant shows them, with three digits."""

from __future__ import annotations

_UNITS = "kMGTPE"
_THREE_DIGITS = 1000


def size(amount: int) -> str:
    """`512 B`, `1.62 MB`, `36.2 GB`, `-120 kB`: bytes, rounded to the nearest."""
    if abs(amount) < _THREE_DIGITS:
        return f"{amount} B"
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    for power, unit in enumerate(_UNITS, 1):
        base = 1000**power
        for decimals in (2, 1, 0):
            digits = (amount * 10**decimals + base // 2) // base
            if digits < _THREE_DIGITS:
                return f"{sign}{digits / 10**decimals:.{decimals}f} {unit}B"
    return f"{sign}{amount // 1000 ** len(_UNITS)} {_UNITS[-1]}B"


def per_cent(per_mille: int) -> str:
    """`45.2 %`."""
    return f"{per_mille / 10:.1f} %"
