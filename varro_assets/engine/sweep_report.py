"""Sweep report: what came of a sweep, judged from its runs and their events.

What belongs here: pure decisions, records in, report out. The last word counts: a failure that a retry, a later attempt
or a later run of the table mended is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from varro_assets.engine import periods
from varro_assets.engine.sweeps import (
    DOCUMENT_STAGES,
    SYNC_STAGES,
    Asked,
    EventKind,
    EventRecord,
    Failed,
    RunRecord,
    RunState,
    Stage,
    StageCount,
    SweepReport,
    SweepStatus,
    TableReport,
    TableStatus,
    Target,
)
from varro_assets.errors import InvalidPeriod

NEW, REVISED, UNCHANGED, SHRUNK = "new", "revised", "unchanged", "shrunk"
HELD = "held"
"""The word of an event that only says what was there before: nobody read it again."""
OUTCOMES = (NEW, REVISED, UNCHANGED, SHRUNK, "kept")
_CAME_IN = {NEW, REVISED, UNCHANGED}
_ENDED_BADLY = {RunState.FAILED, RunState.STOPPED}
_SAID_NOTHING = "It ended without a word: its process is gone, or was never started."
STOPPED = "It was stopped before its end."
"""The error of a run that somebody ended."""
TOO_SMALL = "It came back with far fewer rows than are held, twice; what is held was kept."
"""The error of a period that shrank."""


def report(
    sweep: str, runs: Iterable[RunRecord], events: Iterable[EventRecord], *, superseded: bool = False
) -> SweepReport:
    """Judge one sweep.

    Args:
        sweep: its id.
        runs: all of it; at least one.
        events: of these runs. Periods are known by name only as far as events of periods, or lists in the summaries,
            are among them.
        superseded: there was a poll after that of this sweep, so that what this one found due and did not ask for it
            never will.

    Raises:
        ValueError: no run.
    """
    by_run: dict[str, list[EventRecord]] = {}
    for event in events:
        by_run.setdefault(event.run_id, []).append(event)
    ordered = sorted(runs, key=lambda run: (run.created, run.run_id, run.table))
    if not ordered:
        raise ValueError(f"a sweep without a run: {sweep}")
    tries = [_Try(run, [e for e in by_run.get(run.run_id, []) if e.table in {"", run.table}]) for run in ordered]
    items = _items(tries)
    tables = {name: _table(name, items) for name in dict.fromkeys(run.table for run in ordered if run.table)}
    failures = _failures(items)
    poll = next((one.figures(Stage.POLL) for one in reversed(tries) if one.figures(Stage.POLL)), {})
    open_ = any(item.unfinished for item in items)
    ends = [run.ended for run in ordered if run.ended is not None]
    return SweepReport(
        sweep=sweep,
        status=_status(items, tables, awaits=bool(poll.get("due")) and not superseded),
        launcher=ordered[0].launcher,
        started=min(run.started or run.created for run in ordered),
        ended=None if open_ or not ends else max(ends),
        runs=len({run.run_id for run in ordered}),
        retries=len({one.run.run_id for item in items for one in item.tries[1:]}),
        stages=_stages(items),
        tables=tables,
        failures=failures,
        poll=poll,
    )


@dataclass
class _Try:
    """One run with its events; of a run of several tables, what it did of one."""

    run: RunRecord
    events: Sequence[EventRecord]

    @cached_property
    def _whole(self) -> dict[str, EventRecord]:
        """Assets written as a whole."""
        return {e.asset: e for e in self.events if e.kind is EventKind.WRITTEN and e.period is None}

    def figures(self, stage: Stage) -> Mapping[str, Any]:
        """What was said of the run's asset of that stage."""
        found = (self._whole.get(target.asset) for target in self.run.targets if target.stage is stage)
        return next((event.figures for event in found if event is not None), {})

    @cached_property
    def state(self) -> RunState:
        """That of the run; but what wrote all of it ended well, whatever else the run failed at."""
        steps = {target.stage for target in self.run.targets}
        whole = self.run.targets and self._written == self.run.targets and not steps & self._broken
        return RunState.SUCCEEDED if whole and self.run.state in _ENDED_BADLY else self.run.state

    @cached_property
    def _written(self) -> frozenset[Target]:
        written = {target for target in self.run.targets if target.asset in self._whole}
        if any(target.stage is Stage.SUMMARY for target in written):
            written |= {target for target in self.run.targets if target.stage in SYNC_STAGES}
        return frozenset(written)

    @cached_property
    def _broken(self) -> frozenset[Stage]:
        """What the steps that failed were to do."""
        return frozenset(stage for e in self.events if e.kind is EventKind.STEP_FAILED for stage in e.stages)

    @cached_property
    def completed(self) -> frozenset[Target]:
        """What it wrote to the end."""
        return self.run.targets if self.state is RunState.SUCCEEDED else self._written

    @cached_property
    def failed(self) -> frozenset[Target]:
        """What it was at when it failed; what it never reached is not among it."""
        if self.state not in _ENDED_BADLY:
            return frozenset()
        open_ = self.run.targets - self.completed
        broken = frozenset(target for target in self.run.targets if target.stage in self._broken)
        if self._broken:
            # a step may also fail after it has written everything
            return open_ & broken or open_ or broken
        # nobody says where: at the first that is missing
        synced = frozenset(target for target in open_ if target.stage in SYNC_STAGES)
        return synced or open_

    @cached_property
    def started(self) -> frozenset[Target]:
        """What it began."""
        if self.run.started is None:
            return frozenset()
        if self.run.state is RunState.STARTED:
            synced = {target for target in self.run.targets if target.stage in SYNC_STAGES}
            begun = self.run.targets - (set() if synced <= self.completed else _documents(self.run))
            return self.completed | begun
        return self.completed | self.failed

    @cached_property
    def error(self) -> str:
        """Why it failed; the step's word rather than the run's."""
        for kind in (EventKind.STEP_FAILED, EventKind.RUN_FAILED):
            for event in self.events:
                if event.kind is kind and event.text:
                    return event.text
        return STOPPED if self.run.state is RunState.STOPPED else _SAID_NOTHING

    @property
    def settled(self) -> dict[str, str]:
        """Period -> outcome: as the summary lists them, else as events of periods say."""
        listed = self.figures(Stage.SUMMARY).get("settled")
        if isinstance(listed, Mapping):
            return {code: outcome for outcome in OUTCOMES for code in listed.get(outcome, ())}
        fetched = {target.asset for target in self.run.targets if target.stage is Stage.FETCH}
        written = [e for e in self.events if e.kind is EventKind.WRITTEN and e.period is not None]
        # a run that only loads has no events of fetching
        chosen = [e for e in written if e.asset in fetched] if fetched else written
        return {str(e.period): str(e.figures.get("outcome", "")) for e in chosen}

    def counts(self) -> Counter[str]:
        """Outcome -> periods."""
        figures = self.figures(Stage.SUMMARY)
        if figures:
            return Counter({name: int(figures.get(f"periods_{name}") or 0) for name in OUTCOMES})
        return Counter(outcome for outcome in self.settled.values() if outcome in OUTCOMES)

    def number(self, name: str) -> int:
        """A number of the summary."""
        value = self.figures(Stage.SUMMARY).get(name)
        return int(value) if isinstance(value, int | float) else 0

    @property
    def updated(self) -> str:
        """Of the publication that the table is held of completely."""
        value = str(self.figures(Stage.SUMMARY).get("updated") or "")
        return value if value[:1].isdigit() else ""


