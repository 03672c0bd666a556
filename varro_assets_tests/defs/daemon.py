"""Daemon: what Dagster's daemon does with the sensor and the schedule, one step at a time and in this process."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterRun,
    DagsterRunStatus,
    Definitions,
    RunRequest,
    build_sensor_context,
)

from varro_assets.defs import graph, keys
from varro_assets.defs.events import register_periods
from varro_assets.defs.unattended import changes, joint_documents, polling
from varro_assets.engine import clock, postgres
from varro_assets.statbank.sweeps import due
from varro_assets.statbank.sweeps.due import State

if TYPE_CHECKING:
    from varro_assets_tests.defs.conftest import Lab

QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


@dataclass
class Daemon:
    """Keeps the cursor, adds keys, launches each run key once."""

    lab: Lab
    cursor: str | None = None
    skipped: str = ""
    launched: list[RunRequest] = field(default_factory=list)

    def follow(self, *tables: str, more: str = "") -> None:
        """Write `varro.toml`."""
        text = f"[tables]\nfollow = {json.dumps(tables)}\n{more}"
        self.lab.settings.follow_file.write_text(text, encoding="utf-8")

    def definitions(self) -> Definitions:
        """As a code server that starts now loads them."""
        return graph.definitions(self.lab.settings)

    def evaluate(self, loaded: Definitions | None = None) -> Any:
        """The sensor's answer, nothing done; ``loaded`` is what a code server loaded earlier."""
        definitions = loaded or self.definitions()
        sensor = definitions.resolve_sensor_def(changes.NAME)
        context = build_sensor_context(instance=self.lab.instance, cursor=self.cursor, definitions=definitions)
        return sensor.evaluate_tick(context)  # type: ignore[union-attr]

    def tick(self, *, asked_also: bool = True) -> list[RunRequest]:
        """One evaluation; returns the runs requested that were not requested before."""
        data = self.evaluate()
        self.skipped = data.skip_message or ""
        for request in data.dynamic_partitions_requests or ():
            self.lab.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        if not asked_also:
            return []  # the daemon died after it had registered
        self.cursor = data.cursor
        before = {run.tags.get("dagster/run_key") for run in self.lab.instance.get_runs()}
        fresh = [request for request in data.run_requests or () if request.run_key not in before]
        self.launched += fresh
        return fresh

    def execute(self, request: RunRequest) -> Any:
        """Execute a requested run as a worker does."""
        job = self.definitions().resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.lab.instance,
            asset_selection=list(request.asset_selection or ()) or [keys.CATALOGUE],
            run_config={**request.run_config, "loggers": QUIET},
            tags=_tags(request),
            raise_on_error=False,
        )

    def begin(self, request: RunRequest) -> DagsterRun:
        """The requested run as far as its start, by a process that does nothing after that."""
        run = self.lab.instance.add_run(DagsterRun(job_name="__ASSET_JOB", tags=_tags(request)))
        started = DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=run.job_name)
        self.lab.instance.handle_run_event(run.run_id, started)
        return run

    def poll(self) -> Any:
        """The scheduled poll."""
        (request,) = self.schedule()
        return self.execute(request)

    def schedule(self) -> list[RunRequest]:
        """What the schedule asks for."""
        found = polling.scheduled(self.lab.instance, clock.now())
        return [found] if isinstance(found, RunRequest) else []

    def settle(self, most: int = 12) -> list[Any]:
        """Tick and execute until there is nothing left to do."""
        results = []
        for _ in range(most):
            requested = self.tick()
            if not requested:
                return results
            results += [self.execute(request) for request in requested]
        raise AssertionError(f"no end of it: {[request.run_key for request in self.launched]}")

    def rest(self) -> None:
        """Have an instance without a history know of what is held, and that what tables share was written."""
        register_periods(self.lab.instance, self.lab.table, self.lab.periods)
        with contextlib.closing(postgres.connect(self.lab.sources.warehouse, "test")) as connection:
            state = joint_documents.state_of(connection)
        tags = {keys.SHARED_TAG: str(state)}
        self.lab.instance.add_run(DagsterRun(job_name="__ASSET_JOB", status=DagsterRunStatus.SUCCESS, tags=tags))

    def state(self) -> State:
        """How the table stands."""
        catalogue = self.lab.sources.catalogue.read()
        assert catalogue is not None
        with contextlib.closing(postgres.connect(self.lab.sources.warehouse, "test")) as connection:
            synced = due.synced(connection)
        return due.states([self.lab.table], catalogue, synced, self.lab.sources.tables_dir)[self.lab.table]

    def status(self, run: DagsterRun) -> DagsterRunStatus:
        """Of the run, now."""
        found = self.lab.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status


def _tags(request: RunRequest) -> dict[str, str]:
    return {**request.tags, "dagster/run_key": request.run_key or ""}
