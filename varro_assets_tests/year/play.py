"""Play: a year on a machine, week by week.

What belongs here: publications, faults and troubles at their time, and what is noted of every week.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from varro_assets import follow
from varro_assets.defs import keys
from varro_assets_tests.year.calendar import NOT_FOLLOWED, Trouble, Week, Year
from varro_assets_tests.year.machine import Machine, Tick

MOST_TICKS = 120
"""A week's work must be done in as many ticks of the sensor."""
MANY_TICKS = 30
"""A week with more is told why."""


@dataclass
class WeekNote:
    """What is to be told of a week: what was still due at its end and why, and what was asked for."""

    week: Week
    due: list[str] = field(default_factory=list)
    ticks: int = 0
    requests: int = 0
    skipped: str = ""
    mostly: str = ""

    def line(self) -> str:
        """One line of a log."""
        made = sum(len(day.publications) for day in self.week.days)
        trouble = ", ".join([*(fault["kind"] for fault in self.week.faults), *self.week.troubles])
        left = f"; still due: {', '.join(self.due)} ({self.skipped})" if self.due else ""
        done = f"{made:>3} published {self.ticks:>3} ticks {self.requests:>4} requests"
        many = f"; mostly: {self.mostly}" if self.ticks > MANY_TICKS and not left else ""
        return f"{self.week.number:>3} {done} {trouble}{left}{many}"


@dataclass
class Play:
    """A year that is being played.

    Attributes:
        snapshots: numbers of the weeks after which what is held is remembered.
        notes: of every week so far.
    """

    year: Year
    machine: Machine
    snapshots: frozenset[int]
    notes: list[WeekNote] = field(default_factory=list)
    on_week: Callable[[str], None] = lambda _line: None

    def all(self) -> None:
        """Every week."""
        for week in self.year.weeks:
            self.week(week)

    def week(self, week: Week) -> None:
        """Publish, poll, work, and look at what is left."""
        machine, universe = self.machine, self.machine.world.universe
        for day in week.days:
            universe.set_clock(day.morning)
            for publication in day.publications:
                universe.make(publication)
        asked = len(machine.world.simulator.requests)
        # what is published between two requests is published then
        universe.set_clock(week.poll.replace(tzinfo=None) + timedelta(hours=2))
        for fault in week.faults:
            machine.world.simulator.fault(**fault)
        machine.clock.until(week.poll + timedelta(seconds=5))
        for trouble in week.troubles:
            self._before(trouble)
        machine.schedules()
        ticks = sum(self._trouble(trouble) for trouble in week.troubles)
        end = week.poll + timedelta(days=6, hours=12)
        ticks += machine.work(end, MOST_TICKS, self._is_done)
        for table in week.accepted:
            self._accept(table)
        if week.accepted:
            ticks += machine.work(end, MOST_TICKS, self._is_done)
        machine.world.simulator.faults.clear()
        self._note(week, ticks, len(machine.world.simulator.requests) - asked)
        if week.number in self.snapshots:
            machine.books.take_snapshot(machine.clock.now())

    def _note(self, week: Week, ticks: int, requests: int) -> None:
        machine = self.machine
        note = WeekNote(week, machine.behind(), ticks, requests)
        note.skipped = (machine.ticks[-1].skipped or "") if machine.ticks else ""
        said = Counter(
            tick.skipped or f"runs with keys {tick.keys}" for tick in machine.ticks[len(machine.ticks) - ticks :]
        )
        note.mostly = ", ".join(f"{count} x {text}" for text, count in said.most_common(2))
        self.notes.append(note)
        self.on_week(note.line())

    def _is_done(self) -> bool:
        polled = self.machine.books.polls
        this_week = self.year.weeks[len(self.notes)].poll.isoformat(timespec="seconds")
        return bool(polled) and polled[-1] >= this_week and not self.machine.behind() and not self.machine.unfinished()

    def _before(self, trouble: Trouble) -> None:
        """What must be set up before the poll."""
        machine = self.machine
        if trouble is Trouble.FOLLOWED:
            text = machine.settings.follow_file.read_text("utf-8").replace(f'exclude = ["{NOT_FOLLOWED}"]\n', "")
            machine.settings.follow_file.write_text(text, "utf-8")
            follow.read(machine.settings.follow_file)

    def _trouble(self, trouble: Trouble) -> int:
        """Let it happen; returns the number of ticks that took."""
        machine = self.machine
        if trouble is Trouble.KILLED_AT_PLAN:
            machine.trap.at_plan = machine.kill
        elif trouble is Trouble.KILLED_AT_PERIOD:
            machine.trap.at_period = machine.kill
        elif trouble is Trouble.DATABASE_CUT:
            machine.trap.at_period = machine.cut_connections
        elif trouble in {Trouble.CURSOR_LOST, Trouble.CURSOR_GARBAGE}:
            machine.cursor = None if trouble is Trouble.CURSOR_LOST else '{"after": 7, "silent": ['
        elif trouble is Trouble.RESTARTED:
            return self._ticks(machine.tick_and_die)
        elif trouble is Trouble.TWO_DAEMONS:
            return self._ticks(machine.tick_of_two)
        elif trouble in {Trouble.CLOCK_BACK, Trouble.CLOCK_FORWARD}:
            self._ticks(machine.tick)
            machine.clock.jump(timedelta(hours=-1) if trouble is Trouble.CLOCK_BACK else timedelta(days=1))
            return 1
        return 0

    @staticmethod
    def _ticks(tick: Callable[[], Tick]) -> int:
        tick()
        return 1

    def _accept(self, table: str) -> None:
        """A person believes that a period became smaller, and says so in Dagster."""
        machine = self.machine
        codes = machine.instance.get_dynamic_partitions(table)
        if not codes or table not in machine.due():
            return
        selection = [keys.published(table), keys.fact(table), keys.summary(table), keys.links(table)]
        config: dict[str, Any] = {"periods": "DUE", "accept_shrink": True}
        machine.execute(
            [*selection, keys.document(table)],
            {keys.TABLE_TAG: table, keys.RANGE_START: codes[-1], keys.RANGE_END: codes[-1]},
            {"ops": {keys.op_name(table): {"config": config}}},
            table,
        )
