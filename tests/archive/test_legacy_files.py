"""Lines and files that are not as dalla-stats meant to leave them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dalla_mqtt.archive import legacy_files
from dalla_mqtt.archive.legacy import DeviceLogs, Kind, LegacyFile, find_logs, read_totals
from dalla_mqtt.errors import ArchiveError

T = 1477226416
NOW = T + 10**8
HEADER = b"Time, Total Bytes, Delta, On-Peak, Off-Peak\n"
PHONE = "CB-BD-AB-90-2D-38_192.168.1.100.csv"
CACHED = b"MAC Address, IP Address, Time,Total Bytes, Delta, On-Peak, Off-Peak\n"
NOT_YET = b"Time, Total Bytes\n1477226416, 1000\n1477226476, 1500\n"


def row(minute: int, total: int = 1000) -> bytes:
    return b"%d, %d, 0, %d, 0\n" % (T + 60 * minute, total + minute, total)


def read(folder: Path) -> tuple[list[int], list[LegacyFile]]:
    """The minutes of all rows that were taken, and the files."""
    files = find_logs(folder, NOW)
    times = [(one.time - T) // 60 for one in DeviceLogs(files, 125e6)]
    read_totals(files)
    return times, list(files)


def read_one(folder: Path, text: bytes, name: str = PHONE) -> tuple[list[int], LegacyFile]:
    (folder / name).write_bytes(text)
    times, files = read(folder)
    return times, files[0]


def told(file: LegacyFile) -> list[tuple[int, int, str]]:
    return [(problem.line, problem.lines, problem.why) for problem in file.problems]


@pytest.mark.parametrize(
    "text",
    [
        HEADER + row(0) + row(1),
        row(0) + row(1),
        HEADER + HEADER + row(0) + row(1),
        HEADER + b"\n" + row(0) + b" \r\n\t\n" + row(1) + b"\n\n",
        (HEADER + row(0) + row(1)).replace(b"\n", b"\r\n"),
        (HEADER + row(0) + row(1)).replace(b", ", b","),
        b"\xef\xbb\xbf" + HEADER + row(0) + row(1),
        HEADER.upper() + row(0) + row(1),
        b"Time, Tot\n" + row(0) + row(1),
        HEADER + b"\0" * 100 + row(0) + b"\0" * 100_000 + row(1),
        HEADER + row(0) + row(1).rstrip(),
        HEADER + row(0) + b"%d.0, 1001.00, x, y, z\n" % (T + 60),
        b"Time, Total Bytes\n%d, 5\n%d, 6\n" % (T, T + 60),
        b"%d,5\n%d,6\n" % (T, T + 60),
    ],
)
def test_rows_are_taken_whatever_is_around_them(tmp_path: Path, text: bytes) -> None:
    times, file = read_one(tmp_path, text)
    assert times == [0, 1]
    assert (file.rows, told(file)) == (2, [])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"%d, 100" % T, "has 2 fields instead of 5: torn, or not a row"),
        (b"%d, 100%d, 1000, 5, 5, 0" % (T, T), "has 6 fields instead of 5: torn, or not a row"),
        (b"%d, , 0, 0, 0" % T, "has a time or a total that is not a whole number"),
        (b"%d, 1.5, 0, 0, 0" % T, "has a time or a total that is not a whole number"),
        (b"%d, 1e9, 0, 0, 0" % T, "has a time or a total that is not a whole number"),
        (b"%d, -1, 0, 0, 0" % T, "has a time or a total that is not a whole number"),
        (b"%d, 1_0, 0, 0, 0" % T, "has a time or a total that is not a whole number"),
        (b"%d, 1 0, 0, 0, 0" % T, "has a time or a total that is not a whole number"),
        (b"%d, %d, 0, 0, 0" % (T, 2**63), "has a time or a total that is not a whole number"),
        (b"%d, 1, 0, 0, 0" % 2**70, "has a time or a total that is not a whole number"),
        (b"60, 1000, 0, 0, 0", "is dated before 2016: the clock was not set"),
        (b"%d, 1000, 0, 0, 0" % (NOW + 1), "is dated in the future"),
        (b"\0\0\0", "has 1 fields instead of 5: torn, or not a row"),
        (b"Z\xfcrich", "has 1 fields instead of 5: torn, or not a row"),
        (b"Time, Total Bytes, Delta, On-P%d, 1, 1, 1, 0" % T, "has 8 fields instead of 5: torn, or not a row"),
    ],
)
@pytest.mark.parametrize("block", [1 << 16, 64])
def test_a_line_that_is_no_row_is_told_with_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, why: str, block: int
) -> None:
    monkeypatch.setattr(legacy_files, "_HEAD", len(HEADER + row(1)))
    monkeypatch.setattr(legacy_files, "_BLOCK", block)
    times, file = read_one(tmp_path, HEADER + row(1) + line + b"\n" + row(2))
    assert times == [1, 2]
    assert told(file) == [(3, 1, why)]


def test_lines_with_the_same_fault_are_told_once(tmp_path: Path) -> None:
    _, file = read_one(tmp_path, HEADER + b"x\n" * 5000 + row(0))
    assert told(file) == [(2, 5000, "has 1 fields instead of 5: torn, or not a row")]


def test_no_more_than_a_thousand_faults_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    _, file = read_one(tmp_path, HEADER + b"x\ny, y\n" * 2000)
    assert len(file.problems) == 1000
    assert sum(problem.lines for problem in file.problems) == 4000
    assert file.problems[-1].why == "and many more"


@pytest.mark.parametrize("head", [4096, len(HEADER)])
def test_times_that_go_back_are_told_and_their_bytes_are_in_the_next_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: int
) -> None:
    monkeypatch.setattr(legacy_files, "_HEAD", head)
    (tmp_path / PHONE).write_bytes(HEADER + row(0) + row(5) + row(1) + row(2) + row(6))
    files = find_logs(tmp_path, NOW)
    rows = list(DeviceLogs(files, 125e6))
    assert [(one.time - T) // 60 for one in rows] == [0, 5, 6]
    assert sum(one.delta for one in rows) == 6
    assert [(line, lines) for line, lines, _ in told(files[0])] == [(4, 2)]


def test_a_row_that_is_there_twice_is_counted_as_repeated(tmp_path: Path) -> None:
    times, file = read_one(tmp_path, HEADER + row(0) + row(0) + row(1))
    assert (times, file.rows, file.repeated, told(file)) == ([0, 1], 2, 1, [])


def test_a_torn_end_of_two_columns_may_lack_digits_and_is_told(tmp_path: Path) -> None:
    times, file = read_one(tmp_path, NOT_YET.rstrip())
    assert times == [0]
    assert told(file) == [(3, 1, "lacks its end: the number may be torn")]


def test_rows_are_right_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy_files, "_HEAD", 100)
    monkeypatch.setattr(legacy_files, "_BLOCK", 100)
    text = HEADER + b"".join(row(minute) for minute in range(500)) + b"torn"
    times, file = read_one(tmp_path, text)
    assert times == list(range(500))
    assert told(file) == [(502, 1, "has 1 fields instead of 5: torn, or not a row")]


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / PHONE).open("wb") as file:
        file.write(HEADER)
        file.truncate(50_000_000)
    times, files = read(tmp_path)
    assert times == []
    assert told(files[0]) == [(2, 1, "has 1 fields instead of 5: torn, or not a row")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"CB:BD:AB:90:2D:38, 192.168.1.100, %d, 16209" % T, "has 4 fields instead of 7: torn, or not a row"),
        (b"CB:BD:AB, 192.168.1.100, %d, 1, 0, 0, 0" % T, "has no MAC"),
        (b"CB:BD:AB:90:2D:38, \xff, %d, 1, 0, 0, 0" % T, "has no address"),
    ],
)
def test_a_line_of_a_cache_that_is_no_row_is_told(tmp_path: Path, line: bytes, why: str) -> None:
    good = b"CB:BD:AB:90:2D:38, 192.168.1.100, %d, 16209, 0, 0, 0" % T
    times, file = read_one(tmp_path, CACHED + line + b"\n\n" + good, "cache.csv")
    assert (times, told(file)) == ([0], [(2, 1, why)])


def test_a_cache_may_show_an_address_without_mac(tmp_path: Path) -> None:
    _, file = read_one(tmp_path, CACHED + b"00:00:00:00:00:00, 192.168.1.9, %d, 7, 0, 0, 0\n" % T, "cache.csv")
    assert [remark.why for remark in file.remarks] == ["7 bytes are nobody's: the router never showed a MAC for them"]


def test_a_cache_has_no_more_rows_than_a_router_has_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy_files, "_MOST_CACHED", 2)
    lines = b"".join(b"CB:BD:AB:90:2D:38, 10.0.0.%d, %d, 1, 0, 0, 0\n" % (ip, T) for ip in range(5))
    _, file = read_one(tmp_path, CACHED + lines, "cache.csv")
    assert [(line, lines) for line, lines, _ in told(file)] == [(4, 3)]


def test_folders_without_logs_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "index.html").write_text("Today")
    assert find_logs(tmp_path, NOW) == ()


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is not a folder"):
        find_logs(tmp_path / "logs", NOW)


def test_empty_files_are_known_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    for name in (PHONE, "cache.csv", "TOTAL.CSV", "users/Bob.csv", "other.csv"):
        (tmp_path / name).touch()
    _, files = read(tmp_path)
    assert [(file.path.name, file.kind, file.rows, file.problems) for file in files] == [
        (PHONE, Kind.DEVICE, 0, []),
        ("TOTAL.CSV", Kind.TOTAL, 0, []),
        ("cache.csv", Kind.CACHE, 0, []),
        ("other.csv", Kind.UNKNOWN, 0, []),
        ("Bob.csv", Kind.USER, 0, []),
    ]


@pytest.mark.parametrize("text", [b"Time, Temperature\n1477226416, 20\n", b"Time, Delta, Total Bytes\n"])
def test_other_columns_are_not_guessed_at(tmp_path: Path, text: bytes) -> None:
    times, file = read_one(tmp_path, text)
    assert times == []
    assert file.kind is Kind.UNKNOWN
    assert "other columns" in told(file)[0][2]


def test_links_are_never_walked_in_circles(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self.csv").symlink_to("self.csv")
    (tmp_path / "gone.csv").symlink_to("nowhere.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    _, files = read(tmp_path)
    assert [(file.path.name, told(file)[0][2]) for file in files] == [
        ("gone.csv", "cannot be read: No such file or directory"),
        ("loop", "is a link to a folder, which is not followed"),
        ("pipe.csv", "is not a file"),
        ("self.csv", "cannot be read: Too many levels of symbolic links"),
    ]


def test_a_name_that_is_not_utf8_can_be_shown(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    path = os.fsencode(tmp_path / "users") + b"/Z\xfcrich.csv"
    with open(path, "wb") as file:  # noqa: PTH123  # a path of bytes
        file.write(HEADER + row(0))
    _, files = read(tmp_path)
    assert (files[0].name, files[0].rows) == ("Z\N{REPLACEMENT CHARACTER}rich", 1)


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "devices").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("devices"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    _, files = read(tmp_path)
    assert [(file.path.name, told(file)) for file in files] == [
        ("devices", [(0, 1, "cannot be read: Permission denied")])
    ]


def test_a_file_that_vanishes_while_it_is_read_is_told(tmp_path: Path) -> None:
    (tmp_path / PHONE).write_bytes(HEADER + row(0))
    files = find_logs(tmp_path, NOW)
    (tmp_path / PHONE).unlink()
    assert list(DeviceLogs(files, 125e6)) == []
    assert told(files[0]) == [(0, 1, "cannot be read beyond line 1: No such file or directory")]


def lines_told(file: LegacyFile) -> int:
    return sum(problem.lines for problem in file.problems if problem.line)


def pieces() -> Iterator[st.SearchStrategy[bytes]]:
    yield st.binary(max_size=30)
    yield st.sampled_from(
        [b"\n", b"\r\n", b"\0", b",", b", ", HEADER, CACHED, b"Time, ", b"1477", b"CB:BD:AB:90:2D:38"]
    )
    yield st.builds(row, st.integers(0, 9), st.integers(0, 2**40))
    yield st.builds(
        lambda minute, total: b"CB:BD:AB:90:2D:38, 192.168.1.100, %d, %d, 0, 0, 0\n" % (T + minute, total),
        st.integers(0, 9),
        st.integers(0, 9),
    )


texts = st.lists(st.one_of(*pieces()), max_size=30).map(b"".join)


def summary(folder: Path) -> object:
    files = find_logs(folder, NOW)
    rows = list(DeviceLogs(files, 125e6))
    read_totals(files)
    counts = [(file.rows, file.repeated, file.headers, file.total, file.problems, file.remarks) for file in files]
    return rows, counts


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from([PHONE, "cache.csv", "total.csv", f"copy/{PHONE}"]), texts, max_size=4))
def test_every_line_of_whatever_bytes_is_taken_or_told(
    tmp_path_factory: pytest.TempPathFactory, texts: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    (folder / "copy").mkdir()
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    files = find_logs(folder, NOW)
    rows = list(DeviceLogs(files, 125e6))
    read_totals(files)
    for before, after in pairwise(rows):
        assert before.time < after.time
        assert before.total + after.start + after.delta == after.total
    for file in files:
        if any(not problem.line for problem in file.problems):
            continue  # told as a whole
        lines = [line for line in file.path.read_bytes().split(b"\n") if line.strip(b" \t\r")]
        assert file.rows + file.repeated + file.headers + lines_told(file) == len(lines)


@settings(max_examples=50)
@given(texts, st.integers(1, 200))
def test_where_a_block_ends_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, size: int
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    (folder / PHONE).write_bytes(HEADER + text)
    whole = summary(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(legacy_files, "_BLOCK", size)
        patch.setattr(legacy_files, "_HEAD", len(HEADER))
        assert summary(folder) == whole
