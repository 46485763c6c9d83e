"""Chromium, and what a page does in it: nothing that it does wrong goes unseen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, sync_playwright

PATIENCE_MS = 20_000
_SPOKEN = "Failed to load resource"  # what Chromium says of answers that the page is ready for


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's."""
    program = shutil.which("chromium")
    assert program, "chromium is not installed: sh scripts/test installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page that is looked at, until it shows figures."""

    def __init__(
        self, browser: Browser, url: str, *, width: int = 1200, height: int = 900, scheme: str = "light"
    ) -> None:
        self.url = url
        self.wrong: list[str] = []
        self.asked: list[str] = []  # paths below the page's own
        self.bytes = 0  # of all files but figures
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_init_script(
            "addEventListener('securitypolicyviolation', event => console.error('CSP', event.violatedDirective))"
        )
        self.page: Page = self.context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", self._ask)

    def open(self, *shown: str) -> Page:
        self.page.goto(self.url)
        for selector in shown or ("#users > li", "#graphs .u-over"):
            self.page.locator(selector).first.wait_for()
        return self.page

    def close(self) -> None:
        """All that happened must have been right."""
        self.context.close()
        assert self.wrong == []

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and _SPOKEN not in message.text:
            self.wrong.append(message.text)

    def _ask(self, request: Request) -> None:
        if request.url.startswith(self.url):
            self.asked.append(request.url.removeprefix(self.url))
        else:
            self.wrong.append(f"asked {request.url}")


def value(element: Locator) -> int:
    """The exact figure that a <data> has."""
    return int(element.get_attribute("value") or "")


def values(elements: Locator) -> list[int]:
    """Those of all of them."""
    found: list[int] = elements.evaluate_all("all => all.map(one => Number(one.getAttribute('value')))")
    return found


def row(page: Page, part: str, name: str) -> Locator:
    """The row of a list in which somebody has that very name."""
    return page.locator(f"#{part} > *").filter(has=page.get_by_text(name, exact=True))


def transferred(visit: Visit) -> int:
    """Bytes of all files that the page has, as they are."""
    sizes: list[int] = visit.page.evaluate(
        "() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".filter(one => !one.name.includes('/api/')).map(one => one.decodedBodySize)"
    )
    return sum(sizes)


def faults_of(page: Page) -> list[str]:
    """What axe finds."""
    found = Axe().run(page).response["violations"]
    return [f"{fault['impact']} {fault['id']} {[node['target'] for node in fault['nodes']]}" for fault in found]


def as_ingress(visit: Visit, prefix: str) -> str:
    """The address of the page below `prefix`, as Home Assistant passes it on to its users."""
    here, there = visit.url, urljoin(visit.url, prefix)

    def pass_on(route: Any) -> None:  # noqa: ANN401
        route.fulfill(response=route.fetch(url=here + route.request.url.removeprefix(there)))

    visit.context.route(f"{there}**", pass_on)
    return there
