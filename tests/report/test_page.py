"""The page, in a real browser, of a real daemon.

The pictures that are kept are made by

    DOCS_PICTURES=docs sh scripts/test tests/report/test_page.py
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from dalla_mqtt.usage.hours import hour_of
from dalla_mqtt.usage.ledger import TOTAL, Key, Series
from tests.processes import wait_until
from tests.report.browser import PATIENCE_MS, Visit, as_ingress, chromium, faults_of, row, transferred, value, values
from tests.report.family import TOKEN, ZONE, Family

expect.set_options(timeout=PATIENCE_MS)

HOSTILE = "<img src=x onerror=document.title='run'>"
Look = Callable[..., Visit]
# The colour that most of the bars have.
BARS = """(() => {
    const canvas = document.querySelector("figure.delta canvas"), counts = {};
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4) {
        const colour = data.slice(at, at + 4).join();
        if (data[at + 3] === 255) counts[colour] = (counts[colour] ?? 0) + 1;
    }
    return Object.entries(counts).sort((one, other) => other[1] - one[1])[0][0];
})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Family]:
    """Three days in two billing periods."""
    yesterday = datetime.now(ZoneInfo(ZONE)) - timedelta(days=1)
    family = Family(
        tmp_path_factory.mktemp("family"),
        tariff={"period_starts": yesterday.day},
        quota={"pool": {"Everybody": {"quota": {"on_peak": "60 GiB", "off_peak": "90 GiB"}}}},
    )
    yield family
    family.close()


@pytest.fixture
def family(lived: Family) -> Family:
    """The same family all along; its daemon runs."""
    if lived.dalla is None:
        lived.run()
    return lived


@pytest.fixture
def look(browser: Browser, family: Family) -> Iterator[Look]:
    """Look at the page; whatever it does wrong fails the test."""
    visits: list[Visit] = []

    def look(**how: object) -> Visit:
        visits.append(Visit(browser, family.url, **how))  # type: ignore[arg-type]
        visits[-1].open()
        return visits[-1]

    yield look
    for visit in visits:
        visit.close()


def choose(page: Page, name: str, choice: str) -> None:
    page.locator(f"[name={name}][value={choice}]").check(force=True)


def use_token(page: Page, token: str) -> None:
    page.locator("#token input").fill(token)
    page.get_by_role("button", name="Use it").click()


def figures(series: Series) -> dict[str, int]:
    period = series.on_peak + series.off_peak
    return {"period": period, "today": series.today, "now": series.rate}


def test_every_figure_of_now_is_what_the_state_file_holds(family: Family, look: Look) -> None:
    family.add("bobs-phone", 7_654_321)
    family.settle()
    page = look().page
    ledger = family.ledger
    tiles = {name: value(page.locator(f"#{name}")) for name in ("rate", "today", "period")}
    total = figures(ledger.total)
    assert tiles == {"rate": total["now"], "today": total["today"], "period": total["period"]}
    assert values(page.locator("#period-split data")) == [ledger.total.on_peak, ledger.total.off_peak]
    assert total["today"] > 0
    assert total["period"] < ledger.total.usage
    for span in ("today", "now", "period"):
        choose(page, "span", span)
        for name, series in ledger.users.items():
            assert value(row(page, "users", name).locator(".value")) == figures(series)[span], (name, span)
        for device in ledger.devices.values():
            assert value(row(page, "devices", device.called).locator(".value data")) == figures(device.series)[span]
        shown = values(page.locator("#users .value"))
        assert shown == sorted(shown, reverse=True)
    for name, series in ledger.users.items():
        assert values(row(page, "users", name).locator(".split data")) == [series.on_peak, series.off_peak]
    bob = row(page, "users", "Bob").inner_text()
    assert re.search(r"Bob has used [\d.]+ of 30 GiB \(\d+ %\), \d+ days? left", bob), bob
    pool = row(page, "pools", "Everybody")
    expect(pool.locator(".label")).to_have_text(["On-peak quota", "Off-peak quota"])
    expect(pool).to_contain_text("of 60 GiB on-peak")
    assert "Archer C20" in page.locator("#router").inner_text()
    expect(page.locator("#router-state")).to_have_text("OK")


