"""``varro runs``: what it tells of real syncs, and that its advice mends what it tells of."""

from __future__ import annotations

import json
import shlex
import uuid
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRun, DagsterRunStatus

from varro_assets.defs import keys
from varro_assets_tests.unit.conftest import Varro


def told(varro: Varro, *arguments: str) -> Any:
    """What ``--json`` says."""
    return json.loads(varro("runs", *arguments, "--json").out)


def files(varro: Varro) -> dict[Path, tuple[bytes, int]]:
    return {
        path: (path.read_bytes(), path.stat().st_ino)
        for path in [*varro.settings.dst_dir.glob("runs/*.json"), *varro.settings.dst_dir.glob("state.json")]
    }


def test_before_the_first_run_there_are_words(varro: Varro) -> None:
    assert "Nothing has been run yet. Begin with: varro sync" in varro.good("runs").words
    assert told(varro) == []
    assert varro.good("runs", "--last").words == varro.good("runs", "--errors").words
    assert varro.good("runs", "--restart").out == ""


@pytest.mark.slow  # several runs of `varro sync`; what is advised is decided in test_sweep_report.py
def test_a_failure_is_told_and_the_advice_mends_it_once(varro: Varro, tmp_path: Path) -> None:
    varro.follow("KORD1", "IDRTIL01")
    varro.simulator.fault("garbage", table="IDRTIL01", path="data", count=None)
    assert varro("sync").code == 1

    [first] = told(varro)
    assert (first["status"], first["launcher"], first["runs"]) == ("PARTIAL", "command", 2)
    assert "PARTIAL" in varro.good("runs").words
    said = varro("runs", "--last")
    assert said.code == 1
    assert "IDRTIL01" in said.words
    assert "Could not" in said.words
    whole = told(varro, "--last")
    assert whole["stages"]["fetch"] == {"planned": 2, "started": 2, "completed": 1, "failed": 1}
    assert whole["tables"]["KORD1"]["counts"] == {"new": 5}
    assert whole["tables"]["KORD1"]["rows_fetched"] == 40
    assert {failed["table"] for failed in whole["failures"]} == {"IDRTIL01"}
    assert {failed["stage"] for failed in whole["failures"]} == {"fetch", "load", "summary"}
    assert "varro sync IDRTIL01" in varro.good("runs", "--errors").words
    # by id, by its beginning, by that of a run of it
    run_id = whole["tables"]["KORD1"]["runs"][0]
    for name in (first["sweep"], first["sweep"][:20], run_id, run_id[:8]):
        assert told(varro, "--run", name)["sweep"] == first["sweep"]

    state = json.loads((varro.settings.dst_dir / "state.json").read_text())
    assert state["tables"]["KORD1"]["last_status"] == "synced"
    assert state["tables"]["IDRTIL01"]["last_status"] == "failed"
    assert "Could not" in state["tables"]["IDRTIL01"]["last_error"]
    assert state["last_run_id"] == first["sweep"]

    varro.simulator.faults.clear()
    command = varro.good("runs", "--restart").out.strip()
    assert command == "varro sync IDRTIL01"
    varro.simulator.forget_requests()
    varro.good(*shlex.split(command)[1:])
    assert not any("KORD1" in line.path + line.body for line in varro.simulator.requests)
    varro.simulator.forget_requests()
    before = files(varro)
    again = varro.good(*shlex.split(command)[1:])
    assert "Everything is up to date" in again.words
    assert varro.asked() == ["tables"]
    assert files(varro) == before
    assert [one["status"] for one in told(varro)] == ["SUCCESS", "PARTIAL"]
    assert varro.good("runs", "--restart").out == ""

    lines = tmp_path / "runs.jsonl"
    for _ in range(2):
        varro.good("runs", "--all", "--jsonl", str(lines))
        assert [json.loads(line)["status"] for line in lines.read_text().splitlines()] == ["PARTIAL", "SUCCESS"]

    [manifest] = [json.loads(path.read_text()) for path in varro.settings.dst_dir.glob(f"runs/{first['sweep']}.json")]
    assert manifest["run_id"] == first["sweep"]
    assert manifest["tables"]["KORD1"] == {
        "status": "synced",
        "catalog_updated": "2025-01-30T08:00:00",
        "bootstrap": True,
        "frequency": "yearly",
        "new_periods": ["2020", "2021", "2022", "2023", "2024"],
        "refresh_periods": [],
        "changed_tids": ["2020", "2021", "2022", "2023", "2024"],
        "rows_written": 40,
        "files_written": 5,
    }
    assert manifest["tables"]["IDRTIL01"]["status"] == "failed"
    assert manifest["summary"]["tables_failed"] == 1
    assert manifest["db_apply"]["tables"]["KORD1"]["status"] == "applied"


