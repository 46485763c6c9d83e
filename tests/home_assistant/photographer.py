"""Takes a picture of a page of Home Assistant. Runs in its venv, where playwright is; takes and says JSON.

In: url, token, path, file, width, height, and `text` that the page must show before it is ready.
Out: `text`, all that can be read on the page, and `error_cards`, how many cards could not be drawn.
"""

from __future__ import annotations

import json
import shutil
import sys

from playwright.sync_api import Page, sync_playwright

PATIENCE_MS = 30_000


def main() -> None:
    order = json.load(sys.stdin)
    url = order["url"]
    tokens = {"access_token": order["token"], "token_type": "Bearer", "hassUrl": url, "clientId": f"{url}/"}
    forever = {"expires_in": 1_000_000_000, "expires": 4_102_444_800_000, "refresh_token": ""}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": order["width"], "height": order["height"]})
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(f"localStorage.hassTokens = {json.dumps(json.dumps(tokens | forever))}")
        context.add_init_script("localStorage.dockedSidebar = JSON.stringify('always_hidden')")
        # No logos and maps of the internet.
        context.route(lambda other: not other.startswith(url), lambda route: route.abort())
        page = context.new_page()
        page.goto(url + order["path"])
        for text in order["text"]:
            page.get_by_text(text).first.wait_for()
        picture = _at_rest(page)
        if order["file"]:
            with open(order["file"], "wb") as file:  # noqa: PTH123  # as short as it gets
                file.write(picture)
        seen = {
            "text": page.locator("body").aria_snapshot(),
            "error_cards": page.locator("hui-error-card").count(),
        }
        browser.close()
    json.dump(seen, sys.stdout)


def _at_rest(page: Page) -> bytes:
    """A picture that looks as the one before: nothing moves any more."""
    before = b""
    while (picture := page.screenshot()) != before:
        before = picture
        page.wait_for_timeout(500)
    return picture


if __name__ == "__main__":
    main()