@pytest.mark.parametrize("by", ["hour", "day", "month"])
def test_the_history_is_what_the_records_hold(family: Family, look: Look, by: str) -> None:
    family.settle()
    page = look().page
    choose(page, "by", by)
    device = next(device for device in family.ledger.devices.values() if device.called == "bobs-tv")
    series = {
        "total": (TOTAL, family.ledger.total),
        "user/alice": (Key("user", "Alice"), family.ledger.users["Alice"]),
        f"device/{device.mac.dashed.lower()}": (Key("device", device.mac.dashed), device.series),
    }
    for of, (key, now) in series.items():
        with page.expect_response(f"**/api/history?of={of}&by={by}"):
            page.locator("#of").select_option(of)
        expect(page.locator("figure.total .canvas")).to_have_attribute(
            "aria-label", re.compile(f"each|{re.escape(of)}|in")
        )
        page.wait_for_function(
            "name => document.querySelector('caption').textContent.endsWith(name)", arg=name_of(page)
        )
        deltas = values(page.locator("figure.delta td:last-child data"))
        totals = values(page.locator("figure.total td data"))
        on_peak = values(page.locator("figure.delta td:nth-of-type(1) data"))
        off_peak = values(page.locator("figure.delta td:nth-of-type(2) data"))
        assert [on + off for on, off in zip(on_peak, off_peak, strict=True)] == deltas
        assert [delta for delta in deltas[::-1] if delta] == on_record(family, key, by)
        assert totals == [now.usage - later for later in accumulate([0, *deltas[:-1]])]
        assert len(deltas) > (1 if by == "month" else 2)


def name_of(page: Page) -> str:
    chosen: str = page.locator("#of").evaluate("select => select.selectedOptions[0].textContent")
    return chosen


def on_record(family: Family, key: Key, by: str) -> list[int]:
    """All that is not 0, the oldest first, by the files."""
    ledger = family.ledger
    assert ledger.at is not None
    if by == "hour":
        oldest = hour_of(int(ledger.at)) - 47 * 3600
        return [size for start, size in sorted(family.hours(key).items()) if start >= oldest]
    assert ledger.day is not None
    assert ledger.period is not None
    days = [ledger.day - timedelta(days=back) for back in range(9, -1, -1)]
    spans = [(day, day) for day in days]
    if by == "month":
        spans = [(days[0], ledger.period - timedelta(days=1)), (ledger.period, ledger.day)]
    return [size for span in spans if (size := sum(family.moved(*span).get(key, (0, 0))))]


def test_both_graphs_are_drawn_and_say_what_is_under_the_pointer(look: Look) -> None:
    page = look().page
    choose(page, "by", "day")
    for graph in ("delta", "total"):
        canvas = page.locator(f"figure.{graph} canvas")
        colours: int = canvas.evaluate(
            "canvas => new Set(new Uint32Array(canvas.getContext('2d')"
            ".getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"
        )
        assert colours > 5
    told = page.locator("figure.delta .told")
    before = told.inner_text()
    page.locator("figure.delta .u-over").hover()
    expect(told).to_contain_text(re.compile(r"\d{4}: .* on-peak .*, off-peak "))
    page.mouse.move(0, 0)
    expect(told).to_have_text(before)


def test_what_moves_is_there_without_a_reload(family: Family, look: Look) -> None:
    page = look().page
    page.evaluate("window.still = 'here'")
    total, alice = page.locator("#period"), row(page, "users", "Alice").locator(".value")
    before = value(total), value(alice)
    family.add("alices-laptop", 123_456_789)
    expect(alice).to_have_attribute("value", str(before[1] + 123_456_789))
    assert value(total) == before[0] + 123_456_789
    assert page.evaluate("window.still") == "here"


def test_a_page_that_nobody_sees_asks_nothing(look: Look) -> None:
    visit = look()
    turn = "Object.defineProperty(document, 'hidden', {{value: {}, configurable: true}});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    visit.page.evaluate(f"{turn.format('true')} {tell}")
    visit.page.wait_for_timeout(100)  # what was under way
    visit.asked.clear()
    visit.page.wait_for_timeout(3000)
    assert visit.asked == []
    with visit.page.expect_response("**/api/now"):
        visit.page.evaluate(f"{turn.format('false')} {tell}")


