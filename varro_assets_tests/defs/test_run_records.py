"""Run records: what is read of real runs in a real Dagster instance, and what is projected from it."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterEvent,
    DagsterEventType,
    DagsterExecutionInterruptedError,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunsFilter,
)
from dagster._core.events import StepMaterializationData
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.runs import sql_run_storage
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import consume_new_runs_for_automatic_reexecution

from varro_assets.cli.restart import restart
from varro_assets.defs import graph, keys
from varro_assets.defs.records import projections, run_records
from varro_assets.defs.records.projections import write_projections
from varro_assets.engine.files import write_text
from varro_assets.engine.sweeps import Stage, SweepReport, SweepStatus, TableStatus
from varro_assets.statbank import sync
from varro_assets_tests.defs.conftest import DUE, Lab
from varro_assets_tests.defs.daemon import QUIET, Daemon

SWEEP = "2026-03-01T10-00-00-cli-ab12"


def in_sweep(lab: Lab, *results: Any, name: str = SWEEP) -> None:
    for result in results:
        lab.instance.add_run_tags(result.run_id, {keys.SWEEP_TAG: name})


def judged(lab: Lab, name: str = SWEEP) -> SweepReport:
    [found] = run_records.named(lab.instance, [name])
    return found


def stored(
    instance: DagsterInstance,
    status: DagsterRunStatus,
    assets: frozenset[AssetKey] | None = frozenset({keys.CATALOGUE}),
    **tags: str,
) -> DagsterRun:
    """A run of which nothing is known but that it was made."""
    return instance.add_run(
        DagsterRun(
            job_name="__ASSET_JOB",
            run_id=str(uuid.uuid4()),
            status=status,
            tags={name.replace("__", "/"): value for name, value in tags.items()},
            asset_selection=assets,
        )
    )


def polled(instance: DagsterInstance, sweep: str, due: int) -> None:
    """A poll of the schedule that went well: such a run has no selection."""
    now = sql_run_storage.get_current_datetime().timestamp()
    run = stored(instance, DagsterRunStatus.STARTED, None, varro__sweep=sweep, varro__poll="statbank/catalog")
    told = StepMaterializationData(AssetMaterialization(keys.CATALOGUE, metadata={"due": due}))
    for kind, data in ((DagsterEventType.ASSET_MATERIALIZATION, told), (DagsterEventType.RUN_SUCCESS, None)):
        event = DagsterEvent(kind.value, run.job_name, event_specific_data=data)
        instance.report_dagster_event(event, run.run_id, timestamp=now)


@pytest.fixture
def judgements(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The sweeps of each time that some were read whole."""
    seen: list[list[str]] = []
    real = run_records.named

    def named(instance: DagsterInstance, names: Sequence[str]) -> list[SweepReport]:
        seen.append(list(names))
        return real(instance, names)

    monkeypatch.setattr(run_records, "named", named)
    return seen


def test_periods_are_named_with_their_outcome(lab: Lab) -> None:
    lab.synced()
    lab.simulator.universe.revise(lab.table, lab.periods[-2])
    lab.simulator.universe.shrink(lab.table, lab.periods[-1], keep=0.2)
    in_sweep(lab, lab.good(lab.periods[-3], lab.periods[-1], config=DUE, select=[*lab.synced_assets, *lab.documents]))

    found = judged(lab)

    assert found.status is SweepStatus.PARTIAL
    table = found.tables[lab.table]
    rest = dict.fromkeys(lab.periods[:-2], "unchanged")
    assert table.outcomes == {**rest, lab.periods[-2]: "revised", lab.periods[-1]: "shrunk"}
    assert (table.counts["revised"], table.counts["shrunk"]) == (1, 1)
    assert [(one.period, one.shrank) for one in found.failures] == [(lab.periods[-1], True)]
    assert found.stages[Stage.DOCUMENTS].completed == 1


