"""Plan, sync, rebuild, doctor: what they fetch, how they end, and what they leave in Dagster."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from dagster import DagsterRunStatus
from pydantic import SecretStr

from varro_assets.cli import examining, session
from varro_assets.cli.runs import _newest_stretch
from varro_assets.defs import keys
from varro_assets.defs.unattended.dead_runs import CLI, alive, launch_lock
from varro_assets.engine import locks
from varro_assets.statbank import catalog
from varro_assets.statbank.sources import open_sources
from varro_assets_tests.unit.conftest import Varro


def _runs(varro: Varro) -> list[Any]:
    """Newest first."""
    with varro.dagster() as instance:
        return list(instance.get_runs())


def _colours(varro: Varro, table: str) -> dict[str, str]:
    with varro.dagster() as instance:
        stored = instance.get_dynamic_partitions(table)
        found = instance.get_status_by_partition(keys.fact(table), stored, keys.partitions(table)) or {}
        return {code: status.value if (status := found.get(code)) else "MISSING" for code in stored}


# -- plan ----------------------------------------------------------------------------------------------------------


def test_plan_asks_for_no_data(varro: Varro) -> None:
    said = varro.good("plan")
    assert "KORD1 never synced: 5 of 5 periods (2020 to 2024): 5 first load" in said.words
    assert varro.asked("data") == []


def test_dry_run_is_the_same_as_plan(varro: Varro) -> None:
    assert varro.good("sync", "--dry-run").out == varro.good("plan").out
    assert varro.asked("data") == []


def test_plan_says_what_a_publication_brings(varro: Varro) -> None:
    varro.synced()
    assert "KORD1 up to date" in varro.good("plan").words
    varro.simulator.universe.publish_period("KORD1")
    assert "KORD1 published anew: 6 of 6 periods (2020 to 2025)" in varro.good("plan").words


def test_plan_keeps_to_what_is_wished(varro: Varro) -> None:
    varro.synced()
    assert "5 of 5 periods" in varro.good("plan", "--full").words
    assert "(2021 to 2024)" in varro.good("plan", "--since", "2021").words


# -- sync ----------------------------------------------------------------------------------------------------------


def test_sync_brings_everything_in_and_says_so(varro: Varro) -> None:
    said = varro.good("sync")
    assert "1 of 1 table in" in said.words
    assert "40 rows in" in said.words
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(40,)]
    assert set(_colours(varro, "KORD1").values()) == {"MATERIALIZED"}


@pytest.mark.parametrize("own", [None, "# set up by hand\ntelemetry:\n  enabled: false\n"])
def test_dagster_is_set_up_as_in_the_project_where_the_home_does_not_say(varro: Varro, own: str | None) -> None:
    file = varro.home / "dagster_home" / "dagster.yaml"
    project = file.read_text(encoding="utf-8")
    file.unlink()
    if own:
        file.write_text(own, encoding="utf-8")
    varro.good("sync")
    assert file.read_text(encoding="utf-8") == (own or project)
    # Dagster's own choice, a history in files, is made only by who asks for it
    assert (varro.home / "dagster_home" / "history").exists() == (own is not None)


def test_no_guess_is_made_how_dagster_is_set_up(varro: Varro, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "DAGSTER_YAML", varro.home / "nowhere")
    (varro.home / "dagster_home" / "dagster.yaml").unlink()
    said = varro("sync")
    assert said.code == 1
    assert "Could not set up Dagster" in said.words


def test_the_sentence_at_the_end_counts_every_request(varro: Varro) -> None:
    said = varro.good("sync")
    assert f"40 rows in {len(varro.simulator.requests)} requests, " in said.words


def test_a_second_sync_makes_one_request_and_no_run(varro: Varro) -> None:
    varro.synced()
    varro.simulator.forget_requests()
    said = varro.good("sync")
    assert "Everything is up to date: 1 table as published (1 request, nothing fetched)." in said.words
    assert varro.asked() == ["tables"]
    assert len(_runs(varro)) == 1


def test_a_second_sync_does_not_import_dagster(varro: Varro) -> None:
    varro.synced()
    code = (
        "import sys; sys.argv = ['varro', 'sync']\n"
        "from varro_assets.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'dagster' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "Everything is up to date" in done.stdout


def test_nothing_followed_says_how_to_begin(varro: Varro) -> None:
    varro.follow()
    for command in (("sync",), ("sync", "--dry-run"), ("plan",), ("doctor",)):
        said = varro.good(*command)
        assert "No table is followed. Find one with varro search WORD, then varro follow TABLE" in said.words, command
    assert varro.asked() == []


def test_nothing_followed_is_said_without_a_network(varro: Varro, monkeypatch: pytest.MonkeyPatch) -> None:
    varro.follow()
    monkeypatch.setenv("DST_API_URL", "http://nowhere.invalid/v1")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@127.0.0.1:1/nothing")
    assert "No table is followed." in varro.good("sync").words


@pytest.mark.slow
def test_a_table_that_fails_stops_no_other(varro: Varro) -> None:
    varro.follow("KORD1", "IDRTIL01", "HISB7")
    varro.simulator.fault("garbage", table="IDRTIL01", path="data", count=None)

    said = varro("sync")

    assert said.code == 1
    assert "2 of 3 tables in" in said.words
    assert "IDRTIL01: FAILED: Could not" in said.words
    assert "Again, only these: varro sync IDRTIL01" in said.words
    assert "Traceback" not in said.words
    assert varro.query("SELECT table_id FROM meta.table_sync ORDER BY 1") == [("HISB7",), ("KORD1",)]

    varro.simulator.faults.clear()
    varro.good("sync")
    assert len(varro.query("SELECT table_id FROM meta.table_sync")) == 3


def test_a_table_that_left_the_catalogue_is_named_and_kept(varro: Varro) -> None:
    varro.synced()
    varro.simulator.universe.withdraw("KORD1", vanish=True)
    said = varro.good("sync")
    assert "Followed, but not in the catalogue: KORD1" in said.words
    assert "Nothing to do" in said.words
    assert varro("sync", "KORD1").code == 1
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(40,)]


def test_full_fetches_everything_again(varro: Varro) -> None:
    varro.synced()
    said = varro.good("sync", "--full")
    assert "5 unchanged" in said.words


@pytest.mark.slow
def test_since_fetches_from_there_on(varro: Varro) -> None:
    varro.follow("HISB7")
    varro.good("sync")
    said = varro.good("sync", "--since", "2000")
    assert "unchanged" in said.words
    with varro.dagster() as instance:
        logged = instance.get_runs(limit=1)[0]
        config = logged.run_config["ops"]["sync_hisb7"]["config"]
    assert config["since"] == "2000"


def test_a_shrunk_period_is_partial_until_it_is_accepted(varro: Varro) -> None:
    varro.synced()
    varro.simulator.universe.shrink("KORD1", "2024", keep=0.2)

    said = varro("sync")

    assert said.code == 1
    assert "PARTIAL" in said.out
    assert "varro sync KORD1 --accept-shrink" in said.words
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(40,)]

    varro.good("sync", "KORD1", "--accept-shrink")
    assert varro.query("SELECT count(*) FROM fact.kord1") != [(40,)]
    assert "Everything is up to date" in varro.good("sync").words


def test_rebuild_fills_a_dropped_table_without_the_api(varro: Varro) -> None:
    varro.synced()
    varro.query("DROP TABLE fact.kord1")
    varro.simulator.forget_requests()

    said = varro.good("rebuild", "KORD1")

    assert varro.asked() == []
    assert "filled from parquet, no request" in said.words
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(40,)]


def test_a_dropped_table_is_refilled_by_the_next_sync(varro: Varro) -> None:
    varro.synced()
    varro.query("DROP TABLE fact.kord1")
    varro.simulator.forget_requests()
    varro.good("sync")
    assert varro.asked() == ["tables"]
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(40,)]


# -- runs ----------------------------------------------------------------------------------------------------------


def test_a_run_carries_its_table_and_a_range_of_wanted_keys(varro: Varro) -> None:
    varro.synced()
    (run,) = _runs(varro)
    assert run.status is DagsterRunStatus.SUCCESS
    assert run.tags[keys.TABLE_TAG] == "KORD1"
    assert run.tags[keys.LAUNCHER_TAG] == CLI
    assert (run.tags[keys.RANGE_START], run.tags[keys.RANGE_END]) == ("2020", "2024")


def test_a_key_inserted_out_of_order_gets_the_right_range(varro: Varro) -> None:
    varro.synced()
    varro.simulator.universe.drop_period("KORD1", "2024")
    varro.simulator.universe.insert_period("KORD1", "2019")
    varro.good("sync")
    with varro.dagster() as instance:
        assert instance.get_dynamic_partitions("KORD1") == ["2020", "2021", "2022", "2023", "2024", "2019"]
    # planned are 2019 to 2023; as stored, 2024 lies between 2023 and 2019
    newest, _first = _runs(varro)
    assert (newest.tags[keys.RANGE_START], newest.tags[keys.RANGE_END]) == ("2019", "2019")
    assert set(_colours(varro, "KORD1").values()) == {"MATERIALIZED"}
    assert varro.query("SELECT count(DISTINCT tid) FROM fact.kord1") == [(6,)]


@pytest.mark.parametrize(
    ("stored", "wanted", "expected"),
    [
        ("abcdef", "def", ("d", "f")),
        ("abcdef", "abf", ("f", "f")),
        ("abcdef", "ab", ("a", "b")),
        ("abcdef", "", ("f", "f")),
        ("abcdefghijklmnopqrst", "abcdefghijklmnopqrst", ("i", "t")),
    ],
)
def test_the_range_is_the_end_of_the_last_stretch(stored: str, wanted: str, expected: tuple[str, str]) -> None:
    assert _newest_stretch(list(stored), list(wanted)) == expected


def _pretend_dead(varro: Varro) -> str:
    """A run that a killed process left behind, as Dagster has it."""
    from varro_assets.defs import graph

    with varro.dagster() as instance:
        job = graph.definitions(varro.settings, only=["KORD1"]).resolve_implicit_global_asset_job_def()
        run = instance.create_run_for_job(job, tags={keys.TABLE_TAG: "KORD1", keys.LAUNCHER_TAG: CLI})
        instance.handle_run_event(run.run_id, _started(job.name))
        record = instance.get_run_by_id(run.run_id)
        assert record is not None
        assert record.status is DagsterRunStatus.STARTED
        return run.run_id


def _started(job: str) -> Any:
    from dagster import DagsterEvent, DagsterEventType

    return DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=job)


def _status(varro: Varro, run_id: str) -> DagsterRunStatus:
    with varro.dagster() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return run.status


def test_a_dead_run_is_marked_failed_by_the_next_sync(varro: Varro) -> None:
    varro.synced()
    dead = _pretend_dead(varro)
    varro.good("sync", "--full")
    assert _status(varro, dead) is DagsterRunStatus.FAILURE


def test_a_dead_run_is_marked_failed_by_the_doctor(varro: Varro) -> None:
    varro.synced()
    dead = _pretend_dead(varro)
    said = varro.good("doctor")
    assert "marked 1 run as failed whose process is gone" in said.words
    assert _status(varro, dead) is DagsterRunStatus.FAILURE


def test_a_run_whose_lock_is_held_is_not_dead(varro: Varro) -> None:
    varro.synced()
    living = _pretend_dead(varro)
    with locks.table_lock(SecretStr(varro.database), launch_lock("KORD1")):
        varro("doctor")
        assert _status(varro, living) is DagsterRunStatus.STARTED


def test_two_syncs_of_one_table_at_once(varro: Varro) -> None:
    with locks.table_lock(SecretStr(varro.database), launch_lock("KORD1")):
        said = varro("sync")
    assert said.code == 1
    assert "KORD1" in said.words
    assert "held by" in said.words
    assert "Wait for it to finish, then run the command again." in said.words
    assert varro.asked("data") == []
    varro.good("sync")


# -- doctor ----------------------------------------------------------------------------------------------------------


def test_all_is_well(varro: Varro) -> None:
    varro.synced()
    assert "All is well: 1 table; files, database and Dagster agree." in varro.good("doctor").words


def test_a_doctor_before_everything(varro: Varro) -> None:
    assert "No catalogue yet. Begin with: varro sync" in varro.good("doctor").words


def test_the_doctor_tells_of_a_table_that_is_due(varro: Varro) -> None:
    varro.synced()
    varro.simulator.universe.publish_period("KORD1")
    sources = open_sources(varro.settings, SecretStr(varro.database))
    catalog.poll(sources.client, sources.catalogue)
    said = varro.good("doctor").words
    assert "All is well: 1 table; files, database and Dagster agree. 1 table is due: KORD1 (varro sync)." in said
    assert "failed" not in varro.good("show", "KORD1").words


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["first load", "later"])
def test_the_doctor_and_show_tell_of_a_table_that_goes_on_failing(varro: Varro, first: bool) -> None:
    if not first:
        varro.good("sync")
        varro.simulator.universe.publish_period("KORD1")
    varro.simulator.fault("wrong_header", table="KORD1", path="data", count=None)
    assert varro("sync").code == 1
    said = varro("doctor")
    assert said.code == 1, "a cron job has nothing but the exit code"
    assert "All is well" not in said.words
    assert "KORD1 its last sync failed: Could not read the header of KORD1" in said.words
    assert "varro up tries again by itself, after 20" in said.words
    agree = "To mend it: varro doctor --repair" if first else "Files, database and Dagster agree."
    due = "1 table is due, and its last sync failed: KORD1 (varro runs --errors --all)."
    assert f"{agree} {due}" in said.words
    shown = varro.good("show", "KORD1").words
    assert "last sync failed: Could not read the header of KORD1" in shown
    assert "now: varro sync KORD1" in shown

    varro.simulator.faults.clear()
    varro.good("sync")
    assert "All is well: 1 table; files, database and Dagster agree." in varro.good("doctor").words
    assert "failed" not in varro.good("show", "KORD1").words


@pytest.mark.parametrize("content", ["", '{"tables": {}}'])
def test_show_does_without_the_file_of_states(varro: Varro, content: str) -> None:
    (varro.home / "data" / "dst").mkdir(parents=True, exist_ok=True)
    (varro.home / "data" / "dst" / "state.json").write_text(content)
    assert "Followed, never synced" in varro.good("show", "KORD1").words


def _file(varro: Varro, period: str = "2023") -> Any:
    return varro.home / "data" / "dst" / "statbank_tables" / "KORD1" / f"{period}.parquet"


def _break_nothing(varro: Varro) -> None:
    varro.query("DELETE FROM asset_keys; DELETE FROM event_logs; DELETE FROM dynamic_partitions")


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (lambda varro: varro.query("DROP TABLE fact.kord1"), "its fact table is gone"),
        (lambda varro: varro.query("DELETE FROM fact.kord1 WHERE tid = '2023-01-01'"), "fact has 32 rows where 40"),
        (
            lambda varro: varro.query("DELETE FROM meta.period_load WHERE tid_code = '2022'"),
            "not in fact as in parquet",
        ),
        (lambda varro: _file(varro).unlink(), "1 published periods have no file: 2023"),
        (lambda varro: _file(varro).write_bytes(b"PAR1 nonsense"), "2023"),
        (lambda varro: (_file(varro).parent / "manifest.json").unlink(), "first load was not completed"),
        (_break_nothing, "5 held periods do not show in Dagster"),
    ],
    ids=["dropped", "rows gone", "unloaded", "file gone", "file damaged", "manifest gone", "Dagster emptied"],
)
@pytest.mark.slow
def test_the_doctor_finds_it_and_mends_it(varro: Varro, harm: Any, finding: str) -> None:
    varro.synced()
    harm(varro)

    said = varro("doctor")
    assert said.code == 1
    assert finding in said.words
    assert "To mend it: varro doctor --repair" in said.words

    repaired = varro("doctor", "--repair")
    assert repaired.code == 0, repaired.words
    assert "Mended." in repaired.words
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(40,)]
    assert varro.good("doctor").words.startswith("All is well")
    assert set(_colours(varro, "KORD1").values()) == {"MATERIALIZED"}


@pytest.mark.slow
def test_the_doctor_leaves_a_table_alone_that_is_being_synced(varro: Varro, monkeypatch: pytest.MonkeyPatch) -> None:
    varro.synced()
    monkeypatch.setattr(examining, "WAIT_SECONDS", 0.0)
    # as between two steps of a sync
    varro.query("DELETE FROM fact.kord1 WHERE tid = '2023-01-01'")
    with locks.table_lock(SecretStr(varro.database), "KORD1"):
        for options in ((), ("--deep", "--repair")):
            said = varro.good("doctor", *options).words
            assert "KORD1 is being written, and was not examined: held by 'varro lock KORD1" in said
            assert "32 rows" not in said
            assert "All is well" not in said
    assert varro.asked() == []
    said = varro("doctor")
    assert (said.code, "fact has 32 rows where 40" in said.words) == (1, True)


def test_what_a_run_has_yet_to_report_is_not_missing_in_dagster(varro: Varro, monkeypatch: pytest.MonkeyPatch) -> None:
    varro.synced()
    monkeypatch.setattr(examining, "WAIT_SECONDS", 0.0)
    run = _pretend_dead(varro)
    with varro.dagster() as instance:
        instance.delete_dynamic_partition("KORD1", "2022")
    # the command's own lock as well, or doctor ends the run
    with locks.table_lock(SecretStr(varro.database), launch_lock("KORD1")):
        with alive(SecretStr(varro.database), run):
            said = varro.good("doctor", "--repair").words
            assert "KORD1 is being written, and was not examined: a run of it is under way" in said
            with varro.dagster() as instance:
                assert "2022" not in instance.get_dynamic_partitions("KORD1")
        said = varro("doctor")
        assert (said.code, "KORD1 1 held periods do not show in Dagster" in said.words) == (1, True)


def test_a_deep_look_finds_a_file_that_lies(varro: Varro) -> None:
    import pyarrow.parquet as pq

    varro.synced()
    path = _file(varro)
    table = pq.read_table(path)
    # the same footer, other rows
    pq.write_table(table.slice(1), path)
    varro("doctor")
    said = varro("doctor", "--deep")
    assert said.code == 1
    assert "2023" in said.words
    assert "To mend it: varro doctor --deep --repair" in said.words
    assert varro("doctor", "--deep", "--repair").code == 0
    assert varro.good("doctor", "--deep").code == 0


# -- psql, db --------------------------------------------------------------------------------------------------------


def test_with_a_database_of_the_users_own_the_embedded_server_is_not_touched(varro: Varro) -> None:
    for command in ("start", "stop", "status"):
        assert "DATABASE_URL is set: the embedded server is not used." in varro.good("db", command).words
    assert not (varro.home / "data" / "postgres").exists()


def test_the_address_is_printed_for_other_tools_and_nowhere_else(varro: Varro) -> None:
    password = varro.libpq.split(":")[2].split("@")[0]
    assert varro.good("db", "url", "--owner").out.strip() == varro.libpq
    for command in (("sync",), ("doctor",), ("show", "KORD1"), ("db", "status")):
        assert password not in varro(*command).words


def test_the_reader_of_ones_own_server_is_ones_own_affair(varro: Varro) -> None:
    said = varro("psql", "-c", "SELECT 1")
    assert said.code == 1
    assert "Use --owner" in said.words


def test_psql_ends_as_psql_does(varro: Varro) -> None:
    assert varro("psql", "--owner", "-c", "SELECT 1").code == 0
    assert varro("psql", "--owner", "-c", "SELECT nonsense").code == 1
