from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.mqtt.topics import QUOTA, TOPUP_SET, Topics
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Subject


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Alice", "alice"),
        ("Bób & Co.", "bob-co"),
        ("a/b+c#d$", "a-b-c-d"),
        ("Алиса", "user"),
        ("🦆", "user"),
        ("total", "total-2"),
        ("Router", "router-2"),
        ("unknown", "unknown-2"),
        ("cb-bd-ab-90-2d-38", "cb-bd-ab-90-2d-38-2"),
        (UNKNOWN, "unknown"),
    ],
)
def test_a_users_name_becomes_a_slug_that_is_nobody_elses(name: str, slug: str) -> None:
    made = Topics("dalla", "home")
    made.ids.meet([name])
    assert made.user(name) == f"dalla/home/user/{slug}"


@given(st.lists(st.text(min_size=1), unique=True, max_size=20))
def test_no_two_users_share_an_id_and_none_breaks_a_topic(names: list[str]) -> None:
    made = Topics("dalla", "home")
    made.ids.meet(names)
    ids = [made.ids.user(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for one in ids)


def test_the_first_of_two_users_with_equal_slugs_keeps_the_plain_one() -> None:
    made = Topics("dalla", "home")
    made.ids.meet(["Alice"])
    made.ids.meet(["alice", "Alice"])
    assert (made.ids.user("Alice"), made.ids.user("alice")) == ("alice", "alice-2")


def test_ids_that_users_have_already_are_theirs_whoever_comes_first() -> None:
    topics = Topics("dalla", "home", {"A+B": "a-b"})
    assert topics.ids.meet(["A/B", "A+B"]) == {"A/B": "a-b-2"}
    assert topics.ids.slugs == {"A+B": "a-b", "A/B": "a-b-2"}


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