def test_a_run_nobody_works_on_any_more_is_incomplete_and_named(varro: Varro) -> None:
    with varro.dagster() as instance:
        instance.add_run(
            DagsterRun(
                job_name="__ASSET_JOB",
                run_id=str(uuid.uuid4()),
                status=DagsterRunStatus.STARTED,
                tags={keys.TABLE_TAG: "KORD1", keys.SWEEP_TAG: "2026-03-01T10-00-00-cli-ab12"},
                asset_selection=frozenset({keys.published("KORD1"), keys.fact("KORD1")}),
            )
        )

    said = varro.good("runs", "--last")

    assert "INCOMPLETE" in said.words
    assert "Not ended: KORD1. If nobody works on them any more: varro sync KORD1; where that" in said.words
    assert "where that finds nothing due: varro doctor" in said.words


def stored(varro: Varro, sweep: str, status: DagsterRunStatus, table: str = "", name: str = "") -> None:
    """A run of a table, or a poll as the schedule launches it."""
    of_table = {keys.TABLE_TAG: table} if table else {keys.POLL_TAG: keys.CATALOGUE.to_user_string()}
    with varro.dagster() as instance:
        instance.add_run(
            DagsterRun(
                job_name="__ASSET_JOB",
                run_id=name or str(uuid.uuid4()),
                status=status,
                tags={**of_table, **({keys.SWEEP_TAG: sweep} if sweep else {})},
                asset_selection=frozenset({keys.published(table), keys.summary(table)}) if table else None,
            )
        )


def test_a_failure_is_not_hidden_by_the_polls_after_it(varro: Varro) -> None:
    failed = "2026-03-01T10-00-00-poll"
    stored(varro, failed, DagsterRunStatus.FAILURE, "KORD1")
    for minute in range(1, 4):
        stored(varro, f"2026-03-01T10-0{minute}-00-poll", DagsterRunStatus.SUCCESS)

    said = varro("runs", "--last")
    assert (said.code, failed in said.words) == (1, True)
    assert "3 polls since then found nothing to do" in said.words
    assert "varro sync KORD1" in varro.good("runs", "--errors").words
    restart = varro.good("runs", "--restart")
    assert restart.out.strip() == "varro sync KORD1"
    assert "3 polls since then found nothing to do" in restart.err
    assert told(varro, "--last")["sweep"] == failed

    # polls do not count to the limit, and each is there for programs
    listed = varro.good("runs", "--limit", "1").out
    assert "3 polls, the last" in listed
    assert "2026-03-01T10-00-00 " in listed
    assert [one["sweep"][14:16] for one in told(varro, "--limit", "3")] == ["03", "02", "01"]
    assert len(told(varro, "--all")) == 4
    assert "polls, the last" not in varro.good("runs", "--all").words


def test_every_id_that_is_listed_is_one_that_is_found(varro: Varro) -> None:
    moment = "2026-03-01T10-00-00"
    ids = [f"8b1f0c2d-{number}000-4000-8000-000000000000" for number in (1, 2)]
    # those that come first are not among the two that are listed
    stored(varro, f"{moment}-poll", DagsterRunStatus.FAILURE, "KORD1")
    stored(varro, "", DagsterRunStatus.FAILURE, "KORD1", name=ids[0])
    stored(varro, f"{moment}-cli-ab12", DagsterRunStatus.FAILURE, "KORD1")
    stored(varro, "", DagsterRunStatus.FAILURE, "KORD1", name=ids[1])

    listed = [line.split()[0] for line in varro.good("runs", "--limit", "2").out.splitlines()[1:3]]

    assert [told(varro, "--run", name)["sweep"] for name in listed] == [ids[1], f"{moment}-cli-ab12"]


@pytest.mark.parametrize("option", ["--restart", "--errors"])
def test_a_failure_that_no_command_mends_is_not_called_none(varro: Varro, option: str) -> None:
    with varro.dagster() as instance:
        instance.add_run(DagsterRun(job_name="__ASSET_JOB", run_id=str(uuid.uuid4()), status=DagsterRunStatus.FAILURE))

    said = varro.good("runs", option)

    assert "Nothing failed" not in said.words + said.err
    assert "Something failed that no command does again" in said.words + said.err


def test_an_unknown_id_and_an_odd_day_are_named(varro: Varro) -> None:
    assert "no run of that id" in varro("runs", "--run", "nope").words
    assert "Write it as 2026-03-01" in varro("runs", "--since", "spring").words


@pytest.mark.slow  # a sync for what changes its words only
def test_syncs_speak_json_if_told_so(varro: Varro, monkeypatch: Any) -> None:
    monkeypatch.setenv("VARRO_LOG", "json")
    varro.simulator.fault("garbage", table="KORD1", path="data", count=1)

    said = varro("sync")

    lines = [json.loads(line) for line in said.err.splitlines() if line.startswith("{")]
    assert {"time", "level", "event"} <= set.intersection(*(set(line) for line in lines))
    assert [line["event"] for line in lines if line.get("table") == "KORD1"][-1] == "table ended"
    ended = next(line for line in lines if line["event"] == "table ended")
    assert (ended["level"], "Could not" in ended["error"]) == ("error", True)
    assert varro.database not in said.err
