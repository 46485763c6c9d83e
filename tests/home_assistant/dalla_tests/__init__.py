"""Runs inside Home Assistant: the service dalla_tests.compile_statistics, for which else one waits five minutes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from homeassistant.components.recorder import Recorder, get_instance
from homeassistant.components.recorder.db_schema import Statistics, StatisticsRuns, StatisticsShortTerm
from homeassistant.components.recorder.statistics import compile_statistics, get_short_term_statistics_run_cache
from homeassistant.components.recorder.tasks import RecorderTask
from homeassistant.components.recorder.util import session_scope
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.helpers.typing import ConfigType
from homeassistant.util import dt as dt_util


@dataclass(slots=True)
class Compile(RecorderTask):
    """Compile the five minutes that begin at `start`, and its hour."""

    start: datetime
    done: asyncio.Future[None]

    def run(self, instance: Recorder) -> None:
        """Forget what was compiled of them before, so that states since then count too."""
        try:
            self._compile(instance)
        finally:
            instance.hass.loop.call_soon_threadsafe(self.done.set_result, None)

    def _compile(self, instance: Recorder) -> None:
        hour = self.start.replace(minute=0)
        with session_scope(session=instance.get_session()) as session:
            session.query(StatisticsRuns).filter(StatisticsRuns.start >= self.start).delete()
            session.query(StatisticsShortTerm).filter(StatisticsShortTerm.start_ts >= self.start.timestamp()).delete()
            session.query(Statistics).filter(Statistics.start_ts >= hour.timestamp()).delete()
        get_short_term_statistics_run_cache(instance.hass)._latest_id_by_metadata_id.clear()
        for start in sorted({self.start, hour.replace(minute=55)}):  # the last five minutes make the hour's row
            compile_statistics(instance, start, fire_events=True)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the service."""
    del config

    async def compile_now(call: ServiceCall) -> None:
        now = dt_util.utc_from_timestamp(call.data["at"]) if "at" in call.data else dt_util.utcnow()
        recorder = get_instance(hass)
        await recorder.async_block_till_done()
        done = hass.loop.create_future()
        recorder.queue_task(Compile(now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0), done))
        await done  # the recorder's own way to wait does not wait for a task that has begun

    hass.services.async_register("dalla_tests", "compile_statistics", compile_now)
    return True
