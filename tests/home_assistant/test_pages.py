"""What a person sees in the browser.

The pictures that are kept are made by

    DOCS_PICTURES=docs sh scripts/test tests/home_assistant/test_pages.py
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.home_assistant.conftest import House


def test_the_page_of_a_device_shows_its_figures(house: House, tmp_path: Path) -> None:
    where = {"mac": house.mac("alices-laptop"), "ip": house.addresses["alices-laptop"]}
    house.router.do("add", **where, bytes=4_012_345_678)  # its starting value
    dalla = house.run()
    house.settle(dalla)
    house.router.do("add", **where, bytes=98_765_432)
    dalla.polls_again()
    house.all_is_right()
    device = house.ha.devices()[f"dalla_home_{house.part('alices-laptop')}"]["id"]
    picture = Path(os.environ.get("DOCS_PICTURES", tmp_path)) / "home-assistant-device.png"
    usage, today = (
        house.ha.render(f"{{{{ states('{house.entity('sensor', 'alices-laptop', key)}', rounded=True) }}}} GB")
        for key in ("usage", "today")
    )
    seen = house.ha.picture(f"/config/devices/device/{device}", picture, "Usage", usage, height=960)
    for shown in ("alices-laptop", "Connected via", "Archer C20", today, "This period", "On-peak", where["ip"]):
        assert shown in seen["text"], shown
    assert picture.read_bytes().startswith(b"\x89PNG")
