"""Who is told: each of several, whatever one of them says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import load
from dalla_mqtt.mqtt import Broker
from dalla_mqtt.publishing import Everybody, open_publisher
from dalla_mqtt.report.web import Page
from dalla_mqtt.usage.commands import Command
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.status import RouterStatus


class Hearer:
    def __init__(self, name: str, heard: list[str], *, there: bool = True) -> None:
        self.name, self.heard, self.there = name, heard, there

    def start(self, again: Callable[[float], None], command: Callable[[Command], None]) -> None:  # noqa: ARG002
        self.heard.append(f"{self.name} starts")

    def tell(
        self,
        ledger: Ledger,  # noqa: ARG002
        router: RouterStatus,
        standings: Mapping[Subject, Standing],  # noqa: ARG002
        at: float,  # noqa: ARG002
    ) -> bool:
        self.heard.append(f"{self.name} hears of {router.state}")
        return self.there

    def tell_events(self, events: Iterable[Event], at: float) -> bool:  # noqa: ARG002
        self.heard += [f"{self.name} hears of {event.event}" for event in events]
        return self.there

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002
        self.heard.append(f"{self.name} is waited for")
        return self.there

    def stop(self) -> None:
        self.heard.append(f"{self.name} stops")


@pytest.mark.parametrize("there", [True, False])
def test_all_hear_of_all_even_where_the_first_is_away(there: bool) -> None:  # noqa: FBT001
    heard: list[str] = []
    both = Everybody((Hearer("broker", heard, there=there), Hearer("page", heard)))
    both.start(lambda _: None, lambda _: None)
    assert both.tell(Ledger(), RouterStatus("ok", 1.0), {}, 1.0) is there
    assert both.tell_events(iter([Event("limited", ""), Event("released", "")]), 1.0) is there
    assert both.flush(0.1) is there
    both.stop()
    assert heard == [
        "broker starts",
        "page starts",
        "broker hears of ok",
        "page hears of ok",
        "broker hears of limited",
        "broker hears of released",
        "page hears of limited",
        "page hears of released",
        "broker is waited for",
        "page is waited for",
        "page stops",
        "broker stops",
    ]


def test_nobody_is_content_with_everything() -> None:
    nobody = Everybody(())
    nobody.start(lambda _: None, lambda _: None)
    assert nobody.tell(Ledger(), RouterStatus("ok", 1.0), {}, 1.0)
    assert nobody.tell_events([Event("limited", "")], 1.0)
    assert nobody.flush(0.1)
    nobody.stop()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", Everybody),
        ("web: {listen: off}", Broker),
        ("mqtt: {url: off}", Page),
        ("mqtt: {url: off}\nweb: {listen: off}", Everybody),
    ],
)
def test_who_is_configured_is_told(tmp_path: Path, text: str, kind: type[object]) -> None:
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    store = Store(tmp_path / "state.db")
    found = open_publisher(load(tmp_path / "config.yaml", {"DALLA_ROUTER_PASSWORD": "x"}, {}), store)
    store.close()
    assert type(found) is kind