def test_a_failure_speaks_its_own_words_until_a_retry_mends_it(lab: Lab) -> None:
    lab.simulator.fault("garbage", table=lab.table, path="data", count=1)
    bad = lab.run(config={"periods": "ALL", "accept_shrink": True})

    found = judged(lab, bad.run_id)

    assert found.status is SweepStatus.FAILED
    assert all(one.error.startswith("Could not") for one in found.failures)
    assert found.tables[lab.table].wish == {"periods": "ALL", "accept_shrink": True}
    assert (found.stages[Stage.FETCH].failed, found.stages[Stage.FETCH].completed) == (1, 0)

    good = lab.good(config=DUE)
    lab.instance.add_run_tags(good.run_id, {ROOT_RUN_ID_TAG: bad.run_id, PARENT_RUN_ID_TAG: bad.run_id})

    assert run_records.newest_names(lab.instance, 10) == [bad.run_id]
    found = judged(lab, bad.run_id)
    assert (found.status, found.runs, found.retries) == (SweepStatus.SUCCESS, 2, 1)
    assert found.failures == []
    assert run_records.find(lab.instance, good.run_id[:8]) == [bad.run_id]


def test_what_was_interrupted_says_so(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise DagsterExecutionInterruptedError

    monkeypatch.setattr(sync, "sync_table", interrupted)
    in_sweep(lab, lab.run(config=DUE))

    found = judged(lab)

    assert found.status is SweepStatus.FAILED
    assert {one.error for one in found.failures} == {"It was stopped before its end."}


def test_a_run_whose_process_is_gone_says_so(lab: Lab) -> None:
    run = stored(lab.instance, DagsterRunStatus.STARTED, varro__sweep=SWEEP)
    assert judged(lab).status is SweepStatus.INCOMPLETE

    lab.instance.report_run_failed(run, "The process of this run is gone.")

    found = judged(lab)
    assert found.status is SweepStatus.FAILED
    assert [one.error for one in found.failures] == ["The process of this run is gone."]


def test_only_a_run_of_a_code_location_is_retried_by_the_daemon(lab: Lab) -> None:
    # so Dagster says of whatever died; see `dagster_home/dagster.yaml`
    run = stored(lab.instance, DagsterRunStatus.FAILURE, varro__sweep=SWEEP, dagster__will_retry="true")
    [record] = lab.instance.get_run_records(RunsFilter(run_ids=[run.run_id]))
    workspace: Any = SimpleNamespace(instance=lab.instance, create_request_context=lambda: None)
    list(consume_new_runs_for_automatic_reexecution(workspace, [record], logging.getLogger()))
    assert lab.instance.get_runs_count() == 1
    assert "unable to retry" in lab.instance.all_logs(run.run_id)[-1].message

    assert judged(lab).status is SweepStatus.FAILED
    write_projections(lab.instance, lab.settings)
    assert (lab.settings.dst_dir / "runs" / f"{SWEEP}.json").exists()

    location = RegisteredCodeLocationOrigin("varro_assets")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "__ASSET_JOB")
    lab.instance.add_run(run._replace(run_id=str(uuid.uuid4()), remote_job_origin=origin))
    assert judged(lab).status is SweepStatus.INCOMPLETE


def test_a_table_that_is_partial_was_complete_all_the_same(lab: Lab) -> None:
    lab.synced()
    write_projections(lab.instance, lab.settings)
    [before] = json.loads((lab.settings.dst_dir / "state.json").read_text())["tables"].values()
    lab.simulator.universe.shrink(lab.table, lab.periods[-1], keep=0.2)
    in_sweep(lab, lab.good(config=DUE))

    write_projections(lab.instance, lab.settings)

    [after] = json.loads((lab.settings.dst_dir / "state.json").read_text())["tables"].values()
    assert (before["last_status"], before["last_error"], before["bootstrap_complete"]) == ("synced", None, True)
    assert (after["last_status"], after["bootstrap_complete"]) == ("partial", True)
    assert after["last_seen_updated"] == before["last_seen_updated"]
    assert "far fewer rows" in after["last_error"]


def test_a_run_of_what_is_due_tells_no_period_of_its_failure(lab: Lab) -> None:
    lab.simulator.fault("garbage", table=lab.table, path="data", count=None)
    in_sweep(lab, lab.run(lab.periods[0], config=DUE))
    in_sweep(lab, lab.run(lab.periods[0]), name="selected")

    assert {one.period for one in judged(lab).failures} == {None}
    of_table = judged(lab, "selected").failures
    assert {one.period for one in of_table if one.stage is Stage.FETCH} == {lab.periods[0]}


