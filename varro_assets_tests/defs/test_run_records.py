"""Run records: what is read of real runs in a real Dagster instance, and what is projected from it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from dagster import DagsterExecutionInterruptedError, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG

from varro_assets.defs import keys
from varro_assets.defs.records import run_records
from varro_assets.defs.records.projections import write_projections
from varro_assets.engine.sweeps import Stage, SweepReport, SweepStatus
from varro_assets.statbank import sync
from varro_assets_tests.defs.conftest import DUE, Lab

SWEEP = "2026-03-01T10-00-00-cli-ab12"


def in_sweep(lab: Lab, *results: Any, name: str = SWEEP) -> None:
    for result in results:
        lab.instance.add_run_tags(result.run_id, {keys.SWEEP_TAG: name})


def judged(lab: Lab, name: str = SWEEP) -> SweepReport:
    [found] = run_records.named(lab.instance, [name])
    return found


def stored(instance: DagsterInstance, status: DagsterRunStatus, **tags: str) -> DagsterRun:
    """A run of which nothing is known but that it was made."""
    return instance.add_run(
        DagsterRun(
            job_name="__ASSET_JOB",
            run_id=str(uuid.uuid4()),
            status=status,
            tags={name.replace("__", "/"): value for name, value in tags.items()},
            asset_selection=frozenset({keys.CATALOGUE}),
        )
    )


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


def test_projections_that_were_deleted_come_again(lab: Lab) -> None:
    stored(lab.instance, DagsterRunStatus.SUCCESS, varro__sweep="one")
    first = write_projections(lab.instance, lab.settings)
    content = {path: path.read_bytes() for path in first}
    for path in first:
        path.unlink()

    assert {path: path.read_bytes() for path in write_projections(lab.instance, lab.settings)} == content
