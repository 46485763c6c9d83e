"""The list of many sites, in a real browser.

The picture that is kept is made by

    DOCS_PICTURES=docs sh scripts/test tests/report/test_sites_page.py
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Locator, Page, expect

from dalla_mqtt.report.web.server import Server
from dalla_mqtt.usage.status import RouterState
from tests.report.browser import PATIENCE_MS, Visit, as_ingress, chromium, faults_of, transferred, value, values
from tests.report.house import TOKEN, Served
from tests.report.village import WEB, Village, ledger_of, moves

expect.set_options(timeout=PATIENCE_MS)

MB = 10**6
HOSTILE = "<img src=x onerror=document.title='run'>/../?#"
SIZES = {"alices": 300 * MB, "bobs": 900 * MB, "cottage": 20 * MB, HOSTILE: 7 * MB}
Look = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def village() -> Iterator[Village]:
    """Four sites with figures, and one of which nothing is known yet."""
    with Village([*SIZES, "new"]) as village:
        yield village


@pytest.fixture(autouse=True)
def _as_it_was(village: Village) -> None:
    for number, (name, size) in enumerate(SIZES.items()):
        village.tell(name, moves(ledger_of(MB, 2 + number), size), "unreachable" if name == "cottage" else "ok")


@pytest.fixture
def look(browser: Browser, village: Village) -> Iterator[Look]:
    """Look at the list; whatever it does wrong fails the test."""
    visits: list[Visit] = []

    def look(**how: object) -> Visit:
        visits.append(Visit(browser, f"{village.url}/", **how))  # type: ignore[arg-type]
        visits[-1].open("#sites tr")
        return visits[-1]

    yield look
    for visit in visits:
        visit.close()


def names(page: Page) -> list[str]:
    return page.locator("#sites .name").all_inner_texts()


def row(page: Page, name: str) -> Locator:
    return page.locator("#sites tr").filter(has=page.get_by_role("link", name=name, exact=True))


def test_each_site_is_there_with_its_figures_the_largest_first(look: Look) -> None:
    page = look().page
    assert names(page) == ["bobs", "alices", "cottage", HOSTILE, "new"]
    for number, (name, size) in enumerate(SIZES.items()):
        cells = row(page, name).locator("data")
        assert values(cells) == [size // 60, size, size, 2, 2 + number]
    expect(row(page, "bobs")).to_contain_text("900 MB")
    expect(row(page, "cottage").locator(".tag")).to_have_text("Unreachable")
    expect(row(page, "new").locator(".tag")).to_have_text("Starting")
    expect(row(page, "new")).to_contain_text("never")
    expect(row(page, "bobs").locator(".polled")).to_have_text(re.compile(r"\d+ \w+ ago"))
    assert value(page.locator("#today")) == value(page.locator("#period")) == sum(SIZES.values())
    expect(page.locator("#well")).to_have_text("3 of 5")
    expect(page.locator("#others")).to_have_text("1 unreachable · 1 starting")
    expect(page.locator("#count")).to_have_text("5 sites")
    assert page.locator("img").count() == 1, "the icon"
    assert "run" not in page.title()


def test_it_is_sorted_by_any_column_with_the_keyboard(look: Look) -> None:
    page = look().page
    header = page.get_by_role("columnheader", name="Site")
    expect(page.get_by_role("columnheader", name="This period")).to_have_attribute("aria-sort", "descending")
    header.get_by_role("button").press("Enter")
    assert names(page) == sorted([*SIZES, "new"])
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("#said")).to_have_text("Sorted by site, ascending.")
    header.get_by_role("button").press("Space")
    assert names(page) == sorted([*SIZES, "new"], reverse=True)
    page.get_by_role("columnheader", name="Today").get_by_role("button").press("Enter")
    assert names(page)[0] == "bobs"
    page.get_by_role("columnheader", name="Today").get_by_role("button").press("Enter")
    assert names(page)[-1] == "bobs"
    page.get_by_role("columnheader", name="Devices").get_by_role("button").press("Enter")
    assert names(page)[:2] == [HOSTILE, "cottage"]
    page.get_by_role("columnheader", name="Router").get_by_role("button").press("Enter")
    assert names(page)[-2:] == ["cottage", "new"]


def test_a_site_is_found_by_a_part_of_its_name(look: Look) -> None:
    page = look().page
    page.get_by_role("searchbox", name="Find a site").fill("OB")
    expect(page.locator("#sites tr")).to_have_count(1)
    assert names(page) == ["bobs"]
    expect(page.locator("#count")).to_have_text("1 of 5 sites")
    page.get_by_role("searchbox").fill("")
    expect(page.locator("#sites tr")).to_have_count(5)


def test_what_moves_is_there_without_a_reload(browser: Browser, village: Village) -> None:
    visit = Visit(browser, f"{village.url}/")
    visit.page.clock.install()
    page = visit.open("#sites tr")
    page.evaluate("window.still = 'here'")
    village.tell("cottage", moves(ledger_of(MB), 5000 * MB))
    page.clock.fast_forward(10_000)
    expect(row(page, "cottage").locator(".of-today data")).to_have_attribute("value", str(5000 * MB))
    expect(row(page, "cottage").locator(".tag")).to_have_text("OK")
    assert names(page)[0] == "cottage"
    assert page.evaluate("window.still") == "here"
    visit.close()


def test_each_leads_to_its_own_page_and_that_leads_back(browser: Browser, tmp_path: Path) -> None:
    server = Server(WEB, ["home", "health"])
    (tmp_path / "health").mkdir()
    with (
        Served(tmp_path, server=server, days=1) as home,
        Served(tmp_path / "health", site="health", server=server, days=1) as health,
    ):
        home.tell()
        health.tell()
        visit = Visit(browser, f"http://127.0.0.1:{server.port}/")
        visit.url = as_ingress(visit, "api/hassio_ingress/abc/")
        page = visit.open("#sites tr")
        page.get_by_role("link", name="health", exact=True).press("Enter")
        expect(page.locator("#site")).to_have_text("health")
        page.locator("#graphs .u-over").first.wait_for()
        assert faults_of(page) == []
        page.get_by_role("link", name="All sites").press("Enter")
        expect(page.locator("#sites tr")).to_have_count(2)
        assert page.url == visit.url
        visit.close()
    assert {"", "api/sites", "site/health/", "site/health/static/page.js", "site/health/api/now"} <= {*visit.asked}


def test_it_tells_when_the_daemon_is_gone_and_comes_back_by_itself(browser: Browser) -> None:
    with Village(["home"]) as village:
        village.tell("home", ledger_of(MB))
        visit = Visit(browser, f"{village.url}/")
        page = visit.open("#sites tr")
        port = village.server.port
        village.pages["home"].stop()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#lost")).to_contain_text(re.compile(r"^Not connected since \d\d:\d\d"))
        assert names(page) == ["home"]
    assert port is not None
    with Village(["home"], replace(WEB, port=port)) as village:
        village.tell("home", ledger_of(2 * MB))
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#lost")).to_be_hidden()
        expect(page.locator("#live")).to_have_text("Live")
        visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_no_fault(look: Look, scheme: str, width: int) -> None:
    page = look(scheme=scheme, width=width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert faults_of(page) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 18, 25)"
    assert dark is (scheme == "dark")


def test_it_is_small(look: Look) -> None:
    assert transferred(look()) < 60_000


def test_who_must_say_the_token_to_look_is_asked_for_it(browser: Browser) -> None:
    with Village(["home"], replace(WEB, read="token")) as village:
        village.tell("home", ledger_of(MB))
        visit = Visit(browser, f"{village.url}/")
        visit.page.goto(visit.url)
        visit.page.get_by_role("button", name="Enter the token").click()
        assert faults_of(visit.page) == []
        visit.page.locator("#token input").fill(TOKEN)
        visit.page.get_by_role("button", name="Use it").click()
        expect(visit.page.locator("#sites tr")).to_have_count(1)
        expect(visit.page.locator("#locked")).to_be_hidden()
        visit.close()


@pytest.mark.alone
def test_a_thousand_are_drawn_and_sorted_soon(browser: Browser) -> None:
    houses = [f"house-{number:04}" for number in range(1000)]
    with Village(houses) as village:
        ledger = ledger_of(MB, 20)
        for number, name in enumerate(houses):
            village.tell(name, moves(ledger, number * MB))
        visit = Visit(browser, f"{village.url}/")
        page = visit.open("#sites tr:nth-child(1000)")
        assert names(page)[0] == "house-0999"
        drawn_ms = page.evaluate(
            """() => {
                const asked = performance.getEntriesByType("resource").find(one => one.name.endsWith("/api/sites"));
                return new Promise(resolve => requestAnimationFrame(() => setTimeout(() => {
                    resolve(performance.now() - asked.responseEnd);
                })));
            }"""
        )
        sorted_ms = page.evaluate(
            """() => {
                const began = performance.now();
                document.querySelector("[data-by=name] button").click();
                document.body.getBoundingClientRect();
                return performance.now() - began;
            }"""
        )
        print(f"drawn in {drawn_ms:.0f} ms, sorted in {sorted_ms:.0f} ms")
        assert names(page)[0] == "house-0000"
        assert drawn_ms < 3000
        assert sorted_ms < 1000
        visit.close()


@pytest.mark.skipif("DOCS_PICTURES" not in os.environ, reason="pictures are made where they are wanted")
def test_a_picture_is_taken_for_the_documentation(browser: Browser) -> None:
    from PIL import Image  # noqa: PLC0415  # matplotlib's

    random = Random(5)  # noqa: S311  # no secret
    streets = [f"{tree}-{kind}" for tree in ("alder", "birch", "cedar", "elm", "maple") for kind in ("hill", "lane")]
    houses = [f"{street}-{number}" for street in streets for number in range(1, 101)]
    ledgers = [ledger_of(MB, devices) for devices in range(4, 24)]
    states: list[RouterState] = ["ok", "busy", "unreachable"]
    with Village(houses) as village:
        for name in houses:
            ledger = moves(random.choice(ledgers), random.randrange(10**9, 10**11))
            total = replace(
                ledger.total, today=ledger.total.usage // random.randrange(20, 90), rate=random.randrange(9, 10**5)
            )
            state = random.choices(states, [200, 1, 2])[0]
            village.tell(name, replace(ledger, total=total), state, time.time() - random.randrange(60))
        visit = Visit(browser, f"{village.url}/", height=760)
        file = Path(os.environ["DOCS_PICTURES"]) / "page-sites.png"
        visit.open("#sites tr:nth-child(1000)").screenshot(path=file)
        visit.close()
        with Image.open(file) as picture:
            picture.quantize(256).save(file, optimize=True)
        assert file.stat().st_size < 150_000
