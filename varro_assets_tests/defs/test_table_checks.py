"""Checks of a table under Dagster: after a sync, alone, and what turns red when something is tampered with."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from dagster import AssetCheckKey, AssetCheckSeverity

from varro_assets.context.total_codes import total_of
from varro_assets.defs import checks, graph, keys
from varro_assets.engine import locks, postgres
from varro_assets.engine.planning import Scope
from varro_assets.statbank import catalog, sync
from varro_assets.statbank.loading import FactLoader
from varro_assets.statbank.proof import table_check
from varro_assets.statbank.proof.verifying import verify
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.defs.conftest import DUE, QUIET, Lab
from varro_assets_tests.ready_homes import ReadyHomes

pytestmark = pytest.mark.slow  # runs of whole tables; that there are checks is tested in test_definitions.py

OF_SUMMARY = {"newest_period_held", "no_failed_periods", "periods_in_catalogue"}
OF_FACT = {"fact_equals_parquet", "unique_keys", "codes_declared"}
EVERY = OF_SUMMARY | OF_FACT


@pytest.fixture
def synced(lab: Lab, ready_homes: ReadyHomes, warehouse_database: str) -> Lab:
    ready_homes.bring("checked", lab.settings.home, warehouse_database, lab.synced)
    lab.simulator.forget_requests()
    return lab


def alone(lab: Lab, *names: str) -> Any:
    """Execute just these checks, as the UI does."""
    of_summary, of_fact = keys.summary(lab.table), keys.fact(lab.table)
    chosen = {AssetCheckKey(of_fact if name in OF_FACT else of_summary, name) for name in names}
    job = graph.definitions(lab.settings, only=[lab.table]).resolve_implicit_global_asset_job_def()
    result = job.get_subset(asset_check_selection=chosen).execute_in_process(
        instance=lab.instance, run_config={"loggers": QUIET}, tags={keys.TABLE_TAG: lab.table}, raise_on_error=False
    )
    assert result.success, lab.why(result)
    return result


def failed(lab: Lab, result: Any) -> dict[str, AssetCheckSeverity]:
    return {name: one.severity for name, one in lab.checks(result).items() if not one.passed}


def execute(lab: Lab, statement: str) -> None:
    with contextlib.closing(postgres.connect(lab.sources.warehouse, "test")) as connection:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()


def test_a_sync_evaluates_the_checks_of_what_it_brought_in(lab: Lab) -> None:
    result = lab.good(config=DUE)

    assert set(lab.checks(result)) == EVERY, "the publisher was not asked again, so nothing is said of that"
    assert failed(lab, result) == {}
    assert all(one.description and one.metadata for one in lab.checks(result).values())


def test_an_asset_alone_brings_only_its_own_checks(synced: Lab) -> None:
    assert set(synced.checks(synced.good(select=[synced.fact]))) == OF_FACT
    assert set(synced.checks(synced.good(select=[synced.summary], unpartitioned=True))) == OF_SUMMARY
    assert synced.checks(synced.good(select=[synced.published])) == {}


def test_the_checks_alone_ask_the_publisher_nothing_and_materialise_nothing(synced: Lab) -> None:
    result = alone(synced, *EVERY)

    assert set(synced.checks(result)) == EVERY
    assert failed(synced, result) == {}
    assert synced.simulator.requests == []
    assert [event for event in result.all_events if event.is_step_materialization] == []


def test_one_check_alone_is_one_evaluation(synced: Lab) -> None:
    assert set(synced.checks(alone(synced, "unique_keys"))) == {"unique_keys"}


ERROR, WARN = AssetCheckSeverity.ERROR, AssetCheckSeverity.WARN
_FIRST = "ctid = (SELECT ctid FROM fact.korn2 WHERE indhold > 0 ORDER BY tid LIMIT 1)"


@pytest.mark.parametrize(
    ("statement", "red"),
    [
        (f"DELETE FROM fact.korn2 WHERE {_FIRST}", {"fact_equals_parquet"}),
        (f"UPDATE fact.korn2 SET indhold = NULL WHERE {_FIRST}", {"fact_equals_parquet"}),
        (f"UPDATE fact.korn2 SET indhold = indhold + 0.5 WHERE {_FIRST}", {"fact_equals_parquet"}),
        (
            f"INSERT INTO fact.korn2 SELECT * FROM fact.korn2 WHERE {_FIRST}",
            {"fact_equals_parquet", "unique_keys"},
        ),
        (f"UPDATE fact.korn2 SET tid = '1950-01-01' WHERE {_FIRST}", {"fact_equals_parquet"}),
        ("DELETE FROM meta.period_load WHERE tid_code = (SELECT max(tid_code) FROM meta.period_load)",
         {"newest_period_held", "no_failed_periods"}),
    ],
    ids=["row gone", "number gone", "number changed", "row twice", "foreign period", "not loaded"],
)  # fmt: skip
def test_what_is_wrong_in_the_warehouse_turns_its_check_red(synced: Lab, statement: str, red: set[str]) -> None:
    execute(synced, statement)

    assert failed(synced, alone(synced, *EVERY)) == dict.fromkeys(red, ERROR)


def test_values_that_are_changed_so_that_their_sum_stays_are_found(synced: Lab) -> None:
    execute(
        synced,
        "UPDATE fact.korn2 f SET indhold = indhold + CASE WHEN place = 1 THEN 1 ELSE -1 END FROM"
        " (SELECT ctid AS at, row_number() OVER () AS place FROM fact.korn2 WHERE indhold > 1 AND"
        " tid = (SELECT max(tid) FROM fact.korn2) LIMIT 2) two WHERE f.ctid = two.at",
    )

    assert failed(synced, alone(synced, "fact_equals_parquet")) == {"fact_equals_parquet": ERROR}


def test_a_code_nobody_declared_is_an_error_and_a_withdrawn_one_a_warning(synced: Lab) -> None:
    column, code = synced.query("SELECT column_name, min(code) FROM meta.code WHERE column_name <> 'tid' GROUP BY 1")[0]
    info = synced.sources.catalogue.raw_tableinfo(synced.table)
    assert info is not None
    for variable in info["variables"]:
        variable["values"] = [value for value in variable["values"] if value["id"] != code or variable["time"]]
    synced.sources.catalogue.write_tableinfo(synced.table, info)

    assert failed(synced, alone(synced, "codes_declared")) == {"codes_declared": ERROR}

    execute(synced, f"UPDATE meta.code SET declared = false WHERE column_name = '{column}' AND code = '{code}'")
    again = alone(synced, "codes_declared")
    assert failed(synced, again) == {"codes_declared": WARN}
    assert "withdrawn" in synced.checks(again)["codes_declared"].description


def test_a_period_that_is_kept_is_a_warning(synced: Lab) -> None:
    gone = synced.periods[0]
    synced.simulator.universe.drop_period(synced.table, gone)

    result = synced.good(config=DUE)

    assert failed(synced, result) == {"periods_in_catalogue": WARN}
    assert gone in synced.checks(result)["periods_in_catalogue"].description


def test_a_file_that_is_gone_turns_three_red(synced: Lab) -> None:
    newest = synced.periods[-1]
    synced.sources.store(synced.table).remove(newest)

    red = {"newest_period_held", "no_failed_periods", "periods_in_catalogue", "fact_equals_parquet"}
    assert failed(synced, alone(synced, *EVERY)) == dict.fromkeys(red, ERROR)


def test_what_other_runs_are_still_to_read_is_no_error(lab: Lab) -> None:
    result = lab.good(lab.periods[0])

    assert failed(lab, result) == {"newest_period_held": WARN, "periods_in_catalogue": WARN}


def test_a_period_that_shrank_is_a_failed_one(synced: Lab) -> None:
    newest = synced.periods[-1]
    synced.simulator.universe.shrink(synced.table, newest)

    result = synced.good(config=DUE)

    assert failed(synced, result)["no_failed_periods"] is ERROR
    assert newest in synced.checks(result)["no_failed_periods"].description


# -- while others poll and write ------------------------------------------------------------------------------------


def before(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], None]) -> None:
    """Have ``act`` happen the first time that `table_check` is about to do this."""
    real, done = getattr(table_check, name), []

    def patched(*args: Any, **options: Any) -> Any:
        if not done:
            done.append(name)
            act()
        return real(*args, **options)

    monkeypatch.setattr(table_check, name, patched)


def poll(lab: Lab) -> None:
    client, folder = lab.sources.client, lab.sources.catalogue
    catalog.describe(client, folder, [lab.table], catalog.poll(client, folder).catalogue)


def sync_anew(lab: Lab) -> None:
    """As another run does."""
    sync.sync_table(lab.sources, lab.table, Recorder(), scope=Scope(full=True), wait=240.0)


@contextlib.contextmanager
def another_between_files_and_load(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Another run stands between files and load when the checks look first, until the event is set or this ends."""
    at_load, go_on = threading.Event(), threading.Event()
    other = threading.Thread(target=sync_anew, args=[lab])
    load_all = FactLoader.load_all

    def standing(self: FactLoader, *args: Any, **options: Any) -> int:
        if threading.current_thread() is other:
            at_load.set()
            assert go_on.wait(240.0)
        return load_all(self, *args, **options)

    def begin() -> None:
        lab.simulator.universe.revise(lab.table, tid=lab.periods[-1])
        other.start()
        assert at_load.wait(240.0)

    monkeypatch.setattr(FactLoader, "load_all", standing)
    before(monkeypatch, "state", begin)
    try:
        yield go_on
    finally:
        go_on.set()
        other.join(240.0)


