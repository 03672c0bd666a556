"""Health: every way in which files, warehouse and records can disagree is found, and its remedy mends it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from varro_assets.engine import content, locks
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.period_table import PeriodTables
from varro_assets.engine.planning import Scope
from varro_assets.engine.revisions.ledger import BEGUN
from varro_assets.errors import TableBusy
from varro_assets.statbank import manifest
from varro_assets.statbank.proof import health
from varro_assets.statbank.proof.health import Finding, Remedy, damage, settled_findings, table_findings
from varro_assets.statbank.sync import load_table
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.oracle import World

TABLE = "KORD1"


def _findings(world: World, *, deep: bool = False) -> list[Finding]:
    with world.database() as connection:
        return list(table_findings(world.sources, TABLE, connection, deep=deep))


def _mend(world: World, remedy: Remedy) -> None:
    match remedy:
        case Remedy.SYNC:
            world.sync(TABLE)
        case Remedy.REFETCH:
            world.sync(TABLE, scope=Scope(full=True))
        case Remedy.REBUILD:
            load_table(world.sources, TABLE, Recorder())
        case Remedy.NONE:
            pass


def _file(world: World, period: str) -> Path:
    return world.folder(TABLE) / f"{period}.parquet"


def _cut(world: World) -> None:
    _file(world, "2022").write_bytes(_file(world, "2022").read_bytes()[:200])


def _rot(world: World) -> None:
    body = bytearray(_file(world, "2022").read_bytes())
    body[30:60] = bytes(30)
    _file(world, "2022").write_bytes(bytes(body))


def _swap(world: World) -> None:
    """A file that reads well, of the right period, with other values than its footer states."""
    path = _file(world, "2022")
    facts = pq.read_metadata(path).metadata
    table = pq.read_table(path)
    values = pa.array([1.0] * table.num_rows)
    with pq.ParquetWriter(path, table.schema.remove_metadata(), store_schema=False) as writer:
        writer.write_table(table.set_column(table.num_columns - 1, "INDHOLD", values).replace_schema_metadata())
        writer.add_key_value_metadata(facts)


CASES: dict[str, tuple[Callable[[World], object], str, Remedy, bool]] = {
    "no manifest": (
        lambda world: (world.folder(TABLE) / manifest.FILE_NAME).unlink(),
        "its first load was not completed: 5 periods are in",
        Remedy.SYNC,
        False,
    ),
    "a damaged manifest": (
        lambda world: (world.folder(TABLE) / manifest.FILE_NAME).write_text("{}", encoding="utf-8"),
        "not a manifest",
        Remedy.SYNC,
        False,
    ),
    "a missing file": (
        lambda world: _file(world, "2022").unlink(),
        "1 published periods have no file: 2022",
        Remedy.SYNC,
        False,
    ),
    "a file that cannot be read": (_cut, "2022.parquet", Remedy.SYNC, False),
    "rotten pages": (_rot, "the file of 2022 does not hold what it states", Remedy.REFETCH, True),
    "other values": (_swap, "the file of 2022 does not hold what it states", Remedy.REFETCH, True),
    "no table": (
        lambda world: world.query("DROP TABLE fact.kord1"),
        "its fact table is gone",
        Remedy.REBUILD,
        False,
    ),
    "a period that is not loaded": (
        lambda world: world.query("DELETE FROM meta.period_load WHERE tid_code = '2022'"),
        "1 periods are not in fact as in parquet: 2022",
        Remedy.REBUILD,
        False,
    ),
    "a period loaded in other words": (
        lambda world: world.query("UPDATE meta.period_load SET content_hash = 'x' WHERE tid_code = '2022'"),
        "1 periods are not in fact as in parquet: 2022",
        Remedy.REBUILD,
        False,
    ),
    "a period of nobody": (
        lambda world: world.query(
            "INSERT INTO meta.period_load SELECT table_id, '1999', '1999-01-01', content_hash, shape_hash, fact_oid, 0,"
            " updated, run_id FROM meta.period_load WHERE tid_code = '2022'"
        ),
        "1 periods in fact have no file: 1999",
        Remedy.REBUILD,
        False,
    ),
    "rows too few": (
        lambda world: world.query("DELETE FROM fact.kord1 WHERE tid = '2022-01-01'"),
        "fact has 32 rows where 40 were loaded",
        Remedy.REBUILD,
        False,
    ),
    "rows too many": (
        lambda world: world.query("INSERT INTO fact.kord1 SELECT * FROM fact.kord1 WHERE tid = '2022-01-01'"),
        "fact has 48 rows where 40 were loaded",
        Remedy.REBUILD,
        False,
    ),
    "another table of that name": (
        lambda world: world.query(
            "CREATE TABLE fact.copy AS TABLE fact.kord1; DROP TABLE fact.kord1; ALTER TABLE fact.copy RENAME TO kord1"
        ),
        "5 periods are not in fact as in parquet",
        Remedy.REBUILD,
        False,
    ),
    "a sync that is not recorded": (
        lambda world: world.query("DELETE FROM meta.table_sync"),
        "is recorded, though the files are complete",
        Remedy.REBUILD,
        False,
    ),
}


@pytest.mark.parametrize(("break_it", "what", "remedy", "deep"), CASES.values(), ids=CASES.keys())
def test_it_is_found_and_its_remedy_mends_it(
    world: World, break_it: Callable[[World], object], what: str, remedy: Remedy, deep: bool
) -> None:
    world.sync(TABLE)
    assert _findings(world, deep=True) == []
    break_it(world)
    if deep:
        assert [finding.remedy for finding in _findings(world)] in ([], [Remedy.SYNC])
    findings = _findings(world, deep=deep)
    named = [finding for finding in findings if what in finding.what]
    assert [(finding.table, finding.remedy) for finding in named] == [(TABLE, remedy)]
    # one remedy for all there is to say of one fault
    assert {finding.remedy for finding in findings} == {remedy}
    _mend(world, remedy)
    assert _findings(world, deep=True) == []
    world.check(TABLE)


def test_a_table_never_synced(world: World) -> None:
    assert _findings(world) == [Finding(TABLE, "it was never synced", Remedy.SYNC)]


def test_periods_of_an_older_shape_are_only_mentioned(world: World) -> None:
    world.sync(TABLE)
    world.universe.drop_period(TABLE, tid="2020")
    world.universe.change_dimensions(TABLE)
    world.sync(TABLE)
    (finding,) = _findings(world, deep=True)
    assert finding.remedy is Remedy.NONE
    assert finding.what.startswith("1 periods are kept in the shape the table had before")
    assert finding.what.endswith("2020")


def test_a_kept_period_is_in_order(world: World) -> None:
    world.sync(TABLE)
    world.universe.drop_period(TABLE, tid="2020")
    world.sync(TABLE)
    assert _findings(world, deep=True) == []


def test_a_damaged_kept_period_cannot_be_mended_and_is_said_to_be_so(world: World) -> None:
    world.sync(TABLE)
    world.universe.drop_period(TABLE, tid="2022")
    world.sync(TABLE)
    _cut(world)
    (finding,) = _findings(world)
    assert finding.remedy is Remedy.BACKUP
    assert "2022.parquet" in finding.what
    assert "no longer published" in finding.what


def test_nothing_is_written_by_looking(world: World) -> None:
    world.sync(TABLE)
    files, versions = world.files(TABLE), world.versions(TABLE)
    _findings(world, deep=True)
    assert (world.files(TABLE), world.versions(TABLE)) == (files, versions)


def _entry(world: World) -> Path:
    (path,) = (world.sources.revisions_dir / TABLE).glob("2022/*.parquet")
    return path


def _register(world: World) -> Path:
    return world.sources.revisions_dir / TABLE / BEGUN


def _rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Let an entry hold other cells, so that it reads well and has the footer it had."""
    facts, cells = pq.read_metadata(path).metadata, change(pq.read_table(path)).replace_schema_metadata()
    with pq.ParquetWriter(path, cells.schema, store_schema=False) as writer:
        writer.write_table(cells)
        writer.add_key_value_metadata(facts)


