"""A laboratory: real definitions, a real Dagster instance, a simulated publisher and a real Postgres."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from dagster import AssetKey, DagsterInstance
from sqlalchemy import make_url

from varro_assets.defs import graph, keys
from varro_assets.defs.events import register_periods
from varro_assets.defs.unattended import changes
from varro_assets.engine import clock
from varro_assets.settings import Settings
from varro_assets.simulator import Simulator
from varro_assets.statbank.sources import Sources
from varro_assets_tests.defs.daemon import QUIET, Daemon
from varro_assets_tests.ready_homes import ReadyHomes

DUE = {"periods": "DUE"}


@dataclass
class Lab:
    """One table and everything around it. The table has twelve half-years; a sync reads the newest six again."""

    settings: Settings
    simulator: Simulator
    sources: Sources
    instance: DagsterInstance
    table: str = "KORN2"
    results: list[Any] = field(default_factory=list)

    @property
    def published(self) -> AssetKey:
        return keys.published(self.table)

    @property
    def fact(self) -> AssetKey:
        return keys.fact(self.table)

    @property
    def summary(self) -> AssetKey:
        return keys.summary(self.table)

    @property
    def synced_assets(self) -> list[AssetKey]:
        return [self.published, self.fact, self.summary]

    @property
    def documents(self) -> list[AssetKey]:
        return [keys.links(self.table), keys.document(self.table)]

    @property
    def periods(self) -> list[str]:
        """As published now, oldest first."""
        return list(self.simulator.universe.table(self.table).periods)

    def run(
        self,
        *wanted: str,
        select: Sequence[AssetKey] | None = None,
        config: dict[str, Any] | None = None,
        unpartitioned: bool = False,
        raising: bool = False,
    ) -> Any:
        """Execute the op: for one key as the UI launches it, for two as a range; without any, for the newest key."""
        if not unpartitioned:
            register_periods(self.instance, self.table, wanted or self.periods[:1])
        tags = {keys.TABLE_TAG: self.table}
        partition_key = None
        if len(wanted) == 2:
            tags |= {keys.RANGE_START: wanted[0], keys.RANGE_END: wanted[1]}
        elif not unpartitioned:
            partition_key = wanted[0] if wanted else self.periods[0]
        definitions = graph.definitions(self.settings, only=[self.table])
        selection = list(select) if select else self.synced_assets
        configured = (
            {keys.op_name(self.table): {"config": config or {}}} if set(selection) & {*self.synced_assets} else {}
        )
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=selection,
            partition_key=partition_key,
            tags=tags,
            run_config={"ops": configured, "loggers": QUIET},
            raise_on_error=raising,
        )
        self.results.append(result)
        return result

    def materialise(self, *assets: AssetKey) -> Any:
        """Execute assets that are not of one table, as the UI launches them: of all definitions."""
        job = graph.definitions(self.settings).resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=self.instance, asset_selection=assets, run_config={"loggers": QUIET}, raise_on_error=False
        )
        self.results.append(result)
        return result

    def synced(self) -> None:
        """Bring everything in, an hour ago, and forget what was asked for that."""
        self.good(config=DUE)
        an_hour_ago = time.time() - 3600
        os.utime(self.sources.catalogue.tableinfo_path(self.table), (an_hour_ago, an_hour_ago))
        self.simulator.forget_requests()

    def asked(self) -> list[list[str]]:
        """The periods of each data request, in the order asked."""
        bodies = [json.loads(line.body) for line in self.simulator.requests if line.function == "data"]
        return [next(v["values"] for v in body["variables"] if v["code"].lower() == "tid") for body in bodies]

    def records(self, asset: AssetKey, run: Any = None) -> list[Any]:
        """Materialisations of the asset in the order stored."""
        found = self.instance.fetch_materializations(asset, limit=1000, ascending=True).records
        entries = [record.event_log_entry for record in found]
        return [entry for entry in entries if run is None or entry.run_id == run.run_id]

    def reported(self, asset: AssetKey, run: Any = None) -> list[str | None]:
        """Their partition keys."""
        return [entry.dagster_event.partition for entry in self.records(asset, run)]

    def outcomes(self, asset: AssetKey, run: Any = None) -> dict[str | None, str]:
        """Partition key -> what the event says became of it."""
        return {
            entry.dagster_event.partition: entry.asset_materialization.metadata["outcome"].value
            for entry in self.records(asset, run)
        }

    def colours(self, asset: AssetKey) -> dict[str, str]:
        """Partition key -> as the UI draws it: MATERIALIZED, FAILED, IN_PROGRESS or MISSING."""
        stored = self.instance.get_dynamic_partitions(self.table)
        found = self.instance.get_status_by_partition(asset, stored, keys.partitions(self.table)) or {}
        return {code: status.value if (status := found.get(code)) else "MISSING" for code in stored}

    def good(self, *wanted: str, **options: Any) -> Any:
        """`run` that must succeed; says why it did not."""
        result = self.run(*wanted, **options)
        assert result.success, self.why(result)
        return result

    @staticmethod
    def steps(result: Any) -> dict[str, str]:
        """Step -> how it ended: SUCCESS, FAILURE or SKIPPED."""
        ended = ("STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED")
        found = [(event.step_key, event.event_type_value) for event in result.all_events]
        return {step: value.removeprefix("STEP_") for step, value in found if value in ended}

    @staticmethod
    def checks(result: Any) -> dict[str, Any]:
        """Check -> its evaluation."""
        return {one.check_name: one for one in result.get_asset_check_evaluations()}

    @staticmethod
    def why(result: Any) -> str:
        """Every error of a run, with its causes."""
        errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
        return "\n".join(error.to_string() for error in errors if error)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse."""
        url = make_url(self.sources.warehouse.get_secret_value()).set(drivername="postgresql")
        connection = psycopg2.connect(url.render_as_string(hide_password=False))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def loaded(self) -> dict[str, int]:
        """Rows in the fact table by period code."""
        return dict(self.query(f"SELECT tid_code, rows FROM meta.period_load WHERE table_id = '{self.table}'"))


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def make_lab(
    settings: Settings, simulator: Simulator, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> Callable[[DagsterInstance], Lab]:
    # resources load their settings anew, from the environment, as they do in a process of their own
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    # one is named so that none is created beside; who runs the op has opened Dagster's storage already
    monkeypatch.setenv("DAGSTER_DATABASE_URL", os.environ["DATABASE_URL"])
    return lambda instance: Lab(settings, simulator, sources, instance)


@pytest.fixture
def lab(make_lab: Callable[[DagsterInstance], Lab], instance: DagsterInstance) -> Lab:
    return make_lab(instance)


@pytest.fixture
def daemon(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """Of a home that follows one table of which it holds nothing."""
    # on a machine that stops meanwhile a tick would leave tables to the next one
    monkeypatch.setattr(changes, "BUDGET_SECONDS", 240.0)
    made = Daemon(lab)
    made.follow(lab.table)
    return made


@pytest.fixture
def held(daemon: Daemon, ready_homes: ReadyHomes, warehouse_database: str) -> Daemon:
    """Of a home that follows one table and holds it as published, documents and all; Dagster knows its keys."""
    lab = daemon.lab

    def fill() -> None:
        with DagsterInstance.ephemeral() as another:
            first = Daemon(replace(lab, instance=another))
            assert first.poll().success
            assert all(result.success for result in first.settle())
        # an hour ago: what is tried within a second of a sync's end is taken for the sync itself, and the first test
        # that asks for this home may be as quick as that
        lab.query("UPDATE meta.table_sync SET synced_at = synced_at - interval '1 h' RETURNING 1")

    ready_homes.bring("swept", lab.settings.home, warehouse_database, fill)
    daemon.rest()
    lab.simulator.forget_requests()
    return daemon


@pytest.fixture
def time_goes(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Move the clock."""
    shift = [timedelta(0)]
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + shift[0])

    def go(by: timedelta) -> None:
        shift[0] += by

    return go