@dataclass
class _Item:
    """One piece of work and every try at it, oldest first."""

    tries: list[_Try] = field(default_factory=list)
    mended: bool = False

    @property
    def last(self) -> _Try:
        return self.tries[-1]

    @property
    def unfinished(self) -> bool:
        state = self.last.state
        return not state.ended or (self.last.run.will_retry and state is RunState.FAILED and not self.mended)

    @property
    def failed(self) -> bool:
        return self.last.state in _ENDED_BADLY and not self.mended and not self.unfinished


def _documents(run: RunRecord) -> set[Target]:
    return {target for target in run.targets if target.stage in DOCUMENT_STAGES}


def _items(tries: Sequence[_Try]) -> list[_Item]:
    found: dict[tuple[str, ...], _Item] = {}
    for one in tries:
        run = one.run
        key = (run.table, run.segment) if run.table else ("", *sorted(target.asset for target in run.targets))
        found.setdefault(key, _Item()).tries.append(one)
    whole: dict[str, float] = {}
    for one in tries:
        if one.run.table and one.state is RunState.SUCCEEDED and one.updated:
            whole[one.run.table] = one.run.created
    for item in found.values():
        # what was cut differently at the next attempt is done too once the table is complete
        item.mended = whole.get(item.last.run.table, -1.0) > item.last.run.created
    return list(found.values())