LOSSES: dict[str, tuple[Callable[[World], Path], Callable[[Path], object], str, bool]] = {
    "an entry that was cut": (_entry, lambda path: path.write_bytes(path.read_bytes()[:100]), "2022/", False),
    "an entry that is gone": (_entry, Path.unlink, "entries of its ledger are gone (2022/", False),
    "rotten cells": (
        _entry,
        lambda path: path.write_bytes(path.read_bytes()[:8] + bytes(20) + path.read_bytes()[28:]),
        "2022/",
        True,
    ),
    "a cell too few": (
        _entry,
        lambda path: _rewrite(path, lambda cells: cells.slice(1)),
        "other cells than it states",
        True,
    ),
    "no register": (_register, Path.unlink, "ledger.json: it is gone", False),
    "a damaged register": (_register, lambda path: path.write_text("{", encoding="utf-8"), "ledger.json", False),
}


@pytest.mark.parametrize(("which", "break_it", "what", "deep"), LOSSES.values(), ids=LOSSES.keys())
def test_what_only_a_backup_has_is_said_to_be_so(
    world: World, which: Callable[[World], Path], break_it: Callable[[Path], object], what: str, deep: bool
) -> None:
    world.sync(TABLE)
    world.universe.revise(TABLE, tid="2022")
    world.sync(TABLE)
    assert _findings(world, deep=True) == []
    path = which(world)
    body = path.read_bytes()
    break_it(path)
    if deep:
        assert _findings(world) == []
    (finding,) = _findings(world, deep=deep)
    assert finding.remedy is Remedy.BACKUP
    assert what in finding.what
    path.write_bytes(body)
    assert _findings(world, deep=True) == []


def test_a_whole_content_kept_is_proved_by_its_hash(world: World) -> None:
    world.sync(TABLE)
    world.universe.change_dimensions(TABLE)
    world.sync(TABLE)
    assert _findings(world, deep=True) == []
    path = _entry(world)
    assert pq.read_table(path).column("change").unique().to_pylist() == ["removed"]
    _rewrite(path, lambda cells: cells.set_column(cells.num_columns - 3, "old", pa.array([1.0] * cells.num_rows)))
    assert _findings(world) == []
    assert [finding.remedy for finding in _findings(world, deep=True)] == [Remedy.BACKUP]


