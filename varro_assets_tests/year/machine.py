"""Machine: Dagster's daemon, as far as a year needs it: ticks of schedules and sensor, and the runs they ask for.

What belongs here: what the daemon does with a tick's result (partition keys, then runs; a run key that ran is never run
again; the cursor last), the queue (one run after another), the web server's reload, and the ways in which all of that
can fail. What is asked for is decided by the real schedule and the real sensor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dagster import (
    AddDynamicPartitionsRequest,
    DagsterInstance,
    DagsterRunStatus,
    RunRequest,
    RunsFilter,
    build_schedule_context,
    build_sensor_context,
)
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._utils.schedules import schedule_execution_time_iterator

from varro_assets import follow
from varro_assets.defs import graph, keys
from varro_assets.defs.watcher import Watcher
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Plan
from varro_assets.settings import Settings
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sweeps.due import State, states, synced
from varro_assets.statbank.sync_report import Outcome
from varro_assets_tests.oracle import World
from varro_assets_tests.year.books import Books
from varro_assets_tests.year.compressed_clock import CompressedClock

SENSOR = "statbank_changes"
RUN_KEY, SENSOR_NAME, SCHEDULE_NAME = "dagster/run_key", "dagster/sensor_name", "dagster/schedule_name"
BETWEEN_TICKS = timedelta(seconds=30)
LONGEST_STEP = timedelta(hours=8)
_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


class Killed(BaseException):
    """The process of a run is gone."""


class Trap(Watcher):
    """Lets something happen once, in the middle of a run.

    Attributes:
        at_plan: called when a plan stands.
        at_period: called when a period was put in place.
    """

    at_plan: Callable[[], None] | None = None
    at_period: Callable[[], None] | None = None

    def planned(self, plan: Plan, info: TableInfo) -> None:
        spring, self.at_plan = self.at_plan, None
        if spring:
            spring()

    def settled(self, period: str, outcome: Outcome, part: PartitionInfo) -> None:
        spring, self.at_period = self.at_period, None
        if spring:
            spring()


@dataclass
class Tick:
    """What the sensor said: how many runs it asked for, or why it did not."""

    moment: datetime
    requests: list[RunRequest]
    skipped: str | None

    @property
    def keys(self) -> list[str]:
        """Of the runs asked for."""
        return [request.run_key or "" for request in self.requests]


@dataclass(frozen=True)
class Ran:
    """A run, and which lines of the simulator's log it asked for.

    Attributes:
        table: None for one that is of no single table, as a poll.
        ended: success, failure or killed.
    """

    table: str | None
    ended: str
    first: int
    last: int


@dataclass
class Machine:
    """The machine of one home.

    Attributes:
        cursor: of the sensor.
        trap: springs in a run.
        ticks: of the sensor, so far.
        runs: in the order in which they ended.
    """

    settings: Settings
    world: World
    instance: DagsterInstance
    clock: CompressedClock
    books: Books
    cursor: str | None = None
    trap: Trap = field(default_factory=Trap)
    ticks: list[Tick] = field(default_factory=list)
    runs: list[Ran] = field(default_factory=list)
    _last: datetime = field(init=False)
    _reload: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._last = self.clock.now()
        self.load()

    def load(self) -> None:
        """What a code server does when it starts or is asked to load anew."""
        self._repository = graph.definitions(self.settings).get_repository_def()
        self._reload = False

    def asked_to_reload(self, url: str) -> list[str]:
        """Stands in for `reloading.reload`: the web server takes it up after the tick."""
        self._reload = True
        return ["year"]

    # -- ticks -----------------------------------------------------------------------------------------------------

    def schedules(self) -> int:
        """Evaluate the ticks of all schedules that came due since the last time; returns the runs requested."""
        since, self._last, count = self._last, self.clock.now(), 0
        for schedule in self._repository.schedule_defs:
            ticks = schedule_execution_time_iterator(
                since.timestamp() + 1, schedule.cron_schedule, schedule.execution_timezone
            )
            due = []
            while (tick := next(ticks)) <= self._last:
                due.append(tick)
            # of ticks that were missed the daemon makes up for the last
            for tick in due[-1:]:
                context = build_schedule_context(scheduled_execution_time=tick, repository_def=self._repository)
                # it would make itself an instance from where one is stored; this one is nowhere
                context._instance, context._instance_ref = self.instance, True  # type: ignore[assignment]
                data = schedule.evaluate_tick(context)
                for request in data.run_requests or ():
                    tags = {SCHEDULE_NAME: schedule.name}
                    count += self._launch_once(request, request.job_name or schedule.job_name, tags)
        return count

    def tick(self) -> Tick:
        """Evaluate the sensor and do what it asks for, as the daemon does."""
        data = self.evaluate()
        self.register(data)
        for request in data.run_requests or ():
            self._launch_once(request, request.job_name, {SENSOR_NAME: SENSOR})
        self.cursor = data.cursor
        return self._ticked(data)

    def evaluate(self) -> Any:
        """The sensor's answer, nothing done."""
        sensor = self._repository.get_sensor_def(SENSOR)
        context = build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=self._repository, sensor_name=SENSOR
        )
        return sensor.evaluate_tick(context)

    def register(self, data: Any) -> None:
        """Add the partition keys asked for."""
        for request in data.dynamic_partitions_requests or ():
            assert isinstance(request, AddDynamicPartitionsRequest)
            known = set(self.instance.get_dynamic_partitions(request.partitions_def_name))
            fresh = [key for key in request.partition_keys if key not in known]
            if fresh:
                self.instance.add_dynamic_partitions(request.partitions_def_name, fresh)

    def tick_and_die(self) -> Tick:
        """The daemon dies between adding partition keys and launching runs; nothing else is stored."""
        data = self.evaluate()
        self.register(data)
        return self._ticked(data)

    def tick_of_two(self) -> Tick:
        """Two daemons: both find that no run has the keys, and launch what was asked for."""
        data = self.evaluate()
        other = self.evaluate()
        for answer in (data, other):
            self.register(answer)
            for request in answer.run_requests or ():
                self._launch(request, request.job_name, {SENSOR_NAME: SENSOR})
            self.cursor = answer.cursor
        return self._ticked(data)

    def _ticked(self, data: Any) -> Tick:
        tick = Tick(self.clock.now(), list(data.run_requests or ()), data.skip_message)
        self.ticks.append(tick)
        if self._reload:
            self.load()
        return tick

    # -- runs ------------------------------------------------------------------------------------------------------

    def _launch_once(self, request: RunRequest, job: str | None, tags: dict[str, str]) -> bool:
        if request.run_key:
            same = self.instance.get_runs(RunsFilter(tags={RUN_KEY: request.run_key, **tags}))
            if same:
                return False
        self._launch(request, job, tags)
        return True

    def _launch(self, request: RunRequest, job: str | None, tags: dict[str, str]) -> None:
        table = request.tags.get(keys.TABLE_TAG)
        key = {RUN_KEY: request.run_key} if request.run_key else {}
        self.execute(request.asset_selection, {**request.tags, **tags, **key}, dict(request.run_config), table, job)

    def execute(
        self,
        selection: Sequence[Any] | None,
        tags: dict[str, str],
        config: dict[str, Any],
        table: str | None = None,
        job: str | None = None,
    ) -> bool:
        """Execute a run in this process; whether it ended well. One that is killed stays as it is."""
        if table is not None:
            definitions = graph.definitions(self.settings, only=[table], watcher=self.trap)
            executable = definitions.resolve_implicit_global_asset_job_def()
        else:
            executable = self._repository.get_job(job or IMPLICIT_ASSET_JOB_NAME)
        ended, first = "killed", len(self.world.simulator.requests)
        with contextlib.suppress(Killed):
            result = executable.execute_in_process(
                instance=self.instance,
                asset_selection=selection,
                tags=tags,
                run_config={**config, "loggers": _QUIET},
                raise_on_error=False,
            )
            ended = "success" if result.success else "failure"
        if self.is_dead:
            ended = "killed"
            self._revive()
        self.runs.append(Ran(table, ended, first, len(self.world.simulator.requests)))
        self.books.note_poll(self.world.sources.catalogue.read())
        self.books.note_runs()
        return ended == "success"

    @property
    def is_dead(self) -> bool:
        """Whether the process of a run was killed and no other was started yet."""
        return "handle_new_event" in vars(self.instance)

    def kill(self) -> None:
        """From here on the process of the run under way stores nothing more."""
        for name in ("handle_new_event", "store_event", "report_dagster_event"):
            setattr(self.instance, name, lambda *_, **__: None)
        raise Killed

    def _revive(self) -> None:
        for name in ("handle_new_event", "store_event", "report_dagster_event"):
            delattr(self.instance, name)

    def cut_connections(self) -> None:
        """Cut every connection to the warehouse but the test's own, as a restart of the server does."""
        with self.clock.connection.cursor() as cursor:
            # clients' alone: this role may not end a worker of autovacuum, and would get an error in place of the cut
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                " AND application_name NOT LIKE 'varro oracle%'"
            )

    # -- how things stand ------------------------------------------------------------------------------------------

    def standing(self) -> dict[str, State]:
        """How every followed table stands against the last poll."""
        known = self.world.sources.catalogue.read()
        if known is None:
            return {}
        file = follow.read(self.settings.follow_file)
        followed = file.resolve(known.entries.keys(), known.tables_by_subject)
        with self.world.database() as connection:
            return states(followed, known, synced(connection), self.world.sources.tables_dir)

    def due(self) -> list[str]:
        """Followed tables that are due."""
        return [table for table, state in self.standing().items() if state not in {State.CURRENT, State.GONE}]

    def behind(self) -> list[str]:
        """Due tables of which something else is held than is published: a sync may be ahead of the last poll."""
        universe = self.world.universe
        return [table for table in self.due() if self.books.seen.get(table, [""])[-1] != universe.table(table).updated]

    def unfinished(self) -> list[str]:
        """Runs that Dagster takes for running."""
        running = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED]
        return [run.run_id for run in self.instance.get_runs(RunsFilter(statuses=running))]

    def work(self, until: datetime, most: int, done: Callable[[], bool]) -> int:
        """Tick on until nothing is left to be done, or until then; returns the number of ticks.

        After a tick that asked for nothing the next comes later and later: nothing happens meanwhile.
        """
        step, idle = BETWEEN_TICKS, 0
        for count in range(1, most + 1):
            tick = self.tick()
            if tick.requests:
                step, idle = BETWEEN_TICKS, 0
            else:
                idle += 1
                if idle > 1 and done():
                    return count
                step = min(LONGEST_STEP, step * 4)
            if self.clock.now() + step >= until:
                return count
            self.clock.jump(step)
        return most


@contextlib.contextmanager
def reloading_by(machine: Machine, module: Any) -> Iterator[None]:
    """Let the machine stand in for the web server that reloads the graph."""
    before = module.reload
    module.reload = machine.asked_to_reload
    try:
        yield
    finally:
        module.reload = before
