"""A sweep's report by example: what counts as failed, what as mended, and what to do about it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from varro_assets.cli.report_text import overview, shortened
from varro_assets.cli.restart import restart
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

GOOD = {"updated": "2025-01-01T08:00:00", "rows_fetched": 10, "rows_written": 10, "requests": 2, "periods_new": 1}
DUE = {"periods": "DUE"}


def run(name: str, table: str = "A1", state: RunState = RunState.SUCCEEDED, **more: Any) -> RunRecord:
    targets = frozenset(Target(stage, f"{stage}/{table}") for stage in (*SYNC_STAGES, *DOCUMENT_STAGES))
    number = float(int(name[1:]))
    known: dict[str, Any] = {"started": number, "ended": number + 0.5, "wish": DUE, "targets": targets, **more}
    return RunRecord(name, "s", state, launcher="command", created=number, table=table, **known)


def poll(name: str, state: RunState = RunState.SUCCEEDED) -> RunRecord:
    return run(name, "", state, targets=frozenset({Target(Stage.POLL, "statbank/catalog")}))


def summary(name: str, table: str = "A1", **figures: Any) -> EventRecord:
    return EventRecord(name, EventKind.WRITTEN, 0.0, f"summary/{table}", figures={**GOOD, **figures})


def broken(name: str, stages: tuple[Stage, ...] = SYNC_STAGES, text: str = "It broke.") -> EventRecord:
    return EventRecord(name, EventKind.STEP_FAILED, 1.0, stages=frozenset(stages), text=text)


def judged(runs: list[RunRecord], *events: EventRecord) -> SweepReport:
    return report("s", runs, events)


# -- status --------------------------------------------------------------------------------------------------------


def test_everything_in_is_a_success() -> None:
    found = judged([run("r1")], summary("r1"))
    assert found.status is SweepStatus.SUCCESS
    assert (found.rows_fetched, found.requests, found.periods("new")) == (10, 2, 1)
    assert {stage: count.completed for stage, count in found.stages.items()} == dict.fromkeys(
        (*SYNC_STAGES, *DOCUMENT_STAGES), 1
    )


def test_one_of_two_is_partial_and_none_is_failed() -> None:
    bad = run("r2", "B2", RunState.FAILED)
    assert judged([run("r1"), bad], summary("r1"), broken("r2")).status is SweepStatus.PARTIAL
    assert judged([poll("r1"), bad], broken("r2")).status is SweepStatus.FAILED


def test_a_period_that_shrank_makes_it_partial() -> None:
    found = judged([run("r1")], summary("r1", periods_shrunk=1, settled={"new": ["2020"], "shrunk": ["2019"]}))
    assert found.status is SweepStatus.PARTIAL
    assert [(one.period, one.shrank) for one in found.failures] == [("2019", True)]


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.STARTED])
def test_what_has_not_ended_is_incomplete(state: RunState) -> None:
    found = judged([run("r1"), run("r2", "B2", state, ended=None)], summary("r1"))
    assert (found.status, found.ended) == (SweepStatus.INCOMPLETE, None)


def test_a_failed_run_that_will_be_tried_again_is_incomplete() -> None:
    assert judged([run("r1", state=RunState.FAILED, will_retry=True)]).status is SweepStatus.INCOMPLETE


def test_a_poll_that_found_nothing_is_no_work_and_one_that_found_something_is_not_over() -> None:
    assert judged([poll("r1")]).status is SweepStatus.NO_WORK
    said = EventRecord("r1", EventKind.WRITTEN, 1.0, "statbank/catalog", figures={"due": 3})
    assert judged([poll("r1")], said).status is SweepStatus.INCOMPLETE


def test_a_sync_that_found_all_of_it_read_is_no_work() -> None:
    nothing = {"rows_fetched": 0, "rows_written": 0, "requests": 1, "periods_new": 0}
    found = judged([run("r1")], summary("r1", **nothing))
    assert (found.status, found.tables["A1"].status) == (SweepStatus.NO_WORK, TableStatus.NOTHING)


# -- retries and mending -------------------------------------------------------------------------------------------


def test_a_retry_mends_and_is_counted() -> None:
    found = judged([run("r1", state=RunState.FAILED), run("r2")], broken("r1"), summary("r2"))
    assert (found.status, found.retries, found.failures) == (SweepStatus.SUCCESS, 1, [])


def test_a_retry_that_fails_too_tells_the_first_error_once() -> None:
    runs = [run("r1", state=RunState.FAILED), run("r2", state=RunState.FAILED)]
    found = judged(runs, broken("r1", text="First."), broken("r2", text="Second."))
    assert found.retries == 1
    assert {(one.asset, one.error, one.run_id) for one in found.failures} == {
        (f"{stage}/A1", "First.", "r1") for stage in SYNC_STAGES
    }


def test_segments_of_a_table_are_work_of_their_own_until_the_table_is_complete() -> None:
    runs = [run("r1", state=RunState.FAILED, segment="2010...2012"), run("r2", segment="2014...2015")]
    partly = judged(runs, broken("r1"), summary("r2", updated="not complete"))
    assert (partly.status, partly.tables["A1"].status) == (SweepStatus.PARTIAL, TableStatus.PARTIAL)
    whole = judged([*runs, run("r3", segment="2011...2012")], broken("r1"), summary("r2"), summary("r3"))
    assert (whole.status, whole.failures) == (SweepStatus.SUCCESS, [])


def test_what_was_changed_first_and_found_unchanged_later_was_changed() -> None:
    runs = [run("r1", state=RunState.FAILED), run("r2")]
    told = EventRecord("r1", EventKind.WRITTEN, 0.0, "fetch/A1", "2020", figures={"outcome": "revised"})
    found = judged(runs, told, broken("r1"), summary("r2", settled={"unchanged": ["2020"], "new": ["2021"]}))
    assert found.tables["A1"].outcomes == {"2020": "revised", "2021": "new"}


# -- failures ------------------------------------------------------------------------------------------------------


def test_a_failure_names_the_periods_that_are_missing_of_each_asset() -> None:
    events = [EventRecord("r1", EventKind.PLANNED, 0.0, "fetch/A1", code) for code in ("2022", "2020", "2021")]
    events.append(EventRecord("r1", EventKind.WRITTEN, 0.0, "fetch/A1", "2021", figures={"outcome": "held"}))
    found = judged([run("r1", state=RunState.FAILED)], *events, broken("r1"))
    assert [(one.asset, one.period) for one in found.failures if one.stage is Stage.FETCH] == [
        ("fetch/A1", "2020"),
        ("fetch/A1", "2022"),
    ]


def test_a_run_without_a_word_failed_at_what_comes_first() -> None:
    found = judged([run("r1", state=RunState.FAILED)])
    assert found.tables["A1"].failed_stages == frozenset(SYNC_STAGES)
    assert "process is gone" in found.tables["A1"].error
    assert (found.stages[Stage.LINKS].started, found.stages[Stage.LINKS].failed) == (0, 0)


def test_a_document_that_failed_leaves_its_table_in() -> None:
    found = judged([run("r1", state=RunState.FAILED)], summary("r1"), broken("r1", DOCUMENT_STAGES))
    assert (found.status, found.tables["A1"].failed_stages) == (SweepStatus.PARTIAL, frozenset(DOCUMENT_STAGES))
    assert (found.stages[Stage.LOAD].completed, found.stages[Stage.DOCUMENTS].failed) == (1, 1)


# -- what to do ----------------------------------------------------------------------------------------------------


def commands(found: SweepReport) -> tuple[str, ...]:
    return restart(found, "varro").commands


def test_only_what_failed_is_done_again() -> None:
    runs = [run("r1"), run("r2", "B2", RunState.FAILED), run("r3", "C3", RunState.FAILED)]
    found = judged(runs, summary("r1"), broken("r2"), broken("r3"))
    assert commands(found) == ("varro sync B2 C3",)


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        ({"periods": "ALL"}, "varro sync A1 --full"),
        ({**DUE, "since": "2006/2007"}, "varro sync A1 --since 2006/2007"),
        ({**DUE, "accept_shrink": True}, "varro sync A1 --accept-shrink"),
        ({"periods": "DUE_SELECTED"}, "varro sync A1"),
    ],
)
def test_what_was_wished_is_wished_again(wish: dict[str, Any], line: str) -> None:
    assert commands(judged([run("r1", state=RunState.FAILED, wish=wish)], broken("r1"))) == (line,)


def test_partitions_chosen_by_hand_are_asked_for_again() -> None:
    planned = [EventRecord("r1", EventKind.PLANNED, 0.0, "fetch/A1", code) for code in ("2022", "2020")]
    found = judged([run("r1", state=RunState.FAILED, wish={})], *planned, broken("r1"))
    assert commands(found) == ("varro sync A1 --since 2020",)


def test_documents_are_written_again_without_a_sync() -> None:
    found = judged([run("r1", state=RunState.FAILED)], summary("r1"), broken("r1", DOCUMENT_STAGES))
    assert commands(found) == ("varro document A1",)


def test_a_poll_that_failed_is_a_sync_of_everything() -> None:
    found = judged([poll("r1", RunState.FAILED), run("r2", "B2", RunState.FAILED)], broken("r1", (Stage.POLL,)))
    assert commands(found) == ("varro sync",)


def test_what_shrank_may_be_believed_instead() -> None:
    found = restart(judged([run("r1")], summary("r1", periods_shrunk=1)), "varro --demo")
    assert found.commands == ("varro --demo sync A1",)
    assert found.believing == ("varro --demo sync A1 --accept-shrink",)


def test_a_dimension_and_the_pages_have_commands_of_their_own() -> None:
    dims = frozenset({Target(Stage.SHARED, "classification/nuts"), Target(Stage.SHARED, "dim/nuts")})
    pages = frozenset({Target(Stage.SHARED, "context/subjects")})
    runs = [
        run("r1", "", RunState.FAILED, targets=dims),
        run("r2", "", RunState.FAILED, targets=pages),
    ]
    assert commands(judged(runs)) == ("varro dims sync nuts", "varro document")


def test_nothing_failed_needs_nothing() -> None:
    assert commands(judged([run("r1")], summary("r1"))) == ()


def test_what_is_under_way_is_named_and_not_begun_again() -> None:
    found = restart(judged([replace(run("r1", state=RunState.STARTED), ended=None)]), "varro")
    assert (found.commands, found.under_way) == ((), ("A1",))


# -- words ---------------------------------------------------------------------------------------------------------


def test_ids_are_shown_as_far_as_they_differ() -> None:
    names = ["2026-03-01T10-00-00-cli-ab12", "2026-03-01T10-00-59-cli-0000", "8b1f0c2d-aaaa", "8b1f0c2e-bbbb"]
    short = shortened(names)
    assert short["8b1f0c2d-aaaa"] == "8b1f0c2d"
    assert all(sum(name.startswith(short[one]) for name in names) == 1 for one in names)
    # of a time never half a number
    assert short[names[0]] == "2026-03-01T10-00-00"


@pytest.mark.parametrize("width", [80, 160])
def test_the_overview_fits_the_terminal(width: int) -> None:
    found = replace(judged([run("r1")], summary("r1")), sweep="2026-03-01T10-00-00-poll")
    twin = replace(found, sweep="2026-03-01T10-00-59-poll", ended=found.started + 36_000)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(overview([found, twin], width))
    heading, *lines = console.export_text().splitlines()
    assert heading.rstrip().endswith("took")
    assert len(lines) == 2
    assert "…" not in "".join([heading, *lines])
