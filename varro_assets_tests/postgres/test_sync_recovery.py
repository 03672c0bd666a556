"""Sync after something broke: damaged files, lost tables, and a crash at every boundary between two steps."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from varro_assets.engine import files, period_table
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.period_table import PeriodTables
from varro_assets.engine.planning import Scope
from varro_assets.errors import DamagedPartition, DatabaseUnavailable, PublisherChanged
from varro_assets.statbank import manifest, reading
from varro_assets.statbank.fetching import BatchSize
from varro_assets.statbank.loading import FactLoader
from varro_assets.statbank.sweeps.due import State
from varro_assets.statbank.sync import load_table
from varro_assets.statbank.sync_report import Outcome
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.oracle import World, slowly
from varro_assets_tests.postgres_fixture import PATIENCE

pytestmark = pytest.mark.slow  # each sync is begun, broken and ended

FULL = Scope(full=True)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _garbage(path: Path) -> None:
    path.write_bytes(b"not a parquet file")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _of_another_period(path: Path) -> None:
    shutil.copyfile(next(other for other in sorted(path.parent.glob("*.parquet")) if other != path), path)


def _hole(path: Path) -> None:
    """A footer that reads well over pages that do not."""
    body = bytearray(path.read_bytes())
    body[40:120] = bytes(80)
    path.write_bytes(bytes(body))


class TestDamagedFiles:
    @pytest.mark.parametrize("damage", [_truncate, Path.unlink, *slowly(_garbage, _empty, _of_another_period)])
    def test_a_published_period_is_fetched_again(self, world: World, damage: Callable[[Path], None]) -> None:
        world.sync("BY1")
        damage(world.folder("BY1") / "2018.parquet")
        report = world.sync("BY1")
        assert report.outcomes["2018"] is Outcome.NEW
        world.check("BY1")

    def test_a_narrow_sync_does_not_call_the_table_complete(self, world: World) -> None:
        world.sync("BY1")
        _garbage(world.folder("BY1") / "2018.parquet")
        report = world.sync("BY1", scope=Scope(only=("2025",)))
        assert report.updated == ""
        # what the warehouse holds of it is not thrown away with the file
        assert world.query("SELECT count(*) FROM fact.by1 WHERE tid = '2018-01-01'") == [
            (len(world.universe.table("BY1").rows("2018")),)
        ]
        world.sync("BY1")
        world.check("BY1")

    @pytest.mark.parametrize("damage", [_truncate, *slowly(_garbage)])
    def test_a_kept_period_is_reported_and_its_rows_stay(self, world: World, damage: Callable[[Path], None]) -> None:
        world.sync("BY1")
        before = world.universe.table("BY1")
        world.universe.drop_period("BY1", tid="2018")
        world.sync("BY1")
        path = world.folder("BY1") / "2018.parquet"
        whole = path.read_bytes()
        damage(path)
        world.universe.restate("BY1")
        world.simulator.forget_requests()
        world.sync("BY1", scope=FULL)
        assert any("2018.parquet" in message for message in world.observer.messages)
        assert all("2018" not in codes for codes in world.asked())
        # nobody publishes it any more: the rows in the warehouse are the last there are
        assert world.query("SELECT count(*) FROM fact.by1 WHERE tid = '2018-01-01'") == [(len(before.rows("2018")),)]
        path.write_bytes(whole)
        world.sync("BY1")
        world.check("BY1", kept={"2018": before})

    def test_pages_that_cannot_be_read_are_found_when_they_are_loaded(self, world: World) -> None:
        world.sync("STRAF42")
        versions = world.versions("STRAF42")
        _hole(world.folder("STRAF42") / "2018.parquet")
        with pytest.raises(DamagedPartition) as caught:
            load_table(world.sources, "STRAF42", Recorder())
        assert "2018.parquet" in str(caught.value)
        assert world.versions("STRAF42") == versions
        world.sync("STRAF42", scope=FULL)
        load_table(world.sources, "STRAF42", Recorder())
        world.check("STRAF42")

    def test_a_damaged_manifest_is_written_anew(self, world: World) -> None:
        world.sync("KORD1")
        before = world.universe.table("KORD1")
        world.universe.drop_period("KORD1", tid="2020")
        (world.folder("KORD1") / manifest.FILE_NAME).write_text("{", encoding="utf-8")
        with pytest.raises(DamagedPartition):
            load_table(world.sources, "KORD1", Recorder())
        world.sync("KORD1")
        world.check("KORD1", kept={"2020": before})

    def test_foreign_files_in_the_folder_are_left_alone(self, world: World) -> None:
        world.sync("KORD1")
        (world.folder("KORD1") / "notes.txt").write_text("mine", encoding="utf-8")
        (world.folder("KORD1") / "copy of 2020.parquet.bak").write_bytes(b"mine")
        world.sync("KORD1", scope=FULL)
        for name in ("notes.txt", "copy of 2020.parquet.bak"):
            (world.folder("KORD1") / name).unlink()
        world.check("KORD1")


class TestLostWarehouse:
    def test_a_dropped_table_is_refilled_without_a_request(self, world: World) -> None:
        world.sync("STRAF42")
        world.query("DROP TABLE fact.straf42")
        assert world.state("STRAF42") is State.REFILL
        world.simulator.forget_requests()
        report = load_table(world.sources, "STRAF42", Recorder())
        assert world.simulator.requests == []
        assert report.rows_written == world.universe.table("STRAF42").row_count()
        world.check("STRAF42")
        assert world.state("STRAF42") is State.CURRENT

    def test_a_dropped_table_is_refilled_by_a_sync_too(self, world: World) -> None:
        world.sync("STRAF42")
        world.query("DROP TABLE fact.straf42")
        world.sync("STRAF42")
        world.check("STRAF42")

    def test_a_new_database_is_filled_from_the_same_files(self, world: World) -> None:
        before = world.universe.table("KORD1")
        world.sync("KORD1")
        world.universe.drop_period("KORD1", tid="2021")
        world.sync("KORD1")
        for table in ("period_load", "table_sync", "fact_table", "fact_column", "code"):
            world.query(f"TRUNCATE meta.{table} CASCADE")
        world.query("DROP TABLE fact.kord1")
        assert world.state("KORD1") is State.REFILL
        world.simulator.forget_requests()
        load_table(world.sources, "KORD1", Recorder())
        assert world.simulator.requests == []
        world.check("KORD1", kept={"2021": before})

    @pytest.mark.parametrize("table", ["KORD1", "FV22TOTA"])
    def test_a_table_restored_from_elsewhere_is_not_trusted(self, world: World, table: str) -> None:
        world.sync(table)
        relation = f"fact.{table.lower()}"
        world.query(f"CREATE TABLE fact.copy AS SELECT * FROM {relation}")
        world.query("UPDATE fact.copy SET tid = '1999-01-01', indhold = 1")
        world.query(f"DROP TABLE {relation}")
        world.query(f"ALTER TABLE fact.copy RENAME TO {table.lower()}")
        assert world.state(table) is State.REFILL
        world.sync(table)
        world.check(table)

    def test_a_restored_table_of_other_columns_is_replaced(self, world: World) -> None:
        world.sync("FV22TOTA")
        world.query("DROP TABLE fact.fv22tota")
        world.query("CREATE TABLE fact.fv22tota (anything text)")
        world.sync("FV22TOTA")
        world.check("FV22TOTA")

    def test_periods_taken_out_of_the_folder_leave_the_table(self, world: World) -> None:
        before = world.universe.table("KORD1")
        world.sync("KORD1")
        world.universe.drop_period("KORD1", tid="2021")
        world.sync("KORD1")
        world.check("KORD1", kept={"2021": before})
        (world.folder("KORD1") / "2021.parquet").unlink()
        world.sync("KORD1")
        world.check("KORD1")

    @pytest.mark.parametrize("missing", ["2022", "2024"])
    def test_a_folder_with_a_gap_fills_no_table(self, world: World, missing: str) -> None:
        world.sync("KORD1")
        world.query("DROP TABLE fact.kord1")
        (world.folder("KORD1") / f"{missing}.parquet").unlink()
        with pytest.raises(DamagedPartition) as caught:
            load_table(world.sources, "KORD1", Recorder())
        assert missing in str(caught.value)
        assert "varro sync KORD1" in str(caught.value)
        assert world.query("SELECT to_regclass('fact.kord1')") == [(None,)]

    def test_single_periods_can_be_loaded_again(self, world: World) -> None:
        world.sync("KORD1")
        versions = world.versions("KORD1")
        world.query("UPDATE fact.kord1 SET indhold = 0 WHERE tid = '2022-01-01'")
        load_table(world.sources, "KORD1", Recorder(), only=["2022", "1066"])
        after = world.versions("KORD1")
        assert {row[-1] for row, version in after.items() if versions[row] != version} == {"2022-01-01"}
        world.check("KORD1")


class TestNothingComplete:
    def test_without_a_complete_sync_there_is_nothing_to_load(self, world: World) -> None:
        with pytest.raises(DamagedPartition) as caught:
            load_table(world.sources, "KORD1", Recorder())
        assert "no completed sync" in str(caught.value)


class Crash(BaseException):
    """As an interrupt or a kill: nothing in the code under test catches it."""


def _after(owner: Any, name: str, calls: int = 1) -> Callable[[pytest.MonkeyPatch], None]:
    """Crash right after the n-th call."""

    def install(patch: pytest.MonkeyPatch) -> None:
        original, number = getattr(owner, name), itertools.count(1)

        def crashing(*arguments: Any, **options: Any) -> Any:
            result = original(*arguments, **options)
            if next(number) == calls:  # several threads may come at once: each takes its own number
                raise Crash(name)
            return result

        patch.setattr(owner, name, crashing)

    return install


def _before(owner: Any, name: str, calls: int = 1) -> Callable[[pytest.MonkeyPatch], None]:
    """Crash in place of the n-th call."""

    def install(patch: pytest.MonkeyPatch) -> None:
        original, number = getattr(owner, name), itertools.count(1)

        def crashing(*arguments: Any, **options: Any) -> Any:
            if next(number) == calls:
                raise Crash(name)
            return original(*arguments, **options)

        patch.setattr(owner, name, crashing)

    return install


def _promoting(files: int, among: str = "statbank_tables") -> Callable[[pytest.MonkeyPatch], None]:
    """Crash when so many period files, or files of another folder, have taken their place."""

    def install(patch: pytest.MonkeyPatch) -> None:
        original, seen = Path.replace, []

        def crashing(self: Path, target: Path) -> Path:
            result = original(self, target)
            if target.suffix == ".parquet" and among in target.parts:
                seen.append(target)
                if len(seen) == files:
                    raise Crash(target.name)
            return result

        patch.setattr(Path, "replace", crashing)

    return install


def _within_the_manifest(patch: pytest.MonkeyPatch) -> None:
    """Crash when it is written and not yet in its place; what is fsynced before it, in other threads too, is."""
    write = manifest.write

    def crashing(*arguments: Any, **options: Any) -> None:
        _before(files.os, "fsync")(patch)
        write(*arguments, **options)

    patch.setattr(manifest, "write", crashing)


CRASHES = {
    "before the first request": _before(reading.fetching, "fetch"),
    "while a batch is staged": _before(reading.fetching.bulk, "split", 2),
    "after one file took its place": _promoting(1),
    "after three files took their place": _promoting(3),
    "after all data, before the manifest": _before(manifest, "write"),
    "in the middle of writing the manifest": _within_the_manifest,
    "after the manifest, before the load": _after(manifest, "write"),
    "between delete and copy": _before(PeriodTables, "_copy"),
    "between two copies": _before(PeriodTables, "_copy", 2),
    "after the copy, before the commit": _after(PeriodTables, "_copy"),
    "after replacing, before the indexes": _before(PeriodTables, "finish"),
    "while indexing": _before(period_table, "_index"),
    "after the load, before the description": _after(FactLoader, "load_all"),
    "after the description, before the record": _before(FactLoader, "complete"),
    "after the record": _after(FactLoader, "complete"),
}


SAME_AS_IN_A_LATER_SYNC = {
    "before the first request",
    "in the middle of writing the manifest",
    "between two copies",
    "while indexing",
    "after the description, before the record",
    "after the record",
}


class TestCrash:
    """Whatever was interrupted, the same command heals it."""

    @pytest.fixture(autouse=True)
    def _small_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(BatchSize, "periods", lambda _self: 2)

    def _crash(self, world: World, crash: Callable[[pytest.MonkeyPatch], None], **options: Any) -> bool:
        with pytest.MonkeyPatch.context() as patch:
            crash(patch)
            try:
                world.sync("KORD1", **options)
            except Crash:
                return True
        return False

    @pytest.mark.parametrize(
        "crash",
        [
            pytest.param(crash, id=name, marks=pytest.mark.slow if name in SAME_AS_IN_A_LATER_SYNC else [])
            for name, crash in CRASHES.items()
        ],
    )
    def test_in_a_first_load(self, world: World, crash: Callable[[pytest.MonkeyPatch], None]) -> None:
        self._crash(world, crash)
        world.sync("KORD1")
        world.check("KORD1")

    @pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES.keys())
    def test_in_a_later_sync(self, world: World, crash: Callable[[pytest.MonkeyPatch], None]) -> None:
        world.sync("KORD1")
        before = world.universe.table("KORD1")
        world.universe.restate("KORD1")
        now = world.universe.table("KORD1")
        crashed = self._crash(world, crash, scope=FULL)
        # every period is in the table once, as it was or as it is
        for code in now.periods:
            rows = {row[:-2] + row[-1:] for row in world.rows("KORD1") if row[-2].year == int(code)}
            assert rows in ({*before.rows(code)}, {*now.rows(code)})
        if crashed and world.state("KORD1") is not State.CURRENT:
            world.sync("KORD1", scope=FULL)
        world.check("KORD1")

    @pytest.mark.slow
    @pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES.keys())
    def test_in_a_change_of_shape(self, world: World, crash: Callable[[pytest.MonkeyPatch], None]) -> None:
        world.sync("KORD1")
        before = world.universe.table("KORD1")
        world.universe.drop_period("KORD1", tid="2020")
        world.universe.change_dimensions("KORD1")
        self._crash(world, crash)
        # readers see the old table or the new one, never both
        columns = [name for name, *_ in world.columns("KORD1")]
        assert columns in (["user", "order", "tid", "indhold"], ["user", "order", "datatype", "tid", "indhold"])
        world.sync("KORD1")
        world.check("KORD1", left={"2020": before})

    @pytest.mark.slow
    @pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES.keys())
    def test_in_a_change_of_shape_that_is_taken_back(
        self, world: World, crash: Callable[[pytest.MonkeyPatch], None]
    ) -> None:
        world.sync("KORD1")
        world.universe.change_dimensions("KORD1")
        self._crash(world, crash)
        world.universe.change_dimensions("KORD1")
        world.sync("KORD1")
        world.check("KORD1")


def test_nothing_of_a_dead_process_is_left_behind(world: World) -> None:
    world.sync("KORD1")
    dead = world.folder("KORD1") / ".staging-1-dead"
    dead.mkdir()
    (dead / "2024.parquet").write_bytes(b"half")
    (world.folder("KORD1") / ".manifest.json.dead.tmp").write_bytes(b"half")
    world.sync("KORD1")
    world.check("KORD1")


def test_a_refill_after_a_crash_in_the_middle_of_a_change_of_shape_is_refused(world: World) -> None:
    world.sync("KORD1")
    world.universe.change_dimensions("KORD1")
    with pytest.MonkeyPatch.context() as patch:
        _promoting(3)(patch)
        with pytest.raises(Crash):
            world.sync("KORD1")
    rows = world.rows("KORD1")
    with pytest.raises(DamagedPartition):
        load_table(world.sources, "KORD1", Recorder())
    assert world.rows("KORD1") == rows
    world.sync("KORD1")
    world.check("KORD1")


def test_the_backend_that_dies_in_the_middle_of_a_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sync("STRAF42")
    versions = world.versions("STRAF42")
    world.universe.restate("STRAF42")
    batches, seen = PartitionStore.batches, []

    def terminating(self: PartitionStore, period: str, batch_rows: int) -> Any:
        for batch in batches(self, period, 100):
            yield batch
            seen.append(period)
            if len(seen) == 8:
                world.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'varro sync %'"
                )

    with monkeypatch.context() as patch:
        patch.setattr(PartitionStore, "batches", terminating)
        with pytest.raises(DatabaseUnavailable) as caught:
            world.sync("STRAF42", scope=FULL)
    assert caught.value.transient
    assert not isinstance(caught.value, PublisherChanged)
    assert world.versions("STRAF42") == versions
    world.sync("STRAF42", scope=FULL)
    world.check("STRAF42")


def test_connections_are_closed_whatever_happens(world: World) -> None:
    world.sync("KORD1")
    world.universe.restate("KORD1")
    for crash in (_before(PeriodTables, "_copy"), _before(reading.fetching, "fetch")):
        with pytest.MonkeyPatch.context() as patch:
            crash(patch)
            with pytest.raises(Crash):
                world.sync("KORD1", scope=FULL)
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^varro (sync|lock)' AND datname = %s"
    with world.database() as connection:
        # the server notices a moment later that a connection was closed
        deadline = time.monotonic() + PATIENCE
        while (left := world.query(ours, connection.info.dbname)) != [(0,)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
