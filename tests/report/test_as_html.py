"""A summary as a page to send or print."""

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.report.as_html import as_html
from dalla_mqtt.usage.quota import Standing, Subject
from tests.report.households import GB, NOVEMBER, a_standing, household, moment, summary_of
from tests.usage.house import LAPTOP


class Page(HTMLParser):
    """Tags and texts, and whether each tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [key for key, _ in attrs if key.startswith("on") or key in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(*standings: tuple[Subject, Standing], name: str = "laptop") -> str:
    house = household()
    summary = summary_of(house, NOVEMBER, *standings, names={LAPTOP: name})
    return as_html(summary, moment(house.ledger))


def test_a_page_shows_users_devices_and_quotas_and_needs_nothing_else() -> None:
    text = page(a_standing("user", "Alice", 3 * GB, 4 * GB))
    shown = Page(text)
    assert shown.open == []
    assert not {"script", "img", "link", "iframe"} & set(shown.tags)
    assert "home: 1 to 30 November 2026, billing period" in shown.texts
    assert {"Alice", "Bob", "laptop", "3.00 GB", "98.7 %", "change of owner", "-3.00 GB"} <= set(shown.texts)
    assert '<meter min="0" max="100" low="80" high="99" optimum="0" value="75">75 %</meter> 75 %' in text
    assert "http" not in re.sub(r'http-equiv="', "", text)


@given(
    st.sampled_from(["<img src=x onerror=alert(1)>", "</title><script>", '" onload="x', "&amp;", "{body}", "a\x1b\nb"])
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
)
def test_whatever_a_name_holds_stays_text(name: str) -> None:
    plain, odd = Page(page()), Page(page(name=name))
    assert odd.tags == plain.tags
    assert odd.open == []
