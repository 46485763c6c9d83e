"""Sizes, as settings and commands say them."""

from __future__ import annotations

import pytest

from dalla_mqtt.config.values import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("40 GiB", 40 * 2**30),
        ("40GiB", 40 * 2**30),
        (" 40.5  GiB ", 81 * 2**29),
        ("1 B", 1),
        ("1 kB", 10**3),
        ("2 MB", 2 * 10**6),
        ("3 GB", 3 * 10**9),
        ("4 TB", 4 * 10**12),
        ("4.5 PB", 45 * 10**14),
        ("1 KiB", 2**10),
        ("1 MiB", 2**20),
        ("1 TiB", 2**40),
        ("4 PiB", 2**52),
        ("0", 0),
        (" 0 ", 0),
        ("0 GiB", 0),
        ("0.0 B", 0),
    ],
)
def test_sizes_are_read_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0.1 GB", 100_000_000),
        ("1.1 TB", 1_100_000_000_000),
        ("0.3 PB", 300_000_000_000_000),
        ("4503599627370495 B", 2**52 - 1),
        ("4.503599627370495 PB", 2**52 - 1),
        ("0.000000000000001 PB", 1),
    ],
)
def test_no_byte_is_lost_to_rounding(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_a_part_of_a_byte_is_left_out() -> None:
    assert parse_size("1.9 B") == 1
    assert parse_size("0.3 KiB") == 307


@pytest.mark.parametrize(
    "text",
    [
        *("", "40", "40.5", "00", "GiB", "-1 GiB", "+1 GiB", "40 gib", "40 KB", "40 Gbit", "40 GiB/s", "40 EiB"),
        *("1e3 B", "1_000 B", "1,5 GiB", ".5 GiB", "5. GiB", "inf B", "nan", "٣ GiB", "40 GiB 5 MiB", "0x1 B"),
        *("9" * 21 + " B", "9" * 1_000_000),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_size_is_answered_with_one_and_with_the_units(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 40 GiB") as caught:
        parse_size(text)
    units = "B kB MB GB TB PB KiB MiB GiB TiB PiB"
    assert str(caught.value) == f"expected a size such as 40 GiB, with one of {units}, not {text[:40]!r}"


@pytest.mark.parametrize("text", ["0.9 B", "0.0001 kB", "4503599627370497 B", "4.1 PiB", "5 PB"])
def test_less_than_a_byte_and_more_than_any_line_moves_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^expected 0, or a size from 1 B to 4 PiB, not '{text}'$"):
        parse_size(text)