def test_a_run_of_several_tables_launched_in_the_ui_is_told_by_table(lab: Lab) -> None:
    bad = "KORD1"
    lab.simulator.fault("garbage", table=bad, path="data", count=None)
    (lab.settings.home / "varro.toml").write_text(f'[tables]\nfollow = ["{lab.table}", "{bad}"]\n', encoding="utf-8")
    job = graph.definitions(lab.settings, only=[lab.table, bad]).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=lab.instance,
        asset_selection=[lab.summary, keys.summary(bad)],
        run_config={"loggers": QUIET},
        raise_on_error=False,
    )

    found = judged(lab, result.run_id)

    assert (found.status, found.runs) == (SweepStatus.PARTIAL, 1)
    assert found.tables[bad].status is TableStatus.FAILED
    assert found.tables[lab.table].status in {TableStatus.OK, TableStatus.NOTHING}
    assert [(one.asset, one.table) for one in found.failures] == [(f"table/{bad}", bad)]
    assert found.failures[0].error.startswith("Could not")
    assert restart(found, "varro").commands == (f"varro sync {bad}",)
    write_projections(lab.instance, lab.settings)
    state = json.loads((lab.settings.dst_dir / "state.json").read_text())
    assert {name: one["last_status"] for name, one in state["tables"].items()} == {lab.table: "synced", bad: "failed"}
    assert state["tables"][lab.table]["last_error"] is None


def test_a_poll_awaits_its_runs_until_there_is_another(lab: Lab) -> None:
    polled(lab.instance, "first", due=2)
    assert judged(lab, "first").status is SweepStatus.INCOMPLETE

    polled(lab.instance, "second", due=2)

    assert [judged(lab, name).status for name in ("first", "second")] == [SweepStatus.NO_WORK, SweepStatus.INCOMPLETE]
    # by a command, outside any run
    lab.instance.report_runless_asset_event(AssetMaterialization(keys.CATALOGUE))
    assert judged(lab, "second").status is SweepStatus.NO_WORK


def test_a_poll_of_the_schedule_that_failed_is_told_and_mended(lab: Lab) -> None:
    run = stored(lab.instance, DagsterRunStatus.STARTED, None, varro__poll="statbank/catalog")
    lab.instance.report_run_failed(run, "It broke.")

    found = judged(lab, run.run_id)

    assert (found.status, [one.stage for one in found.failures]) == (SweepStatus.FAILED, [Stage.POLL])
    assert restart(found, "varro").commands == ("varro sync",)


def folded(lab: Lab, limit: int) -> list[tuple[str, int]]:
    return [(found.sweep, number) for found, number in run_records.folded(lab.instance, limit)]


def test_polls_without_work_are_one_line_and_no_work_is_hidden_by_them(lab: Lab) -> None:
    shared = frozenset({keys.SUBJECTS})
    assert run_records.newest_with_work(lab.instance) == (None, [])
    polled(lab.instance, "first", due=0)
    assert run_records.newest_with_work(lab.instance) == ("first", [])
    stored(lab.instance, DagsterRunStatus.SUCCESS, shared, varro__sweep="older")
    for name in ("p1", "p2"):
        polled(lab.instance, name, due=0)
    stored(lab.instance, DagsterRunStatus.FAILURE, shared, varro__sweep="bad")
    for name in ("p3", "p4", "p5"):
        polled(lab.instance, name, due=1)

    # the newest may still set something off
    assert folded(lab, 2) == [("p5", 1), ("p4", 2), ("bad", 1), ("p2", 2), ("older", 1)]
    polled(lab.instance, "p6", due=0)
    assert folded(lab, 1) == [("p6", 4), ("bad", 1)]
    assert folded(lab, 10) == [("p6", 4), ("bad", 1), ("p2", 2), ("older", 1), ("first", 1)]
    # pages follow by themselves
    stored(lab.instance, DagsterRunStatus.SUCCESS, shared, varro__sweep="pages", varro__launcher="sensor")
    newest, after = run_records.newest_with_work(lab.instance)
    assert (newest, [(report.sweep, number) for report, number in after]) == (
        "bad",
        [("pages", 1), ("p6", 4)],
    )