def test_a_loss_that_a_sync_has_noted_is_only_good_to_know(world: World) -> None:
    world.sync(TABLE)
    world.universe.revise(TABLE, tid="2022")
    world.sync(TABLE)
    _entry(world).unlink()
    world.universe.revise(TABLE, tid="2021")
    world.sync(TABLE)
    (finding,) = _findings(world, deep=True)
    assert finding.remedy is Remedy.NONE
    assert "2022/" in finding.what
    with world.database() as connection:
        assert damage(world.sources, TABLE, connection) == []


def test_a_home_older_than_the_ledger_has_lost_nothing(world: World) -> None:
    world.sync(TABLE)
    shutil.rmtree(world.sources.revisions_dir)
    world.query("TRUNCATE meta.revision")
    assert _findings(world, deep=True) == []


def test_a_foreign_file_is_mentioned(world: World) -> None:
    world.sync(TABLE)
    for name in ("9999.parquet", "note.txt", ".hidden"):
        (world.folder(TABLE) / name).write_bytes(b"junk")
    (finding,) = _findings(world, deep=True)
    assert finding.remedy is Remedy.NONE
    assert finding.what.endswith(": 9999.parquet, note.txt")


def test_a_file_that_only_looks_like_a_period_is_nobodys(world: World) -> None:
    world.sync(TABLE)
    (world.folder(TABLE) / "partition_0.parquet").write_bytes(b"of another program")
    (finding,) = _findings(world, deep=True)
    assert finding.remedy is Remedy.NONE
    assert "No sync knows of such a period" in finding.what


def test_a_footer_that_is_no_text_is_found(world: World) -> None:
    world.sync(TABLE)
    path = _file(world, "2022")
    path.write_bytes(path.read_bytes().replace(b"fetched_at", bytes([0xCF]) + b"etched_at"))
    (finding,) = _findings(world)
    assert finding.remedy is Remedy.SYNC
    assert "2022.parquet" in finding.what


def test_rows_that_fit_no_codes_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sync(TABLE)

    def of_table(_table: pa.Table, on: str) -> str:
        raise IndexError(on)  # as one flipped bit in a page of indices does

    monkeypatch.setattr(content, "of_table", of_table)
    assert [finding.remedy for finding in _findings(world, deep=True)] == [Remedy.REFETCH] * 5


def test_damage_is_what_a_backup_must_not_take_in_silently(world: World) -> None:
    world.sync(TABLE)
    world.universe.drop_period(TABLE, tid="2020")
    world.sync(TABLE)
    with world.database() as connection:
        assert damage(world.sources, TABLE, connection) == []
        _file(world, "2020").unlink()  # nobody publishes it any more, and no manifest lists it
        _rot(world)
        _file(world, "2023").unlink()
        said = [finding.what for finding in damage(world.sources, TABLE, connection)]
    assert said == [
        "1 published periods have no file: 2023",
        "the file of 2022 does not hold what it states",
        "1 periods in fact have no file: 2020",
    ]


# -- beside a sync -----------------------------------------------------------------------------------------------------


def _settled(world: World, *, deep: bool = True, wait: float = 0.0) -> list[Finding]:
    with world.database() as connection:
        return settled_findings(world.sources, TABLE, connection, deep=deep, wait=wait)


def test_what_a_sync_did_between_two_looks_is_no_damage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sync(TABLE)
    world.universe.revise(TABLE, tid="2022")
    look, looked = health._Files.of, []

    def then_a_sync(store: PartitionStore) -> health._Files:
        files = look(store)
        if not looked:
            world.sync(TABLE)
        looked.append(files)
        return files

    monkeypatch.setattr(health._Files, "of", then_a_sync)
    assert _settled(world) == []
    assert len(looked) == 2


@pytest.mark.parametrize("step", ["replace", "finish"])
@pytest.mark.parametrize("first", [True, False])
def test_a_table_that_is_being_synced_is_busy(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, *, first: bool
) -> None:
    if not first:
        world.sync(TABLE)
        world.universe.revise(TABLE, tid="2022")
    real, seen = getattr(PeriodTables, step), []

    def stalled(*arguments: Any, **options: Any) -> Any:
        with pytest.raises(TableBusy, match=f"held by 'varro lock {TABLE}"):
            _settled(world)
        seen.append(_findings(world) != [])
        return real(*arguments, **options)

    monkeypatch.setattr(PeriodTables, step, stalled)
    world.sync(TABLE)
    assert any(seen), "files, warehouse and records do differ then"
    assert _settled(world) == []


def test_damage_is_found_under_the_lock_and_what_is_well_takes_none(world: World) -> None:
    world.sync(TABLE)
    with locks.table_lock(world.sources.warehouse, TABLE):
        assert _settled(world) == []
    _file(world, "2022").unlink()
    assert [finding.remedy for finding in _settled(world)] == [Remedy.SYNC]
    # the lock was given back
    world.sync(TABLE)
    assert _settled(world) == []
