"""What brokers keep, with a real state file as the memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Literal

import pytest

from dalla_mqtt.archive.store import Store
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.mqtt.discovery import Discovery, Offer
from dalla_mqtt.mqtt.payloads import Known
from dalla_mqtt.mqtt.retained import Retained
from dalla_mqtt.mqtt.topics import Topics
from dalla_mqtt.usage.ledger import Ledger, Rules, account
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.quota import Standing, Subject, Window
from dalla_mqtt.usage.reading import Mac, Reading, Row
from dalla_mqtt.usage.tariff import Tariff

PHONE, LAPTOP = Mac.parse("02:00:00:00:00:01"), Mac.parse("02:00:00:00:00:02")
CONFIG = "homeassistant/device/dalla_home_02-00-00-00-00-01/config"


def ledger_of(*macs: Mac, moved: int = 1) -> Ledger:
    rows = tuple(Row(f"192.168.1.{number}", mac, moved, moved) for number, mac in enumerate(macs))
    return account(Ledger(), Reading(rows), Rules(People(), Tariff(), 60, 1e9), at=1_000_000, elapsed_s=60)[0]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "state.db")) as made:
        yield made


def retained(
    store: Store,
    *,
    base: str = "dalla",
    site: str = "home",
    prefix: str | None = "homeassistant",
    pools: tuple[str, ...] = (),
) -> Retained:
    topics = Topics(base, site, pools=pools)
    topics.ids.meet([UNKNOWN])
    discovery = Discovery(topics, prefix, (), "http://192.168.1.1", Offer(2**30, by_time=False)) if prefix else None
    return Retained(store, topics, discovery)


def cleared(of: Retained) -> list[str]:
    """All that is cleared in two batches, of which the second knows that the first arrived."""
    topics = [topic for topic, _ in of.clear(states=False)]
    assert all(topic.endswith("/config") for topic in topics), "entities go before what they show"
    of.arrived()
    topics += [topic for topic, _ in of.clear(states=True)]
    of.arrived()
    assert list(of.clear(states=True)) == []
    return sorted(topics)


def test_all_that_will_be_there_is_remembered_before_it_is(store: Store) -> None:
    first = retained(store)
    first.settle(Known())
    assert store.retained().keys() == {
        "dalla/home/status",
        "dalla/home/router",
        "dalla/home/peak",
        "homeassistant/device/dalla_home_router/config",
    }
    first.settle(Known(ledger_of(PHONE)))
    assert {
        CONFIG,
        "dalla/home/device/02-00-00-00-00-01/state",
        "dalla/home/user/unknown/usage",
    } < store.retained().keys()
    assert cleared(first) == []


@pytest.mark.parametrize("changed", [{"base": "usage"}, {"site": "dorm"}, {"prefix": "ha"}, {"prefix": None}])
def test_what_was_said_elsewhere_before_is_cleared_and_then_forgotten(store: Store, changed: dict[str, str]) -> None:
    ledger = ledger_of(PHONE)
    retained(store).settle(Known(ledger))
    before = set(store.retained())
    after = retained(store, **changed)
    after.settle(Known(ledger))
    assert cleared(after) == sorted(before - {*after._wanted})
    assert store.retained().keys() == after._wanted
    assert cleared(retained(store, **changed)) == []


def test_what_a_broker_did_not_hear_is_cleared_again(store: Store) -> None:
    ledger = ledger_of(PHONE)
    retained(store).settle(Known(ledger))
    after = retained(store, prefix=None)
    after.settle(Known(ledger))
    assert len(list(after.clear(states=False))) == 4
    assert len(list(after.clear(states=False))) == 4, "the connection broke"
    again = retained(store, prefix=None)
    again.settle(Known(ledger))
    assert len(list(again.clear(states=False))) == 4, "the daemon was killed"


def test_a_device_that_was_removed_in_home_assistant_stays_away_until_it_moves_something(store: Store) -> None:
    ledger = ledger_of(PHONE, LAPTOP)
    home = retained(store)
    home.settle(Known(ledger))
    home.remove(CONFIG, Known(ledger))
    home.settle(Known(ledger))
    assert home.hidden == {CONFIG: PHONE}
    assert cleared(home) == [], "it is cleared already"
    restarted = retained(store)
    restarted.settle(Known(ledger))
    assert restarted.hidden == {CONFIG: PHONE}
    restarted.settle(Known(ledger_of(PHONE, LAPTOP, moved=2)))
    assert restarted.hidden == {}
    assert store.retained()[CONFIG] is None


def stands(*of: tuple[Literal["user", "device", "pool"], str]) -> dict[Subject, Standing]:
    days = Window(date(2026, 11, 1), date(2026, 11, 30))
    subjects = [Subject(kind, name) for kind, name in of]
    return {one: Standing(one, days, (), "notify", limited=False, text=None) for one in subjects}


def test_where_there_is_no_quota_any_more_nothing_is_left_of_it(store: Store) -> None:
    ledger = ledger_of(PHONE)
    user, device, pool = ("user", UNKNOWN), ("device", PHONE.dashed), ("pool", "Family")
    home = retained(store, pools=("Family",))
    home.settle(Known(ledger, stands(user, device, pool)))
    mine = "dalla/home/device/02-00-00-00-00-01/quota"
    of_pool = {"dalla/home/pool/family/quota", "homeassistant/device/dalla_home_pool_family/config"}
    assert of_pool | {mine, "dalla/home/user/unknown/quota"} < store.retained().keys()
    home.settle(Known(ledger, stands(user, pool)))
    assert cleared(home) == [mine]
    home.settle(Known(ledger, stands(user, device, pool)))
    assert mine in store.retained()
    restarted = retained(store)
    restarted.settle(Known(ledger, stands(user, device)))
    assert cleared(restarted) == sorted(of_pool)


def test_what_was_told_of_quotas_stays_until_it_is_known_how_they_stand(store: Store) -> None:
    ledger, device, pool = ledger_of(PHONE), ("device", PHONE.dashed), ("pool", "Family")
    retained(store, pools=("Family",)).settle(Known(ledger, stands(device, pool)))
    restarted = retained(store, pools=("Family",))
    restarted.settle(Known(ledger))
    assert cleared(restarted) == []
    restarted.settle(Known(ledger, stands(pool)))
    assert cleared(restarted) == ["dalla/home/device/02-00-00-00-00-01/quota"]
    moved = retained(store, site="dorm")
    moved.settle(Known(ledger))
    assert "dalla/home/pool/family/quota" in cleared(moved), "that is not where it would be told"


def test_only_devices_can_be_removed(store: Store) -> None:
    ledger = ledger_of(PHONE)
    home = retained(store)
    home.settle(Known(ledger))
    for part in ("router", "total", "unknown", "02-00-00-00-00-09"):
        home.remove(f"homeassistant/device/dalla_home_{part}/config", Known(ledger))
    home.remove("homeassistant/device/zigbee/config", Known(ledger))
    home.settle(Known(ledger))
    assert home.hidden == {}


def test_where_nothing_can_be_remembered_all_is_said_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ArchiveError("no space left")

    home = retained(store)
    with monkeypatch.context() as disk:
        disk.setattr(store, "keep_retained", full)
        home.settle(Known(ledger_of(PHONE)))
        assert CONFIG in home._wanted
    assert store.retained() == {}
    retained(store).settle(Known(ledger_of(PHONE)))
    assert CONFIG in store.retained()
