"""A sweep's report by example: what counts as failed, what as mended, and what to do about it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from varro_assets.cli.report_text import head, overview, shortened, since_then
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


def test_a_poll_after_it_ends_what_a_poll_found_and_others_did() -> None:
    said = EventRecord("r1", EventKind.WRITTEN, 1.0, "statbank/catalog", figures={"due": 3})
    assert report("s", [poll("r1")], [said], superseded=True).status is SweepStatus.NO_WORK
    queued = run("r2", state=RunState.QUEUED, ended=None)
    assert report("s", [poll("r1"), queued], [said], superseded=True).status is SweepStatus.INCOMPLETE


def test_of_what_tables_share_one_that_came_in_makes_it_partial() -> None:
    dims = frozenset({Target(Stage.SHARED, "dim/nuts"), Target(Stage.SHARED, "dim/db07")})
    told = EventRecord("r1", EventKind.WRITTEN, 0.0, "dim/nuts")
    found = judged([run("r1", "", RunState.FAILED, targets=dims)], told, broken("r1", (Stage.SHARED,)))
    assert (found.status, [one.asset for one in found.failures]) == (SweepStatus.PARTIAL, ["dim/db07"])


# -- one run of several tables --------------------------------------------------------------------------------------


def several(*tables: str, **more: Any) -> list[RunRecord]:
    """The records of a run that somebody launched in the UI, and that failed."""
    return [run("r1", table, RunState.FAILED, wish={}, **more) for table in tables]


def of(table: str, event: EventRecord) -> EventRecord:
    return replace(event, table=table)


def test_a_run_of_several_tables_is_judged_by_table() -> None:
    found = judged(several("A1", "B2"), *written_whole("A1"), of("B2", broken("r1", text="It broke.")))
    assert (found.status, found.runs, found.retries) == (SweepStatus.PARTIAL, 1, 0)
    assert {name: table.status for name, table in found.tables.items()} == {
        "A1": TableStatus.OK,
        "B2": TableStatus.FAILED,
    }
    assert {(one.asset, one.error) for one in found.failures} == {(f"{stage}/B2", "It broke.") for stage in SYNC_STAGES}
    assert (found.stages[Stage.FETCH].completed, found.stages[Stage.FETCH].failed) == (1, 1)
    assert commands(found) == ("varro sync B2",)


def written_whole(table: str) -> list[EventRecord]:
    """Everything of the table, by run r1."""
    documents = [EventRecord("r1", EventKind.WRITTEN, 0.0, f"{stage}/{table}") for stage in DOCUMENT_STAGES]
    return [of(table, event) for event in (summary("r1", table), *documents)]


def test_only_summaries_chosen_of_several_tables() -> None:
    runs = [
        replace(one, targets=frozenset({Target(Stage.SUMMARY, f"summary/{one.table}")})) for one in several("A1", "B2")
    ]
    found = judged(runs, of("A1", summary("r1")), of("B2", broken("r1")))
    assert [(one.asset, one.table) for one in found.failures] == [("summary/B2", "B2")]
    assert commands(found) == ("varro sync B2",)


def test_what_tables_share_failed_beside_a_table_that_came_in() -> None:
    shared = run("r1", "", RunState.FAILED, targets=frozenset({Target(Stage.SHARED, "dim/nuts")}))
    found = judged([*several("A1"), shared], *written_whole("A1"), broken("r1", (Stage.SHARED,)))
    assert (found.status, found.tables["A1"].status) == (SweepStatus.PARTIAL, TableStatus.OK)
    assert [(one.asset, one.table) for one in found.failures] == [("dim/nuts", "")]
    assert commands(found) == ("varro dims sync nuts",)


def test_a_process_that_died_among_several_tables_leaves_those_that_came_in() -> None:
    died = EventRecord("r1", EventKind.RUN_FAILED, 1.0, text="The process of this run is gone.")
    found = judged(several("A1", "B2", "C3"), *written_whole("A1"), died)
    assert {one.error for one in found.failures} == {"The process of this run is gone."}
    assert commands(found) == ("varro sync B2 C3",)


def test_a_retry_of_several_tables_is_one() -> None:
    again = [run("r2", table) for table in ("A1", "B2")]
    found = judged([*several("A1", "B2"), *again], of("A1", summary("r2")), of("B2", summary("r2", "B2")))
    assert (found.status, found.runs, found.retries) == (SweepStatus.SUCCESS, 2, 1)


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


def planned(name: str, *codes: str) -> list[EventRecord]:
    return [EventRecord(name, EventKind.PLANNED, 0.0, "fetch/A1", code) for code in codes]


def written(name: str, code: str, outcome: str) -> EventRecord:
    return EventRecord(name, EventKind.WRITTEN, 0.0, "fetch/A1", code, figures={"outcome": outcome})


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("SELECTED", ["2020", "2021"]),
        (None, ["2020", "2021"]),  # launched in the UI without config
        ("DUE_SELECTED", ["2020"]),
        # where the range of the run only places it in the UI, nobody knows
        ("DUE", [None]),
        ("ALL", [None]),
        ("OF_ANOTHER_VERSION", [None]),
    ],
)
def test_a_failure_names_the_periods_it_was_asked_for_and_did_not_read(
    asked: str | None, named: list[str | None]
) -> None:
    bad = run("r1", state=RunState.FAILED, wish={"periods": asked} if asked else {})
    told = [written("r1", "2021", "held"), written("r1", "2022", "unchanged")]
    found = judged([bad], *planned("r1", "2022", "2020", "2021"), *told, broken("r1"))
    assert [one.period for one in found.failures if one.asset == "fetch/A1"] == named


def test_a_run_without_a_word_failed_at_what_comes_first() -> None:
    found = judged([run("r1", state=RunState.FAILED)])
    assert found.tables["A1"].failed_stages == frozenset(SYNC_STAGES)
    assert "process is gone" in found.tables["A1"].error
    assert (found.stages[Stage.LINKS].started, found.stages[Stage.LINKS].failed) == (0, 0)


def test_a_document_that_failed_leaves_its_table_in() -> None:
    found = judged([run("r1", state=RunState.FAILED)], summary("r1"), broken("r1", DOCUMENT_STAGES))
    assert (found.status, found.tables["A1"].failed_stages) == (SweepStatus.PARTIAL, frozenset(DOCUMENT_STAGES))
    assert (found.stages[Stage.LOAD].completed, found.stages[Stage.DOCUMENTS].failed) == (1, 1)


def test_a_step_that_fails_after_it_has_written_everything_failed_all_the_same() -> None:
    only = frozenset(Target(stage, f"{stage}/A1") for stage in SYNC_STAGES)
    found = judged([run("r1", state=RunState.FAILED, targets=only)], summary("r1"), broken("r1"))
    assert (found.status, commands(found)) == (SweepStatus.PARTIAL, ("varro sync A1",))


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


@pytest.mark.parametrize(
    ("codes", "wish", "line"),
    [
        (["2022", "2020"], {}, "varro sync A1 --since 2020"),
        (["2022", "2024"], {"since": "2023"}, "varro sync A1 --since 2022"),
        (["2022", "2024"], {"since": "2021"}, "varro sync A1 --since 2021"),
        # by the moment it begins: 2020M06 lies within 2020
        (["2020M06", "2020"], {}, "varro sync A1 --since 2020"),
        # nothing says when these begin
        (["2022", "Total"], {}, "varro sync A1 --full"),
        ([], {}, "varro sync A1"),
    ],
)
def test_partitions_chosen_by_hand_are_asked_for_again(codes: list[str], wish: dict[str, Any], line: str) -> None:
    found = judged([run("r1", state=RunState.FAILED, wish=wish)], *planned("r1", *codes), broken("r1"))
    assert commands(found) == (line,)


def test_what_was_chosen_is_read_again_though_it_is_held() -> None:
    bad = run("r1", state=RunState.FAILED, wish={})
    found = judged([bad], *planned("r1", "2018", "2020"), written("r1", "2018", "held"), broken("r1"))
    assert commands(found) == ("varro sync A1 --since 2018",)


def test_the_oldest_of_several_runs_is_asked_for_whichever_failed_first() -> None:
    runs = [run(name, state=RunState.FAILED, wish={}, segment=name) for name in ("r1", "r2")]
    events = [*planned("r1", "2022"), *planned("r2", "2018"), broken("r1"), replace(broken("r2"), at=2.0)]
    found = judged(runs, *events)
    assert [one.period for one in found.failures if one.stage is Stage.FETCH] == ["2022", "2018"]
    assert commands(found) == ("varro sync A1 --since 2018",)


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
    short = shortened(names[:3], names)
    assert short["8b1f0c2d-aaaa"] == "8b1f0c2d"
    # also from those that are not shown
    assert all(sum(name.startswith(short[one]) for name in names) == 1 for one in names[:3])
    # of a time never half a number
    assert short[names[0]] == "2026-03-01T10-00-00"
    assert shortened([names[0]], []) == {names[0]: "2026-03-01T10-00-00"}
    assert shortened(["s1"], ["s10", "s1"]) == {"s1": "s1"}


def polled(**figures: Any) -> EventRecord:
    return EventRecord("r1", EventKind.WRITTEN, 1.0, "statbank/catalog", figures=figures)


def test_requests_say_whose_they_are() -> None:
    good = judged([run("r1")], summary("r1"))
    assert list(head(good))[2] == "1 of 1 table; 1 period new; 10 rows in 2 requests of the tables' runs."
    bad = judged([run("r1"), run("r2", "B2", RunState.FAILED)], summary("r1"), broken("r2"))
    assert list(head(bad))[2].endswith("10 rows in 2 requests of the tables' runs that ended well.")
    both = judged([poll("r1"), run("r2")], polled(requests=3), summary("r2"))
    assert (both.requests, list(head(both))[2][-55:]) == (5, "10 rows in 5 requests of the poll and the tables' runs.")
    assert list(head(judged([poll("r1")], polled(requests=3))))[2:] == ["3 requests of the poll."]
    # a poll that left no figure made some all the same
    assert list(head(judged([poll("r1")])))[2:] == []


def test_what_came_after_without_work_is_said_in_a_sentence() -> None:
    assert list(since_then([])) == []
    none = judged([poll("r1")], polled(due=0))
    assert list(since_then([(none, 12)])) == [
        "12 polls since then found nothing to do, the last at 1970-01-01 00:00 UTC."
    ]
    waits = judged([poll("r1")], polled(due=1))
    assert waits.idle
    [said] = since_then([(waits, 1), (none, 12)])
    assert said.startswith("13 polls since then, the last at 1970-01-01 00:00 UTC: it found 1 table due and set off no")
    assert list(head(waits))[-1].startswith("It found 1 table due and set off no run yet: after a failure")
    done = report("s", [poll("r1")], [polled(due=1)], superseded=True)
    assert list(head(done))[-1].endswith("after a failure a table waits, or another run saw to it.")
    [said] = since_then([(judged([replace(poll("r1", RunState.STARTED), ended=None)]), 1)])
    assert said == "1 poll since then, at 1970-01-01 00:00 UTC, which has not ended."


def test_a_sweep_that_has_work_or_failed_is_not_idle() -> None:
    assert not judged([poll("r1", RunState.FAILED)], broken("r1", (Stage.POLL,))).idle
    assert not judged([poll("r1"), run("r2", state=RunState.QUEUED, ended=None)], polled(due=1)).idle
    assert not judged([run("r1")], summary("r1")).idle


def test_pages_that_follow_a_sync_by_themselves_do_not_hide_it() -> None:
    pages = run("r2", "", targets=frozenset({Target(Stage.SHARED, "context/subjects")}))
    by_sensor = judged([replace(one, launcher="sensor") for one in (poll("r1"), pages)])
    assert (by_sensor.status, by_sensor.idle) == (SweepStatus.SUCCESS, True)
    assert list(since_then([(by_sensor, 1)])) == ["1 run since then synced no table, at 1970-01-01 00:00 UTC."]
    # somebody asked for these
    assert not judged([replace(pages, launcher="UI")]).idle
    failed = replace(pages, launcher="sensor", state=RunState.FAILED)
    assert not judged([failed]).idle


@pytest.mark.parametrize("width", [80, 160])
def test_the_overview_fits_the_terminal(width: int) -> None:
    found = replace(judged([run("r1")], summary("r1")), sweep="2026-03-01T10-00-00-poll")
    twin = replace(found, sweep="2026-03-01T10-00-59-poll", ended=found.started + 36_000)
    console = Console(width=width, record=True, file=io.StringIO())
    polls = replace(judged([poll("r1")]), sweep="2026-03-01T09-00-00-poll")
    console.print(overview([(found, 1), (twin, 1), (polls, 1234)], [], width))
    heading, *lines = console.export_text().splitlines()
    assert heading.rstrip().endswith("took")
    assert len(lines) == 3
    assert lines[2].startswith("1,234 polls, the last ")
    assert "…" not in "".join([heading, *lines])
