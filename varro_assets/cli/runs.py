"""Runs: syncs launched through Dagster in this process, so that runs and partitions show in its UI.

What belongs here: the instance, the definitions of just the tables concerned, tags and run config. Imports dagster, so
it is itself imported only by commands that really launch something.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dagster import AssetKey, DagsterExecutionInterruptedError, DagsterInstance

from varro_assets.context.sources import ContextSources
from varro_assets.context.table_documents import TableReport
from varro_assets.defs import graph, keys
from varro_assets.defs.documents import report_written
from varro_assets.defs.events import register_periods
from varro_assets.defs.reports import report_shared
from varro_assets.defs.unattended import dead_runs
from varro_assets.defs.watcher import Watcher
from varro_assets.engine import clock, locks, planning
from varro_assets.settings import Settings
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sync_report import SyncReport

LONGEST_RANGE = 12
STATEMENT_SECONDS, KEEP_CONNECTION_SECONDS = 600, 60


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
        report: filled in as far as it came; None if the op never began.
        error: message of the failure; empty on success.
    """

    run_id: str
    success: bool
    report: SyncReport | None
    error: str = ""


class Launcher:
    """Launches one table's run after another.

    Args:
        instance: Dagster's, with the project's storage.
        settings: in force, with the publisher's address.
        sources: for the locks.
        watcher: told of everything.
    """

    def __init__(self, instance: DagsterInstance, settings: Settings, sources: Sources, watcher: Watcher) -> None:
        self._instance, self._settings, self._sources, self._watcher = instance, settings, sources, watcher
        self._sweep = new_sweep()

    def sync(self, table: str, periods: Sequence[str], wanted: Sequence[str], config: dict[str, Any]) -> Outcome:
        """Sync a table.

        Args:
            table: id.
            periods: all published; those unknown to Dagster become partition keys.
            wanted: those that are planned; the run's range is the end of the last stretch of them.
            config: of the op (`SyncConfig`).

        Raises:
            TableBusy: another launch of this table is under way.
            KeyboardInterrupt: Ctrl-C; the run has ended.
        """
        register_periods(self._instance, table, periods)
        stored = self._instance.get_dynamic_partitions(table)
        first, last = _newest_stretch(stored, wanted)
        selection = [keys.published(table), keys.fact(table), keys.summary(table), *_documents(table)]
        return self._run(table, selection, first, last, config)

    def load(self, table: str, periods: Sequence[str]) -> Outcome:
        """Fill a table's facts from its parquet files, without the API."""
        register_periods(self._instance, table, periods)
        stored = self._instance.get_dynamic_partitions(table)
        selection = [keys.fact(table), keys.summary(table), *_documents(table)]
        return self._run(table, selection, stored[-1], stored[-1], {"periods": "ALL"})

    def _run(self, table: str, selection: Sequence[AssetKey], first: str, last: str, config: dict[str, Any]) -> Outcome:
        with locks.table_lock(self._sources.warehouse, dead_runs.launch_lock(table)):
            dead_runs.end_dead_runs(self._instance, table)
            return self._execute(table, selection, first, last, config)

    def _execute(
        self, table: str, selection: Sequence[AssetKey], first: str, last: str, config: dict[str, Any]
    ) -> Outcome:
        self._watcher.report = None
        definitions = graph.definitions(self._settings, only=[table], watcher=self._watcher)
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self._instance,
            asset_selection=selection,
            tags=self._tags(table, first, last),
            run_config={
                "ops": {keys.op_name(table): {"config": config}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
        if _interrupted(result):
            # Dagster has made an orderly end of the run; the other tables are not to be begun
            raise KeyboardInterrupt
        error = "" if result.success else _failure(result)
        return Outcome(result.run_id, result.success, self._watcher.report, error)

    def _tags(self, table: str, first: str, last: str) -> dict[str, str]:
        info = self._sources.catalogue.tableinfo(table)
        return {
            keys.TABLE_TAG: table,
            keys.LAUNCHER_TAG: dead_runs.CLI,
            keys.SWEEP_TAG: self._sweep,
            **({keys.UPDATED_TAG: info.updated} if info else {}),
            keys.RANGE_START: first,
            keys.RANGE_END: last,
        }


def new_sweep() -> str:
    """A name for one invocation of the command, which all its runs carry."""
    return f"{clock.now():%Y-%m-%dT%H-%M-%S}-{dead_runs.CLI}-{secrets.token_hex(2)}"


def _documents(table: str) -> list[AssetKey]:
    """Links and document follow in the same run."""
    return [keys.links(table), keys.document(table)]


def _newest_stretch(stored: Sequence[str], wanted: Sequence[str]) -> tuple[str, str]:
    """The run's range: first and last of some wanted keys that are stored one after another.

    The op reports every key it settles, in its range or not. A range costs two planned events a key (40 ms), and is
    what turns red if the run fails: the end of a stretch tells enough.
    """
    first, last = planning.segments(stored, set(wanted) or {stored[-1]})[-1]
    stretch = stored[stored.index(first) : stored.index(last) + 1]
    return stretch[-LONGEST_RANGE:][0], last


def report_documents(sources: ContextSources, done: Sequence[TableReport] = ()) -> None:
    """Report what was written outside a run: documents of tables, and what tables share."""
    with dagster_instance() as instance:
        for report in done:
            if report.changed:
                report_written(instance, report)
        report_shared(instance, sources)


@contextlib.contextmanager
def dagster_instance() -> Iterator[DagsterInstance]:
    """The instance that the environment names (see `Session.dagster_environment`).

    Its storage keeps connections for a while, as in the webserver, for which Dagster has the switch: a run asks it some
    170 things, and would open a connection for each (0.8 s of a small table's 1.3 s).
    """
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(
            statement_timeout=STATEMENT_SECONDS * 1000, pool_recycle=KEEP_CONNECTION_SECONDS, max_overflow=10
        )
        yield instance


def _interrupted(result: Any) -> bool:
    failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    return any(error is not None and error.cls_name == DagsterExecutionInterruptedError.__name__ for error in failures)


def _failure(result: Any) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data is not None and data.user_failure_data.description:
                return str(data.user_failure_data.description)
            return str(data.error.message if data.error else event.message).strip()
    return "the run failed before its step began"