def test_an_unknown_device_is_given_to_a_user_by_who_has_the_token(family: Family, look: Look) -> None:
    page = look().page
    printer = row(page, "unknown", "printer")
    printer.get_by_label("Give printer to").select_option("Alice")
    printer.get_by_role("button", name="Give printer").click()
    use_token(page, "a guess")
    expect(page.locator("#token .wrong")).to_have_text("That was not the token.")
    assert not (family.folder / "user-map.csv").exists()
    use_token(page, TOKEN)
    expect(printer).to_have_count(0)
    mac = next(device.mac for device in family.devices if device.name == "printer")
    assert f"Alice, {mac.colons}" in (family.folder / "user-map.csv").read_text("utf-8").replace("-", ":")
    expect(page.locator("#said")).to_have_text("printer is given to Alice.")
    expect(row(page, "devices", "printer").locator("td").first).to_have_text("Alice")
    # Once is enough in this tab, and no other has it.
    tablet = row(page, "unknown", "kitchen-tablet")
    tablet.get_by_label("Give kitchen-tablet to").select_option("Bob")
    tablet.get_by_role("button", name="Give kitchen-tablet").click()
    expect(tablet).to_have_count(0)
    assert TOKEN not in page.content()
    assert page.evaluate("Object.keys(localStorage).length") == 0