# -- tables --------------------------------------------------------------------------------------------------------


def _table(name: str, items: Sequence[_Item]) -> TableReport:
    mine = [item for item in items if item.last.run.table == name]
    tries = sorted((one for item in mine for one in item.tries), key=lambda one: (one.run.created, one.run.run_id))
    failed = [item for item in mine if item.failed]
    last = failed[-1].last if failed else tries[-1]
    outcomes = _merged(one.settled for one in tries)
    counts: Counter[str] = sum((one.counts() for one in tries), Counter())
    if counts[SHRUNK]:
        # of a period that shrank only the last try tells whether it still is kept from coming in
        counts[SHRUNK] = sum(item.last.counts()[SHRUNK] for item in mine if not item.mended)
    return TableReport(
        table=name,
        status=_table_status(mine, counts, sum(one.number("rows_written") for one in tries)),
        outcomes=outcomes,
        counts={name: counts[name] for name in OUTCOMES if counts[name]},
        planned=_plans(tries),
        rows_fetched=sum(one.number("rows_fetched") for one in tries),
        rows_written=sum(one.number("rows_written") for one in tries),
        requests=sum(one.number("requests") for one in tries),
        seconds=sum(one.run.seconds for one in tries),
        due=next((one.run.updated for one in reversed(tries) if one.run.updated), ""),
        updated=next((one.updated for one in reversed(tries) if one.updated), ""),
        error=failed[0].tries[0].error if failed else "",
        wish=last.run.wish,
        failed_stages=frozenset(target.stage for item in failed for target in item.last.failed),
        runs=tuple(one.run.run_id for one in tries),
    )


