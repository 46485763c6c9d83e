"""Bytes as people read them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.report.sizes import per_cent, size

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15, "EB": 10**18}


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9994, "9.99 kB"),
        (9995, "10.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (36_200_000_000, "36.2 GB"),
        (-120_000, "-120 kB"),
        (-1, "-1 B"),
        (2**63, "9.22 EB"),
        (10**22, "10000 EB"),
    ],
)
def test_a_size_has_three_digits_and_a_unit(amount: int, text: str) -> None:
    assert size(amount) == text


@given(st.integers(-(2**63), 2**63))
def test_a_size_is_right_to_half_of_its_last_digit(amount: int) -> None:
    number, unit = size(amount).split(" ")
    assert len(re.sub(r"[-.]", "", number)) <= 3
    decimals = len(number.partition(".")[2])
    assert abs(round(float(number) * 10**decimals) * UNITS[unit] - amount * 10**decimals) * 2 <= UNITS[unit]


def test_a_share_is_told_to_a_tenth_of_a_per_cent() -> None:
    assert [per_cent(mille) for mille in (0, 5, 452, 1000)] == ["0.0 %", "0.5 %", "45.2 %", "100.0 %"]
