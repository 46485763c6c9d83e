"""Ids: who has which, and who is meant by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.usage.ids import Ids, device_id
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Subject
from dalla_mqtt.usage.reading import Mac


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
    made = Ids()
    made.meet([name])
    assert made.user(name) == slug


@given(st.lists(st.text(min_size=1), unique=True, max_size=20))
def test_no_two_users_share_an_id_and_none_breaks_a_topic_or_an_address(names: list[str]) -> None:
    made = Ids()
    made.meet(names)
    ids = [made.user(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for one in ids)


def test_the_first_of_two_users_with_equal_slugs_keeps_the_plain_one() -> None:
    made = Ids()
    made.meet(["Alice"])
    made.meet(["alice", "Alice"])
    assert (made.user("Alice"), made.user("alice")) == ("alice", "alice-2")


def test_ids_that_users_have_already_are_theirs_whoever_comes_first() -> None:
    ids = Ids({"A+B": "a-b"})
    assert ids.meet(["A/B", "A+B"]) == {"A/B": "a-b-2"}
    assert ids.slugs == {"A+B": "a-b", "A/B": "a-b-2"}


def test_who_is_meant_is_found_by_the_id_and_by_nothing_that_only_looks_like_it() -> None:
    ids = Ids({"Alice": "alice"}, ["Family", "alice"])
    phone = Mac.parse("CB-BD-AB-90-2D-38")
    assert ids.subject_at("user/alice") == Subject("user", "Alice")
    assert ids.subject_at("pool/alice") == Subject("pool", "alice")
    assert (ids.pool("Family"), ids.pool("alice")) == ("family", "alice")
    assert ids.subject_at(f"device/{device_id(phone)}") == Subject("device", phone.dashed)
    for path in (
        "user/Alice",
        "user/family",
        "device/CB-BD-AB-90-2D-38",
        "device/cbbdab902d38",
        "device/",
        "alice",
        "",
    ):
        assert ids.subject_at(path) is None