def _merged(settled: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The outcomes of several runs: a later one counts, unless it only found as it was what an earlier one changed."""
    merged: dict[str, str] = {}
    for outcomes in settled:
        for code, outcome in outcomes.items():
            if merged.get(code) not in {NEW, REVISED} or outcome in {NEW, REVISED}:
                merged[code] = outcome
    return {code: merged[code] for code in in_order(merged)}


def _plans(tries: Sequence[_Try]) -> dict[str, list[str]]:
    planned: dict[str, list[str]] = {}
    for one in tries:
        listed = one.figures(Stage.SUMMARY).get("planned")
        for reason, codes in listed.items() if isinstance(listed, Mapping) else ():
            planned.setdefault(reason, []).extend(code for code in codes if code not in planned.get(reason, ()))
    return planned


def _table_status(items: Sequence[_Item], counts: Mapping[str, int], rows_written: int) -> TableStatus:
    if any(item.unfinished for item in items):
        return TableStatus.UNFINISHED
    came_in = sum(counts.get(name, 0) for name in _CAME_IN)
    if any(item.failed for item in items):
        ended_well = any(item.last.completed for item in items)
        return TableStatus.PARTIAL if came_in or ended_well else TableStatus.FAILED
    if counts.get(SHRUNK):
        return TableStatus.PARTIAL
    synced = any(target.stage in SYNC_STAGES for item in items for target in item.last.run.targets)
    return TableStatus.OK if came_in or rows_written or not synced else TableStatus.NOTHING


# -- the sweep -----------------------------------------------------------------------------------------------------


def _status(items: Sequence[_Item], tables: Mapping[str, TableReport], *, awaits: bool) -> SweepStatus:
    """Of the sweep; ``awaits``: its poll found something due, the runs for which may still be asked for."""
    if any(item.unfinished for item in items):
        return SweepStatus.INCOMPLETE
    statuses = {table.status for table in tables.values()}
    others = [item for item in items if not item.last.run.table and not _only_polls(item)]
    came_in = bool(statuses & {TableStatus.OK, TableStatus.PARTIAL})
    came_in = came_in or any(not item.failed or item.last.completed for item in others)
    if any(item.failed for item in items) or TableStatus.PARTIAL in statuses:
        return SweepStatus.PARTIAL if came_in else SweepStatus.FAILED
    if came_in:
        return SweepStatus.SUCCESS
    return SweepStatus.INCOMPLETE if not tables and awaits else SweepStatus.NO_WORK


def _only_polls(item: _Item) -> bool:
    return all(target.stage is Stage.POLL for target in item.last.run.targets)


def _stages(items: Sequence[_Item]) -> dict[Stage, StageCount]:
    planned: dict[Target, list[_Item]] = {}
    for item in items:
        for target in {target for one in item.tries for target in one.run.targets}:
            planned.setdefault(target, []).append(item)
    counts: dict[Stage, StageCount] = {}
    for stage in Stage:
        for target in (target for target in planned if target.stage is stage):
            count = counts.setdefault(stage, StageCount())
            count.planned += 1
            tries = [one for item in planned[target] for one in item.tries]
            count.started += any(target in one.started for one in tries)
            if any(item.failed and target in item.last.failed for item in planned[target]):
                count.failed += 1
            elif not any(item.unfinished for item in planned[target]):
                count.completed += any(target in one.completed for one in tries)
    return counts


def _failures(items: Sequence[_Item]) -> list[Failed]:
    first: dict[tuple[str, str | None], Failed] = {}
    for item in items:
        found = [*_broken(item), *_shrunk(item)]
        for failed in found:
            first.setdefault((failed.asset, failed.period), failed)
    return sorted(first.values(), key=lambda one: (one.at, one.asset, one.period or ""))


def _broken(item: _Item) -> Iterable[Failed]:
    if not item.failed:
        return
    still = item.last.failed
    one = next(one for one in item.tries if one.state in _ENDED_BADLY)
    at = next((e.at for e in one.events if e.kind in {EventKind.STEP_FAILED, EventKind.RUN_FAILED}), None)
    moment = at if at is not None else one.run.ended or one.run.created
    for target in sorted(still):
        for period in _missing(item.last, target.asset) or [None]:
            yield Failed(target.asset, one.run.table, target.stage, period, one.error, one.run.run_id, moment)


def _missing(one: _Try, asset: str) -> list[str | None]:
    """Periods of the asset that the run was to bring in and did not; none where nobody knows which it was to.

    Only a run of selected partitions is of the periods planned for it; the range of any other places it in the UI.
    """
    asked = Asked.of(one.run.wish)
    if asked not in {Asked.SELECTED, Asked.DUE_SELECTED}:
        return []
    mine = [(e.period, e) for e in one.events if e.asset == asset and e.period is not None]
    planned = {code for code, e in mine if e.kind is EventKind.PLANNED}
    # what was selected was to be read again though it is held; of what was only due it may have been read before
    unread = {HELD} if asked is Asked.SELECTED else set()
    written = {code for code, e in mine if e.kind is EventKind.WRITTEN and e.figures.get("outcome") not in unread}
    return [*in_order(planned - written)]


def in_order(codes: Iterable[str]) -> list[str]:
    """Periods, oldest first."""
    codes = list(codes)
    try:
        return periods.in_order(codes)
    except InvalidPeriod:
        return sorted(codes)  # a partition key that somebody added by hand


def _shrunk(item: _Item) -> Iterable[Failed]:
    one = item.last
    if item.mended or not one.counts()[SHRUNK]:
        return
    codes: list[str | None] = [code for code, outcome in one.settled.items() if outcome == SHRUNK]
    for target in sorted(target for target in one.run.targets if target.stage is Stage.FETCH):
        for code in codes or [None]:
            moment = one.run.ended or one.run.created
            yield Failed(target.asset, one.run.table, Stage.FETCH, code, TOO_SMALL, one.run.run_id, moment, True)
