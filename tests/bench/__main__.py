"""All that is measured, in one run: `python -m tests.bench [--quick] [PART…]`.

poll: what a poll costs, beside the same work written straight down, stage by stage; start, memory, and growth from 10
devices to 4,000. year: what a year of records costs. sites: what many sites cost in one process. soak: whether anything
grows in 100,000 polls, which takes half an hour.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tests.bench import poll, sites, soak, year


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter, rougher figures")
    parser.add_argument("parts", nargs="*", metavar="PART", help="poll, year, sites, soak; default: all of them")
    options = parser.parse_args()
    quick: bool = options.quick
    parts: dict[str, Callable[[], None]] = {
        "poll": lambda: poll.run(poll.QUICK if quick else poll.FULL),
        "year": lambda: year.run(quick=quick),
        "sites": lambda: sites.run(sites.QUICK if quick else sites.FULL),
        "soak": lambda: soak.run(soak.QUICK if quick else soak.POLLS, soak.DEVICES),
    }
    for part in options.parts or parts:
        if part not in parts:
            parser.error(f"there is no {part}; there are {', '.join(parts)}")
        print(f"\n== {part}", flush=True)
        parts[part]()


if __name__ == "__main__":
    main()
