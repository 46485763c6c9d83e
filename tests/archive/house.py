"""A household whose readings are kept: in a real state file and in real CSV files."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from random import Random

from msgspec.structs import replace

from dalla_mqtt.archive.csv_logs import HEADER, CsvLogs, Record, read_records
from dalla_mqtt.archive.layout import Layout
from dalla_mqtt.archive.rebuild import Rebuilt, restore
from dalla_mqtt.archive.retention import Purge, purge_due
from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.usage.ledger import TOTAL, Key, Ledger, Series
from dalla_mqtt.usage.people import People
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Tariff
from tests.usage.house import FAMILY, IP, IP2, LAPTOP, NIGHTS, PHONE, House, row, utc

DAY_S = 86_400


def archive(folder: Path, *, months: bool = True, skip_idle: bool = False, keep: float | None = None) -> ArchiveConfig:
    """Files in `folder`; `months`: in folders of their own, as it is by default."""
    where = f"{folder}/%Y-%m" if months else str(folder)
    return ArchiveConfig(f"{where}/devices", f"{where}/users", f"{where}/total.csv", skip_idle, keep)


class ArchivedHouse(House):
    """Every reading is saved, and its rows are appended. `keep_days`: how long `purges` lets them lie."""

    def __init__(
        self,
        folder: Path,
        people: People = FAMILY,
        tariff: Tariff = NIGHTS,
        at: float = utc(1, 0, month=9),
        *,
        months: bool = True,
        skip_idle: bool = False,
        keep_days: int = 30,
    ) -> None:
        super().__init__(people, tariff, at)
        self.folder = folder
        self.config = archive(folder / "logs", months=months, skip_idle=skip_idle, keep=keep_days * DAY_S)
        self.counters: dict[str, int] = defaultdict(int)
        self.random = Random(1)  # noqa: S311  # no secret
        self.open()

    def open(self) -> None:
        """As at a start of the daemon."""
        self.store = Store(self.folder / "state.db")
        self.rules = replace(self.rules, moved=self.store.moved)
        self.logs = CsvLogs(self.config, self.rules.tariff)
        self.layout = Layout(self.config, self.rules.tariff)

    def keep(self) -> None:
        super().keep()
        self.store.save(self.ledger, self.logs.rows(self.ledger))
        assert self.logs.pay(self.store) is None

    def lives(self, days: float, *ips_and_macs: tuple[str, Mac], every_h: float = 6) -> None:
        """So many days, in which the devices named, or phone and laptop, move something between any two readings."""
        for _ in range(round(days * 24 / every_h)):
            rows = []
            for ip, mac in ips_and_macs or ((IP, PHONE), (IP2, LAPTOP)):
                self.counters[ip] += self.random.randrange(2**30)
                rows.append(row(self.counters[ip], mac=mac, ip=ip))
            self.reads(*rows, after=round(every_h * 3600))

    def purges(self) -> list[Purge]:
        return list(purge_due(self.config, self.rules.tariff, self.store.moved, self.at))

    def loses_its_state(self) -> Rebuilt | None:
        """Delete the state file, and go on as a daemon does that finds none."""
        self.store.close()
        for file in self.folder.glob("state.db*"):
            file.unlink()
        self.open()
        rebuilt = restore(self.config, self.rules.tariff, self.rules.people)
        if rebuilt is not None:
            self.store.save(rebuilt.ledger, {})
        self.ledger = self.store.load()
        return rebuilt

    def file(self, key: Key = TOTAL, at: float | None = None) -> Path:
        """The file to which the series was written last."""
        files = [file for file in self.layout.files() if file.key == key]
        return max(files, key=lambda file: [*read_records(file.path)][-1].time).path if at is None else files[0].path

    def records(self) -> dict[Key, list[Record]]:
        """What the files tell, in the order of time."""
        records: dict[Key, list[Record]] = defaultdict(list)
        for file in self.layout.files():
            records[file.key] += read_records(file.path)
        return {key: sorted(of_key) for key, of_key in records.items()}

    def close(self) -> None:
        with suppress(AttributeError):
            self.store.close()


def figures(ledger: Ledger) -> dict[Key, tuple[int, int, int]]:
    """Usage, on-peak and off-peak of each series that ever moved."""
    series: dict[Key, Series] = {TOTAL: ledger.total}
    series |= {Key("device", mac.dashed): device.series for mac, device in ledger.devices.items()}
    series |= {Key("user", name): user for name, user in ledger.users.items()}
    return {key: (one.usage, one.on_peak, one.off_peak) for key, one in series.items() if one.usage}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, and what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def a_month(path: Path, until: int) -> None:
    """A record each minute of a device that moves by day and night."""
    draw, usage, on_peak, off_peak = Random(1), 0, 0, 0  # noqa: S311  # no secret
    with path.open("w", encoding="ascii") as file:
        file.write(HEADER)
        for at in range(until - 31 * 86_400, until, 60):
            delta = draw.randrange(10**8)
            usage += delta
            off = NIGHTS.span_at(at).off_peak
            on_peak, off_peak = on_peak + delta * (not off), off_peak + delta * off
            file.write(f"{at}, {usage}, {delta}, {on_peak}, {off_peak}\n")
