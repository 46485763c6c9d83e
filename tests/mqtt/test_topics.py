from __future__ import annotations

import pytest

from dalla_mqtt.mqtt.topics import QUOTA, TOPUP_SET, Topics
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Subject


@pytest.mark.parametrize(
    ("subject", "path"),
    [
        (Subject("user", "Alice"), "user/alice"),
        (Subject("user", UNKNOWN), "user/unknown"),
        (Subject("device", "CB-BD-AB-90-2D-38"), "device/cb-bd-ab-90-2d-38"),
        (Subject("pool", "Total"), "pool/total"),
        (Subject("pool", "Alice"), "pool/alice"),
        (Subject("pool", "alice!"), "pool/alice-2"),
        (Subject("pool", "\U0001f986"), "pool/pool"),
    ],
)
def test_who_may_have_a_quota_has_a_path_by_which_it_is_found_again(subject: Subject, path: str) -> None:
    topics = Topics("dalla", "home", {"Alice": "alice"}, ["Total", "Alice", "alice!", "\U0001f986"])
    topics.ids.meet([UNKNOWN])
    assert topics.of_subject(subject, QUOTA) == f"dalla/home/{path}/quota"
    assert topics.of_subject(subject, TOPUP_SET) == f"dalla/home/{path}/topup/set"
    assert topics.ids.subject_at(path) == subject


def test_nobody_has_any_other_path() -> None:
    topics = Topics("dalla", "home", {"Alice": "alice"})
    others = ("", "user", "user/", "user/Alice", "pool/alice", "device/", "device/CB-BD-AB-90-2D-38", "total/alice")
    assert [other for other in others if topics.ids.subject_at(other)] == []
