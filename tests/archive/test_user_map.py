from __future__ import annotations

from pathlib import Path

import pytest

from dalla_mqtt.archive.user_map import write_owner
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.reading import Mac

PHONE = Mac("CB-BD-AB-90-2D-38")


def test_a_map_is_made_where_there_is_none_and_one_of_any_editor_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "user-map.csv"
    write_owner(file, PHONE, "Bob")
    assert file.read_text() == "Name, MAC\nBob, CB-BD-AB-90-2D-38\n"
    file.write_bytes("\ufeffName, MAC\r\nZoë, 02-00-00-00-00-01\r\n".encode())
    file.chmod(0o640)
    write_owner(file, PHONE, "Bob")
    assert file.read_bytes() == "Name, MAC\r\nZoë, 02-00-00-00-00-01\r\nBob, CB-BD-AB-90-2D-38\r\n".encode()
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"Name, MAC\nAlice\n", "line 2: expected `Name, MAC`"),
        (b"\xff\xfe\n", "codec can't decode"),
        (None, "cannot write"),
    ],
)
def test_a_map_that_cannot_be_changed_is_named_and_stays_as_it_is(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "user-map.csv"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(ArchiveError, match=rf"{file}.*") as error:
        write_owner(file, PHONE, "Bob")
    assert told in str(error.value)
    assert content is None or file.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["user-map.csv"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_a_map_stays_one(tmp_path: Path, there: bool) -> None:  # noqa: FBT001  # a parameter
    file, link = tmp_path / "elsewhere" / "people.csv", tmp_path / "user-map.csv"
    if there:
        file.parent.mkdir()
        file.write_text("Name, MAC\n")
    link.symlink_to(file)
    write_owner(link, PHONE, "Bob")
    assert link.is_symlink()
    assert file.read_text() == "Name, MAC\nBob, CB-BD-AB-90-2D-38\n"