def test_who_does_not_give_the_token_changes_nothing(look: Look) -> None:
    page = look().page
    page.get_by_role("button", name="Poll now").click()
    expect(page.get_by_role("dialog", name="Token")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Token")).to_be_hidden()
    expect(page.locator("#said")).to_be_empty()


def test_a_device_is_renamed_and_a_user_topped_up_and_limited_by_keyboard_alone(family: Family, look: Look) -> None:
    page = look().page
    page.evaluate(f"sessionStorage.setItem('dalla-token', '{TOKEN}')")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the figures")).to_be_focused()
    page.get_by_role("button", name="Change bobs-laptop").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("the old laptop")
    page.keyboard.press("Enter")
    expect(row(page, "devices", "the old laptop")).to_have_count(1)
    assert "the old laptop" in [device.name for device in family.ledger.devices.values()]

    bob = row(page, "users", "Bob")
    page.get_by_role("button", name="Change Bob", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_label("Top up the quota by").press("Control+A")
    page.keyboard.type("5 GiB")
    page.keyboard.press("Enter")
    expect(bob.locator(".pace")).to_contain_text("of 35 GiB")
    page.get_by_role("button", name="Change Bob", exact=True).press("Enter")
    page.get_by_label("Part of the quota").press("Tab")
    page.keyboard.type("a lot")
    page.keyboard.press("Enter")
    expect(page.locator("#change .wrong")).to_contain_text("Expected a size")
    page.get_by_role("button", name="Limit now").press("Enter")
    expect(bob.get_by_text("Throttled")).to_be_visible()
    page.get_by_role("button", name="Change Bob", exact=True).press("Enter")
    page.get_by_role("button", name="Let go").press("Enter")
    expect(bob.get_by_text("Throttled")).to_be_hidden()


def test_the_figures_are_switched_and_histories_chosen_by_keyboard(look: Look) -> None:
    page = look().page
    page.locator("[name=span]:checked").press("ArrowRight")
    expect(page.locator("#devices-figure")).to_have_text("Now")
    with page.expect_response("**/api/history?of=user/alice&by=day"):
        page.get_by_role("link", name="Alice", exact=True).press("Enter")
    expect(page.get_by_role("heading", name="History")).to_be_focused()
    expect(page.locator("#of")).to_have_value("user/alice")
    page.locator("figure.delta summary").press("Enter")
    expect(page.get_by_role("table", name="Moved each day, Alice")).to_be_visible()


def test_a_name_that_is_markup_stays_text(family: Family, look: Look) -> None:
    stranger = {"mac": "0C:80:63:00:00:99", "ip": family.devices[8].ip}
    family.router.do("move", **stranger, name=HOSTILE)
    family.router.do("add", **stranger, bytes=5_000_000)
    page = look().page
    for part in ("unknown", "devices"):
        expect(row(page, part, HOSTILE)).to_have_count(1)
    page.get_by_role("button", name=f"Change {HOSTILE}").click()
    expect(page.locator("#change-title")).to_have_text(HOSTILE)
    assert page.locator("img").count() == 1, "the icon"
    assert "run" not in page.title()


def test_it_tells_when_the_daemon_is_gone_and_comes_back_by_itself(family: Family, look: Look) -> None:
    page = look().page
    page.evaluate("window.still = 'here'")
    before = page.locator("#period").inner_text()
    family.stop()
    expect(page.locator("#lost")).to_contain_text(re.compile(r"^Not connected since \d\d:\d\d"))
    assert page.locator("#period").inner_text() == before
    family.run()
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#live")).to_have_text("Live")
    assert page.evaluate("window.still") == "here"


def test_the_scheme_is_the_systems_until_another_is_chosen(look: Look) -> None:
    page = look(scheme="dark").page
    paper = "getComputedStyle(document.body).backgroundColor"
    dark, bars = page.evaluate(paper), page.evaluate(BARS)
    page.get_by_role("button", name="Dark").click()
    page.mouse.move(0, 0)
    light = page.evaluate(paper)
    assert light != dark
    page.wait_for_function(f"before => {BARS} !== before", arg=bars)
    page.reload()
    assert page.evaluate(paper) == light
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Dark")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_no_fault(look: Look, scheme: str, width: int) -> None:
    page = look(scheme=scheme, width=width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for summary in page.locator("summary").all():
        summary.click()
    faults = {"as it is": faults_of(page)}
    page.get_by_role("button", name="Change bobs-phone").click()
    faults["dialog"] = faults_of(page)
    page.get_by_role("button", name="Give").last.click()
    expect(page.get_by_role("dialog", name="Token")).to_be_visible()
    faults["token"] = faults_of(page)
    assert {where: found for where, found in faults.items() if found} == {}


def test_it_is_small(look: Look) -> None:
    assert transferred(look()) < 150_000


def test_it_works_below_another_path(browser: Browser, family: Family) -> None:
    visit = Visit(browser, family.url)
    visit.url = as_ingress(visit, "api/hassio_ingress/abc/")
    visit.open()
    visit.close()
    assert {"", "static/page.css", "api/now"} <= set(visit.asked)


def test_who_must_say_the_token_to_look_is_asked_for_it(browser: Browser, tmp_path: Path) -> None:
    with living(tmp_path, days=1, web={"read": "token"}) as family:
        family.run()
        visit = Visit(browser, family.url)
        visit.page.goto(family.url)
        visit.page.get_by_role("button", name="Enter the token").click()
        use_token(visit.page, TOKEN)
        expect(row(visit.page, "users", "Alice")).to_have_count(1)
        expect(visit.page.locator("#locked")).to_be_hidden()
        visit.close()


def test_nothing_can_be_changed_where_there_is_no_token(browser: Browser, tmp_path: Path) -> None:
    with living(tmp_path, days=1, web={"token": None}) as family:
        family.run()
        visit = Visit(browser, family.url)
        page = visit.open()
        expect(row(page, "unknown", "printer")).to_have_count(1)
        for button in ("Give printer", "Change printer", "Change Alice", "Poll now"):
            expect(page.get_by_role("button", name=button, exact=True)).to_have_count(0)
        visit.close()


@contextmanager
def living(folder: Path, days: int, **settings: object) -> Iterator[Family]:
    family = Family(folder, days, **settings)
    try:
        yield family
    finally:
        family.close()


@pytest.mark.skipif("DOCS_PICTURES" not in os.environ, reason="pictures are made where they are wanted")
def test_pictures_are_taken_for_the_documentation(browser: Browser, tmp_path: Path) -> None:
    from PIL import Image  # noqa: PLC0415  # matplotlib's

    users = {
        "Alice": {"hostnames": ["alices-*"], "quota": "50 GiB"},
        "Bob": {"hostnames": ["bobs-*"], "quota": "75 GiB", "at_quota": "throttle"},
        "Family": {"hostnames": ["kitchen-*", "living-room-*", "games-*"], "quota": "250 GiB"},
    }
    with living(tmp_path, days=45, traffic="lively", users=users) as family:
        family.run()
        wait_until(lambda: family.ledger.total.rate > 500_000, "somebody who is there")
        views = {"light": (1200, 1400, "light"), "dark": (1200, 1400, "dark"), "phone": (390, 1400, "light")}
        for name, (width, height, scheme) in views.items():
            visit = Visit(browser, family.url, width=width, height=height, scheme=scheme)
            file = Path(os.environ["DOCS_PICTURES"]) / f"page-{name}.png"
            visit.open().screenshot(path=file)
            visit.close()
            with Image.open(file) as picture:
                picture.quantize(256).save(file, optimize=True)
            assert file.stat().st_size < 150_000
