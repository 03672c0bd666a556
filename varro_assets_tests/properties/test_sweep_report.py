"""A sweep's report: whatever its runs did, it has one status, and its figures add up."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.engine.sweep_report import report
from varro_assets.engine.sweeps import (
    DOCUMENT_STAGES,
    SYNC_STAGES,
    EventKind,
    EventRecord,
    RunRecord,
    RunState,
    Stage,
    SweepReport,
    SweepStatus,
    TableStatus,
    Target,
)

TABLES = ("A1", "B2", "")
OUTCOMES = ("new", "revised", "unchanged", "shrunk", "kept")


def targets_of(table: str) -> frozenset[Target]:
    if not table:
        return frozenset({Target(Stage.POLL, "statbank/catalog")})
    return frozenset(Target(stage, f"{stage}/{table}") for stage in (*SYNC_STAGES, *DOCUMENT_STAGES))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[RunRecord], list[EventRecord]]:
    """Runs of a sweep in any state, with any of the events that such runs leave."""
    runs: list[RunRecord] = []
    events: list[EventRecord] = []
    for number in range(draw(st.integers(1, 8))):
        table = draw(st.sampled_from(TABLES))
        state = draw(st.sampled_from(RunState))
        began = (state.ended and draw(st.booleans())) or state in {RunState.STARTED, RunState.SUCCEEDED}
        created = float(draw(st.integers(0, 6)))
        run = RunRecord(
            run_id=f"r{number}",
            sweep="s",
            state=state,
            targets=targets_of(table),
            launcher="sensor",
            created=created,
            started=created + 1 if began else None,
            ended=created + 5 if state.ended else None,
            table=table,
            segment=draw(st.sampled_from(["", "2020...2021"])),
            will_retry=draw(st.booleans()),
        )
        runs.append(run)
        if table and (state is RunState.SUCCEEDED or (began and draw(st.booleans()))):
            counts = {f"periods_{name}": draw(st.integers(0, 3)) for name in OUTCOMES}
            updated = draw(st.sampled_from(["2025-01-01T08:00:00", "not complete"]))
            figures = {**counts, "updated": updated, "rows_fetched": 7, "rows_written": draw(st.integers(0, 5))}
            events.append(EventRecord(run.run_id, EventKind.WRITTEN, created, f"summary/{table}", figures=figures))
        if state is RunState.FAILED and draw(st.booleans()):
            broken = frozenset(draw(st.sampled_from([SYNC_STAGES, DOCUMENT_STAGES])))
            events.append(EventRecord(run.run_id, EventKind.STEP_FAILED, created, stages=broken, text="broken"))
            for period in draw(st.sets(st.sampled_from(["2020", "2021", "x y"]))):
                kind = draw(st.sampled_from([EventKind.PLANNED, EventKind.WRITTEN]))
                events.append(
                    EventRecord(run.run_id, kind, created, f"fetch/{table}", period, figures={"outcome": "new"})
                )
    return runs, events


def judged(history: tuple[list[RunRecord], list[EventRecord]]) -> SweepReport:
    return report("s", *history)


@given(histories())
@settings(deadline=None)
def test_counts_add_up(history: tuple[list[RunRecord], list[EventRecord]]) -> None:
    found = judged(history)

    for stage, count in found.stages.items():
        assert 0 <= count.completed + count.failed <= count.planned, stage
        assert count.completed <= count.started <= count.planned
    assert sum(found.count(status) for status in TableStatus) == len(found.tables)
    assert found.rows_fetched == 7 * sum("rows_fetched" in event.figures for event in history[1])
    assert 0 <= found.retries < found.runs == len(history[0])
    assert {run for table in found.tables.values() for run in table.runs} == {r.run_id for r in history[0] if r.table}


@given(histories())
@settings(deadline=None)
def test_the_status_follows_from_what_is_reported(history: tuple[list[RunRecord], list[EventRecord]]) -> None:
    found = judged(history)

    statuses = {table.status for table in found.tables.values()}
    if TableStatus.UNFINISHED in statuses:
        assert found.status is SweepStatus.INCOMPLETE
    elif found.status in {SweepStatus.SUCCESS, SweepStatus.NO_WORK}:
        assert not found.failures
        assert statuses <= {TableStatus.OK, TableStatus.NOTHING}
    elif found.status in {SweepStatus.FAILED, SweepStatus.PARTIAL}:
        assert found.failures
    if found.status is SweepStatus.FAILED:
        assert statuses <= {TableStatus.FAILED, TableStatus.NOTHING}
    assert (found.ended is None) == (found.status is SweepStatus.INCOMPLETE)


@given(histories())
@settings(deadline=None)
def test_a_failure_is_told_once_and_with_words(history: tuple[list[RunRecord], list[EventRecord]]) -> None:
    found = judged(history)

    told = [(failed.asset, failed.period) for failed in found.failures]
    assert len(told) == len(set(told))
    assert all(failed.error for failed in found.failures)


@given(histories())
@settings(deadline=None)
def test_a_complete_run_afterwards_mends_its_table(history: tuple[list[RunRecord], list[EventRecord]]) -> None:
    runs, events = history
    last = RunRecord("last", "s", RunState.SUCCEEDED, targets_of("A1"), "sensor", 99.0, 99.0, 100.0, table="A1")
    figures = {"updated": "2025-01-01T08:00:00", "periods_unchanged": 1}
    told = EventRecord("last", EventKind.WRITTEN, 99.0, "summary/A1", figures=figures)

    found = report("s", [*runs, last], [*events, told])

    assert not [failed for failed in found.failures if failed.table == "A1" and not failed.shrank]
    assert found.tables["A1"].status in {TableStatus.OK, TableStatus.UNFINISHED}


@given(histories())
@settings(deadline=None)
def test_the_order_of_the_records_does_not_matter(history: tuple[list[RunRecord], list[EventRecord]]) -> None:
    runs, events = history

    assert report("s", list(reversed(runs)), events).as_json() == judged(history).as_json()
