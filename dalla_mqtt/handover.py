"""Records of the CSV files handed over to Home Assistant's long-term statistics, and what a person sees of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from dalla_mqtt.archive.beside import History
from dalla_mqtt.archive.csv_logs import read_records
from dalla_mqtt.archive.layout import Layout, LogFile
from dalla_mqtt.config import LocalConfig, Secret
from dalla_mqtt.errors import ArchiveError, ConfigError, HomeAssistantError
from dalla_mqtt.log import say, utc
from dalla_mqtt.mqtt.topics import Topics
from dalla_mqtt.recorder.hours import Sample
from dalla_mqtt.recorder.series import Done, hand_over
from dalla_mqtt.recorder.statistics import Recorder
from dalla_mqtt.recorder.websocket import Connection
from dalla_mqtt.usage.hours import HOUR_S
from dalla_mqtt.usage.ids import device_id
from dalla_mqtt.usage.ledger import TOTAL, Key
from dalla_mqtt.usage.reading import Mac

TOKEN = "DALLA_HOMEASSISTANT_TOKEN"  # noqa: S105  # the name of the variable
_AGAIN = "hand over once more after the next full hour"


def open_home_assistant(url: str, environment: Mapping[str, str], token_file: Path | None) -> Connection:
    """The Home Assistant at `url`, let in by a token. Raises ConfigError and HomeAssistantError."""
    return Connection(url, _token(environment, token_file))


def run_handover(config: LocalConfig, connection: Connection) -> None:
    """Hand over the records of all series, also while a daemon adds to them.

    Raises ConfigError, ArchiveError and HomeAssistantError.
    """
    if config.archive is None:
        raise ConfigError("archive.enabled is false: there are no records to hand over")
    try:
        usage, slugs = _remembered(config.state)
        layout = Layout(config.archive, config.tariff)
        topics = Topics("", config.site, slugs)
        topics.ids.meet(config.people.names)  # of a household that announced nothing yet
        done = _hand_over_all(Recorder(connection), layout, topics)
        if layout.summaries():
            say("what is purged, and stands in summary.csv only, has no hours and is left out")
    except OSError as error:
        raise ArchiveError(f"{error.filename}: {error.strerror}; mend that and hand over once more") from error
    except KeyboardInterrupt as error:
        raise HomeAssistantError("the handing over was broken off; hand over once more") from error
    if not done:
        raise HomeAssistantError(f"nothing is handed over: Home Assistant has no full hour of it yet; {_AGAIN}")
    to_come = max(one.later + max(0, usage.get(key, 0) - one.latest) for key, one in done.items())
    if to_come:
        say(f"{to_come / 1e9:.3f} GB were brought in that Home Assistant will take for moved now; {_AGAIN} to mend it")


def _hand_over_all(recorder: Recorder, layout: Layout, topics: Topics) -> dict[Key, Done]:
    """What came of each series of which Home Assistant has an hour; one line is told of each."""
    files: dict[Key, list[LogFile]] = defaultdict(list)
    for file in layout.files():
        files[file.key].append(file)
    known, ids = recorder.entities(), _unique_ids(topics, files)
    if not known.keys() & ids.values():
        mend = "set up its MQTT integration with the daemon's broker, let the daemon poll once, and mind `site`"
        raise HomeAssistantError(f"Home Assistant knows no usage of dalla-mqtt: {mend}")
    all_done = {}
    for key, of_key in files.items():
        if ids[key] not in known:
            say(f"{ids[key]}: no entity of Home Assistant, or it is disabled there; left out")
        elif (done := _hand_over(recorder, known[ids[key]], _samples(of_key))) is not None:
            all_done[key] = done
    return all_done


def _token(environment: Mapping[str, str], file: Path | None) -> Secret:
    try:
        text = file.read_text("utf-8-sig") if file else environment.get(TOKEN, "")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ConfigError(f"--token-file: cannot read {file}: {why}") from error
    token = text.split("\n")[0].strip()
    if not token:
        mend = "make a long-lived one on your profile's page in Home Assistant, under Security"
        raise ConfigError(f"there is no token in {file or TOKEN}: {mend}")
    return Secret(token)


def _remembered(state: Path) -> tuple[dict[Key, int], dict[str, str]]:
    """The usage of each series and the ids of users; read before the CSV files, which are written after it."""
    if not state.exists():
        return {}, {}
    with closing(History(state)) as history:
        return history.usage(), history.slugs()


def _unique_ids(topics: Topics, keys: Iterable[Key]) -> dict[Key, str]:
    """Of the usage of each series, as it is announced."""
    topics.ids.meet(sorted(key.name for key in keys if key.kind == "user"))
    return {key: f"{topics.announced_id(_part(topics, key))}_usage" for key in keys}


def _part(topics: Topics, key: Key) -> str:
    if key == TOTAL:
        return "total"
    return topics.ids.user(key.name) if key.kind == "user" else device_id(Mac.parse(key.name))


def _samples(files: Iterable[LogFile]) -> Iterator[Sample]:
    for file in files:
        for record in read_records(file.path):
            yield record.time, record.total, record.delta


def _hand_over(recorder: Recorder, entity_id: str, samples: Iterator[Sample]) -> Done | None:
    """Hand over one series, and tell of it in one line; None where Home Assistant has no hour of it yet."""
    statistic = recorder.statistic(entity_id)
    done = hand_over(statistic, samples, int(time.time()) + HOUR_S) if statistic else None
    if done is None:
        say(f"{entity_id}: Home Assistant has no hour of it yet; {_AGAIN}")
    elif done.hours == 0:
        say(f"{entity_id}: there are no records from before {utc(done.last)}")
    else:
        say(f"{entity_id}: {done.hours} hours from {utc(done.first)} to {utc(done.last)}, {done.written} written")
    return done