def test_a_period_published_between_sync_and_checks_is_not_missing(
    synced: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish() -> None:
        synced.simulator.universe.publish_period(synced.table)
        poll(synced)

    before(monkeypatch, "state", publish)
    result = synced.good(config=DUE)

    assert failed(synced, result) == {"newest_period_held": WARN}
    assert "the table is due" in synced.checks(result)["newest_period_held"].description


@pytest.mark.parametrize("brought_in", ["all", "one period", "from its files"])
def test_a_shape_published_between_sync_and_checks_fails_nothing(
    synced: Lab, monkeypatch: pytest.MonkeyPatch, brought_in: str
) -> None:
    def reshape() -> None:
        synced.simulator.universe.change_dimensions(synced.table)
        poll(synced)

    if brought_in == "one period":
        # nothing on disk describes what such a run has read
        synced.simulator.universe.change_dimensions(synced.table)
    before(monkeypatch, "state", reshape)
    if brought_in == "from its files":
        result = synced.good(synced.periods[0], select=[synced.fact], config=DUE)
    elif brought_in == "one period":
        result = synced.good(synced.periods[0])
    else:
        result = synced.good(config=DUE)

    assert ERROR not in failed(synced, result).values(), synced.checks(result)


def test_the_summary_tells_of_the_table_as_it_was_synced(synced: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    periods = synced.periods

    sync_table = sync.sync_table

    def then_a_poll(*args: Any, **options: Any) -> Any:
        report = sync_table(*args, **options)
        synced.simulator.universe.publish_period(synced.table)
        poll(synced)
        return report

    monkeypatch.setattr(sync, "sync_table", then_a_poll)
    result = synced.good(select=[synced.summary], unpartitioned=True)

    (entry,) = synced.records(synced.summary, result)
    assert entry.asset_materialization.metadata["published periods"].value == f"{periods[0]} to {periods[-1]}"


def test_what_another_run_is_about_to_load_is_looked_at_when_it_has(
    synced: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for = locks._wait_for

    with another_between_files_and_load(synced, monkeypatch) as go_on:

        def asked_for(connection: Any, name: str, wait: float, *take: str) -> None:
            if threading.current_thread() is threading.main_thread() and at_checks:
                go_on.set()
            wait_for(connection, name, wait, *take)

        at_checks: list[bool] = []
        look = checks.after_sync

        def after_sync(*args: Any, **options: Any) -> Any:
            at_checks.append(True)
            return look(*args, **options)

        monkeypatch.setattr(checks, "after_sync", after_sync)
        monkeypatch.setattr(locks, "_wait_for", asked_for)
        result = synced.good(config=DUE | {"wait_seconds": 240.0})

    assert at_checks
    assert failed(synced, result) == {}
    assert set(synced.checks(result)) == EVERY


def test_what_another_run_does_not_come_to_load_is_left_to_it(synced: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with another_between_files_and_load(synced, monkeypatch):
        result = synced.good(config=DUE | {"wait_seconds": 1.0})

    assert failed(synced, result) == {"fact_equals_parquet": WARN}
    said = synced.checks(result)["fact_equals_parquet"].description
    assert "another run is writing the table (held by" in said
    assert "rebuild" not in said


def test_a_table_that_is_replaced_by_another_run_while_it_is_looked_at_is_looked_at_again(
    synced: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace() -> None:
        synced.simulator.universe.change_dimensions(synced.table)
        poll(synced)
        sync_anew(synced)

    before(monkeypatch, "findings", replace)
    result = synced.good(config=DUE)

    assert failed(synced, result) == {}
    assert set(synced.checks(result)) == EVERY


def test_what_is_wrong_all_the_same_stays_red(synced: Lab) -> None:
    """A sync looks at all of a small table."""
    execute(synced, f"UPDATE fact.korn2 SET indhold = indhold + 0.5 WHERE {_FIRST}")

    assert failed(synced, synced.good(config=DUE)) == {"fact_equals_parquet": ERROR}


# -- asked of the publisher ----------------------------------------------------------------------------------------


def latest(lab: Lab) -> Any:
    return checks.last_verification(lab.instance, lab.table)


def ask(lab: Lab) -> None:
    """As `varro verify` does."""
    with contextlib.closing(postgres.connect(lab.sources.warehouse, "test")) as connection:
        checks.report_verification(lab.instance, verify(lab.sources, connection, lab.table, total_of))


def test_the_check_alone_asks_the_publisher(synced: Lab) -> None:
    result = alone(synced, checks.RECONCILED)

    assert synced.checks(result)[checks.RECONCILED].passed
    assert {line.function for line in synced.simulator.requests} == {"tableinfo", "data"}
    assert latest(synced).metadata["discrepancies"].value == 0


def test_what_the_command_found_is_shown_and_repeated_by_the_next_sync(synced: Lab) -> None:
    assert latest(synced) is None
    execute(synced, f"UPDATE fact.korn2 SET indhold = indhold + 1 WHERE {_FIRST}")
    ask(synced)
    found = latest(synced)
    assert (found.passed, found.severity) == (False, ERROR)
    assert "value differs" in found.description
    assert "value differs" in found.metadata["found"].value

    synced.simulator.universe.revise(synced.table, synced.periods[-1])
    result = synced.good(config=DUE)

    again = synced.checks(result)[checks.RECONCILED]
    assert (again.passed, again.severity) == (False, WARN)
    assert "varro verify KORN2" in again.description
    assert again.metadata["asked at"] == found.metadata["asked at"]
    for _ in range(2):
        result = synced.good(config=DUE)
    said = synced.checks(result)[checks.RECONCILED].description
    assert said.count("Asked at") == 1, "what is repeated does not grow"


# -- what is shown -------------------------------------------------------------------------------------------------


def test_the_summary_shows_numbers_rows_with_labels_and_the_document(synced: Lab) -> None:
    result = synced.good(select=[synced.summary], unpartitioned=True)

    (entry,) = synced.records(synced.summary, result)
    metadata = entry.asset_materialization.metadata
    numbers: Iterable[str] = ("dagster/row_count", "periods", "bytes", "seconds", "requests", "periods_revised")
    assert all(isinstance(metadata[name].value, int | float) for name in numbers)
    assert metadata["document"].value == keys.document(synced.table)
    shown = metadata["preview"].value.splitlines()
    assert shown[0].startswith(synced.periods[-1])
    assert len(shown) == 2 + 2 + 10
    label = synced.simulator.universe.table(synced.table).dimensions[0].codes[0].text("da")
    assert label in metadata["preview"].value
    assert len(str({name: value.value for name, value in metadata.items()})) < 8_000
    # Dagster shows them in this order: the long lists come last
    assert list(metadata)[-2:] == ["settled", "planned"]
    assert next(iter(metadata)) == "updated"
    assert {"published periods", "preview"} <= {*list(metadata)[:6]}