def test_what_began_after_a_poll_belongs_to_the_work(lab: Lab) -> None:
    polled(lab.instance, "one", due=1)
    stored(lab.instance, DagsterRunStatus.FAILURE, frozenset({keys.SUBJECTS}), varro__sweep="one")
    stored(lab.instance, DagsterRunStatus.STARTED, varro__sweep="under way")

    assert folded(lab, 10) == [("under way", 1), ("one", 1)]
    assert run_records.newest_with_work(lab.instance)[0] == "one"
    assert "one" in run_records.ids(lab.instance)


@pytest.mark.slow  # all definitions are loaded for it; what follows from a poll alone is judged in the unit tests
@pytest.mark.parametrize(("follow", "status"), [('"*"', SweepStatus.INCOMPLETE), ("", SweepStatus.NO_WORK)])
def test_a_poll_alone_is_no_work_unless_something_is_due(lab: Lab, follow: str, status: SweepStatus) -> None:
    (lab.settings.home / "varro.toml").write_text(f"[tables]\nfollow = [{follow}]\n", encoding="utf-8")
    result = lab.materialise(keys.CATALOGUE)
    assert result.success, lab.why(result)
    [name] = run_records.newest_names(lab.instance, 10)

    found = judged(lab, name)

    assert (found.status, found.stages[Stage.POLL].completed) == (status, 1)
    assert found.poll["tables"] > 10
    assert (found.poll["due"] > 0) == bool(follow)


def test_the_newest_come_first_and_no_more_than_asked_for(lab: Lab) -> None:
    for number in range(run_records.PAGE + 20):
        stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep=f"s{number // 10:03}")

    assert run_records.newest_names(lab.instance, 3) == ["s021", "s020", "s019"]
    assert len(run_records.newest_names(lab.instance, 1000)) == 22
    assert [report.runs for report in run_records.counted(lab.instance, ["s021", "s000"])] == [10, 10]
    assert run_records.find(lab.instance, "s00") == ["s000", "s001", "s002", "s003", "s004"]
    assert run_records.find(lab.instance, "s021") == ["s021"]
    assert run_records.find(lab.instance, "t") == []


@pytest.mark.slow
def test_projections_are_written_once_and_only_of_what_ended(lab: Lab) -> None:
    in_sweep(lab, lab.good(config=DUE))
    stored(lab.instance, DagsterRunStatus.STARTED, varro__sweep="running")
    folder = lab.settings.dst_dir

    assert write_projections(lab.instance, lab.settings) == [folder / "runs" / f"{SWEEP}.json", folder / "state.json"]
    assert write_projections(lab.instance, lab.settings) == []
    assert [path.name for path in (folder / "runs").iterdir()] == [f"{SWEEP}.json"]
    state = json.loads((folder / "state.json").read_text())
    assert state["tables"][lab.table] == {
        "last_seen_updated": "2025-05-27T08:00:00",
        "last_sync_at": state["tables"][lab.table]["last_sync_at"],
        "frequency": "half_yearly",
        "bootstrap_complete": True,
        "last_status": "synced",
        "last_error": None,
        "last_run_id": SWEEP,
        "rows": sum(lab.loaded().values()),
        "periods": len(lab.periods),
    }
    assert state["catalog"]["source"]

    in_sweep(lab, lab.good(lab.periods[-1]), name="later")

    assert folder / "runs" / "later.json" in write_projections(lab.instance, lab.settings)
    assert json.loads((folder / "runs" / "later.json").read_text())["tables"][lab.table]["bootstrap"] is False


def test_a_poll_that_others_did_the_work_of_is_written_when_there_is_another(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab.settings.dst_dir / "runs"
    passed = [timedelta(hours=-3)]
    monkeypatch.setattr(sql_run_storage, "get_current_datetime", lambda: datetime.now(UTC) + passed[0])
    polled(lab.instance, "first", due=1)
    write_projections(lab.instance, lab.settings)
    passed[0] = timedelta(hours=-2)
    stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep="by hand")
    write_projections(lab.instance, lab.settings)
    assert [path.name for path in folder.iterdir()] == ["by-hand.json"]

    passed[0] = timedelta(0)
    polled(lab.instance, "second", due=0)

    write_projections(lab.instance, lab.settings)
    assert {path.stem: json.loads(path.read_text())["status"] for path in folder.iterdir()} == {
        "by-hand": "NO_WORK",
        "first": "NO_WORK",
        "second": "NO_WORK",
    }


