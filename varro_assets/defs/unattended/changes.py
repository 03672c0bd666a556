"""Changes: the sensor that has what the publisher changed synced, and the documents that follow from it.

What belongs here: one tick: gather, decide, request. It never asks the publisher. The decision is `statbank.sweep`'s,
what a run of it looks like `requests`'.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection

from dagster import (
    AssetSelection,
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from varro_assets.defs import health, keys, logs
from varro_assets.defs.records import projections
from varro_assets.defs.storage_pool import pooled
from varro_assets.defs.unattended import attempts, dead_runs, joint_documents, polling, reloading, requests
from varro_assets.defs.unattended.changes_cursor import ChangesCursor
from varro_assets.defs.unattended.situation import Gathered, gather
from varro_assets.engine import clock, postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import WebServerUnavailable
from varro_assets.settings import DEMO_POLL, Settings
from varro_assets.statbank.sources import Sources, open_sources
from varro_assets.statbank.sweeps import sweep
from varro_assets.statbank.sweeps.due import State
from varro_assets.statbank.sweeps.sweep import Decision
from varro_assets.statbank.sync import held_periods
from varro_assets.warehouse import open_warehouse

NAME = "statbank_changes"
INTERVAL_SECONDS, DEMO_INTERVAL_SECONDS = 30, 10
BUDGET_SECONDS = 20.0
"""Dagster gives a tick a minute, in which it also has to make the runs that are requested."""


def changes_sensor(settings: Settings) -> SensorDefinition:
    """The sensor, running unless somebody stops it."""
    seconds = DEMO_INTERVAL_SECONDS if settings.varro_poll == DEMO_POLL else INTERVAL_SECONDS

    @sensor(
        name=NAME,
        asset_selection=AssetSelection.all(),
        minimum_interval_seconds=seconds,
        default_status=DefaultSensorStatus.RUNNING,
        description="Requests runs that sync what the last poll found changed, and whatever depends on it. A table that"
        " failed is tried again after a while. This sensor itself asks the publisher for nothing.",
    )
    def statbank_changes(context: SensorEvaluationContext) -> SensorResult:
        repository = context.repository_def
        known = repository.asset_graph.get_all_asset_keys() if repository is not None else set()
        # as the resources of a run do: the code server lives longer than what `.env` says
        present = Settings.load(settings.home)
        with open_warehouse(present) as warehouse:
            sources = open_sources(present, warehouse.url)
            with contextlib.closing(postgres.connect(warehouse.url, NAME)) as connection:
                loaded = {key.path[1] for key in known if len(key.path) == 2 and key.path[0] == "table"}
                tick = Tick(present, context.instance, connection, sources, loaded, context.log.info)
                with pooled(context.instance):
                    return tick.run(ChangesCursor.read(context.cursor))

    return statbank_changes


LEFT_OUT = "its last run ended well and left periods out; `varro runs` tells which"


class Tick:
    """One evaluation of the sensor.

    Args:
        settings: in force.
        instance: Dagster's.
        connection: to the warehouse.
        sources: folders; the publisher is not asked.
        loaded: tables in the loaded graph.
        say: told what a tick that requests runs would otherwise keep to itself.
    """

    def __init__(
        self,
        settings: Settings,
        instance: DagsterInstance,
        connection: Connection,
        sources: Sources,
        loaded: Collection[str],
        say: Callable[[str], None],
    ) -> None:
        self._settings, self._instance, self._connection = settings, instance, connection
        self._sources, self._loaded, self._say = sources, loaded, say
        self._now = clock.now()
        self._deadline = time.monotonic() + BUDGET_SECONDS

    def run(self, cursor: ChangesCursor) -> SensorResult:
        """Decide what to request, and what to remember."""
        since = self._now - (cursor.looked_at or self._now)
        silent = dead_runs.end_silent_runs(self._instance, self._connection, cursor.silent, since)
        said = [f"{len(silent.ended)} runs whose process is gone were marked as failed."] if silent.ended else []
        cursor = cursor.model_copy(update={"silent": dict(silent.seconds), "looked_at": self._now})
        # what was marked just now has ended before now, else it would seem to end in the future and get no pause
        self._now = clock.now()
        # before the catalogue: a poll that ends in between is seen by what it wrote
        tried = polling.earlier_polls(self._instance, self._now)
        catalogue = self._sources.catalogue.read()
        runs: list[RunRequest] = []
        if self._settings.varro_poll != polling.OFF:
            again = polling.request_again(tried, known=catalogue is not None, now=self._now)
            runs += [again] if again else []
            said += polling.say(self._instance, tried, self._now)
        if catalogue is None:
            return self._result(runs, Decision(), cursor, [*said, "There is no catalogue yet."])
        gathered = gather(
            self._settings,
            self._instance,
            self._connection,
            self._sources,
            catalogue,
            self._loaded,
            self._now,
            polling=tried.under_way,
            after=cursor.after,
        )
        self._mend(gathered)
        decision = sweep.decide(gathered.situation, self._now, gathered.workload.of, self._out_of_time)
        runs += [requests.of_table(demand, requests.sweep_of(catalogue)) for demand in decision.demands]
        late = None
        if not (runs or gathered.busy or tried.under_way):
            late = joint_documents.request(self._instance, self._connection, requests.sweep_of(catalogue), self._now)
            runs += [late] if late else []
            # what happened is told when it is over
            projections.write_projections(self._instance, self._settings)
        errors = self._errors(gathered, decision)
        said.append(sweep.say(decision, len(gathered.situation.tables), errors, documents=late is not None))
        cursor = self._reload(decision, cursor.model_copy(update={"after": decision.after}), said)
        return self._result(runs, decision, cursor, said)

    def _mend(self, gathered: Gathered) -> None:
        """A dead run's keys turned red with it: of a table that is complete all the same they are reported again."""
        # also those of a tick that died after it had marked them
        runs = dead_runs.to_be_mended(self._instance)
        dead = {run.tags.get(keys.TABLE_TAG) for run in runs}
        dead |= {keys.table(key) for run in runs for key in run.asset_selection or ()}
        for one in gathered.situation.tables:
            if one.table in dead and one.state is State.CURRENT:
                health.report_again(self._instance, one.table, held_periods(self._sources, one.table))
        for run in runs:
            dead_runs.mended(self._instance, run)

    def _out_of_time(self) -> bool:
        return time.monotonic() > self._deadline

    def _errors(self, gathered: Gathered, decision: Decision) -> dict[str, str]:
        """What ended the last attempt of the table that is tried next."""
        if decision.next_try is None:
            return {}
        table, _until = decision.next_try
        run_id = next(one.attempts.run_id for one in gathered.situation.tables if one.table == table)
        return {table: attempts.error_of(self._instance, run_id) if run_id else LEFT_OUT}

    def _reload(self, decision: Decision, cursor: ChangesCursor, said: list[str]) -> ChangesCursor:
        """Have the graph loaded anew if tables are followed that it does not know."""
        missing = decision.unloaded
        if not missing:
            return cursor.model_copy(update={"reload_asked_at": None, "reload_asked_for": ()})
        names = f"{len(missing)} followed since the graph was loaded ({', '.join(missing[:5])})"
        if not reloading.is_time(missing, cursor.reload_asked_for, cursor.reload_asked_at, self._now):
            said.append(f"{names}: it is being loaded anew.")
            return cursor
        try:
            reloading.reload(self._settings.varro_reload_url or self._settings.varro_ui_url)
            said.append(f"{names}: the web server was asked to load it anew.")
        except WebServerUnavailable as error:
            said.append(f"{names}. {error}")
        return cursor.model_copy(update={"reload_asked_at": self._now, "reload_asked_for": tuple(missing)})

    def _result(
        self, runs: list[RunRequest], decision: Decision, cursor: ChangesCursor, said: list[str]
    ) -> SensorResult:
        text = " ".join(said)
        if runs:
            self._say(text)
        return SensorResult(
            run_requests=[logs.logged(run) for run in runs],
            skip_reason=None if runs else text,
            cursor=cursor.model_dump_json(),
            dynamic_partitions_requests=requests.of_keys(decision.register),
        )