def test_what_is_as_it_was_is_not_judged_again(
    lab: Lab, judgements: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep="one")
    open_ = stored(lab.instance, DagsterRunStatus.STARTED, varro__sweep="two")
    for _ in range(3):
        write_projections(lab.instance, lab.settings)
    assert judgements == [["two", "one"]]

    # stored by a writer whose clock is behind: before what was seen already
    monkeypatch.setattr(sql_run_storage, "get_current_datetime", lambda: datetime.now(UTC) - timedelta(seconds=20))
    stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep="late")
    lab.instance.report_run_failed(open_, "The process of this run is gone.")
    for _ in range(3):
        write_projections(lab.instance, lab.settings)

    assert [sorted(names) for names in judgements[1:]] == [["late", "one", "two"]]
    assert {path.stem for path in (lab.settings.dst_dir / "runs").iterdir()} == {"one", "two", "late"}


@pytest.mark.slow  # the sensor loads all definitions at every tick
def test_idle_ticks_of_the_sensor_judge_no_sweep(held: Daemon, judgements: list[list[str]]) -> None:
    held.poll()
    held.settle()
    assert judgements
    judgements.clear()

    assert [held.tick(), held.tick()] == [[], []]

    assert judgements == []


def test_an_older_state_that_another_process_writes_later_does_not_last(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command worked it out, and stood still while the sensor wrote a newer one."""
    stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep="one")
    sensor: dict[Path, Any] = {}
    said: list[str] = []
    real = projections._write

    def newest() -> str:
        return str(json.loads(lab.settings.state_file.read_text())["last_run_id"])

    def write(path: Path, content: Mapping[str, Any]) -> bool:
        if path == lab.settings.state_file and not said:
            said.append("the sensor comes in between")
            stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep="two")
            as_process(sensor)
            said.append(newest())
        return real(path, content)

    def as_process(memory: dict[Path, Any]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(projections, "_looked_at", memory)
            write_projections(lab.instance, lab.settings)
            said.append(newest())

    monkeypatch.setattr(projections, "_write", write)
    as_process({})
    assert said[1:] == ["two", "two", "one"], "the sensor, what it left, the command"
    as_process(sensor)
    assert newest() == "two"


def test_a_state_that_is_replaced_before_it_has_its_time_is_written_again(
    lab: Lab, judgements: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = lab.settings.state_file
    stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep="one")
    write_projections(lab.instance, lab.settings)
    older, real = state.read_text(), projections._write

    def write(path: Path, content: Mapping[str, Any]) -> bool:
        changed = real(path, content)
        if path == state:
            write_text(path, older)
        return changed

    stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep="two")
    with monkeypatch.context() as another:
        another.setattr(projections, "_write", write)
        write_projections(lab.instance, lab.settings)
    assert state.read_text() == older
    assert write_projections(lab.instance, lab.settings) == [state]
    assert json.loads(state.read_text())["last_run_id"] == "two"
    judgements.clear()
    assert write_projections(lab.instance, lab.settings) == []
    assert judgements == []


def test_a_sweep_that_another_process_finds_old_may_go_at_any_moment(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep="one")
    sweep, real = lab.settings.dst_dir / "runs" / "one.json", projections._write

    def write(path: Path, content: Mapping[str, Any]) -> bool:
        changed = real(path, content)
        sweep.unlink(missing_ok=True)
        return changed

    monkeypatch.setattr(projections, "_write", write)
    assert write_projections(lab.instance, lab.settings) == [sweep, lab.settings.state_file]


def test_projections_that_were_deleted_come_again(lab: Lab) -> None:
    stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep="one")
    first = write_projections(lab.instance, lab.settings)
    content = {path: path.read_bytes() for path in first}
    for path in first:
        path.unlink()

    assert {path: path.read_bytes() for path in write_projections(lab.instance, lab.settings)} == content
