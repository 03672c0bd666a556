"""Partition files: what their footer says, who can read them, and how they take their place."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from varro_assets.engine import canonical, content, disk, partition_files
from varro_assets.engine.canonical import Slice
from varro_assets.engine.partitions import Origin, PartitionInfo, PartitionStore, Staging
from varro_assets.errors import DamagedPartition, DuplicateKeys, StorageFull

ORIGIN = Origin("2024-05-13T08:00:00", "shape", "2024-05-14T06:00:00+00:00")


class GivenRows:
    """Rows in memory."""

    def __init__(self, rows: Sequence[tuple[str, str, float | None]], tid: str = "2024K1") -> None:
        self.names = ["OMRÅDE", "KØN", "TID", "INDHOLD"]
        columns = list(zip(*rows, strict=True))[:2] or [(), ()]
        self.codes = [*(sorted({*column, "spare"}) for column in columns), [tid]]
        self.count = len(rows)
        ranks_of = [{code: rank for rank, code in enumerate(codes)} for codes in self.codes]
        numbers = [
            np.array([ranks[code] for code in column], np.uint32)
            for ranks, column in zip(ranks_of, [*columns, [tid] * len(rows)], strict=True)
        ]
        self._all = Slice(numbers, np.array([np.nan if row[2] is None else row[2] for row in rows], float))

    def slice(self, start: int, stop: int) -> Slice:
        return Slice([column[start:stop] for column in self._all.columns], self._all.values[start:stop])


ROWS = [("000", "M", 1.5), ("084", "K", None), ("000", "K", 0.0), ("NA", "M", -7.0)]


@pytest.fixture
def store(tmp_path: Path) -> PartitionStore:
    return PartitionStore(tmp_path / "FOLK1A", "FOLK1A")


def put(
    store: PartitionStore, period: str = "2024K1", rows: Sequence[tuple[str, str, float | None]] = ROWS
) -> PartitionInfo:
    with store.staging() as staging:
        return store.promote(stage(store, staging, period, rows))


def stage(
    store: PartitionStore, staging: Staging, period: str, rows: Sequence[tuple[str, str, float | None]] = ROWS
) -> PartitionInfo:
    with staging.attempt() as folder:
        path = staging.path(folder, period)
        return partition_files.write(path, store.dataset, period, GivenRows(rows, period), ORIGIN)


def test_a_footer_says_what_was_written(store: PartitionStore) -> None:
    put(store)
    info = store.info("2024K1")
    assert info == PartitionInfo(
        dataset="FOLK1A",
        period="2024K1",
        path=store.folder / "2024K1.parquet",
        rows=4,
        nulls=1,
        bytes=info.path.stat().st_size,
        content_hash=content.of_parquet(info.path),
        shape_hash="shape",
        updated=ORIGIN.updated,
        fetched_at=ORIGIN.fetched_at,
    )


def test_info_reads_no_row(store: PartitionStore) -> None:
    path = put(store, rows=[(f"{number:05}", "K", float(number)) for number in range(5000)]).path
    data = bytearray(path.read_bytes())
    data[4:2000] = bytes(1996)
    path.write_bytes(data)
    assert store.info("2024K1").rows == 5000
    with pytest.raises(DamagedPartition):
        list(store.batches("2024K1"))
    with pytest.raises(DamagedPartition):
        content.of_parquet(path)


def test_one_flipped_byte_is_noticed_when_read(store: PartitionStore) -> None:
    path = put(store, rows=[(f"{number:05}", "K", number * 1.1) for number in range(5000)]).path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedPartition):
        list(store.batches("2024K1"))


def test_rows_lie_in_canonical_order(store: PartitionStore) -> None:
    put(store)
    (batch,) = store.batches("2024K1")
    assert batch.to_pydict() == {
        "OMRÅDE": ["000", "000", "084", "NA"],
        "KØN": ["K", "M", "K", "M"],
        "TID": ["2024K1"] * 4,
        "INDHOLD": [0.0, 1.5, None, -7.0],
    }


def test_batches_are_of_the_size_asked(store: PartitionStore) -> None:
    put(store, rows=[(f"{number:05}", "K", float(number)) for number in range(1000)])
    batches = list(store.batches("2024K1", batch_rows=300))
    assert [batch.num_rows for batch in batches] == [300, 300, 300, 100]
    table = pa.Table.from_batches(batches)
    assert table.column("OMRÅDE").to_pylist() == [f"{number:05}" for number in range(1000)]


@pytest.mark.parametrize("rows", [ROWS, []])
def test_any_reader_sees_plain_strings(store: PartitionStore, rows: Sequence[tuple[str, str, float | None]]) -> None:
    path = put(store, rows=rows).path
    expected = sorted((area, sex, "2024K1", value) for area, sex, value in rows)

    relation = duckdb.sql(f"SELECT * FROM read_parquet('{path}')")
    assert [str(kind) for kind in relation.types] == ["VARCHAR", "VARCHAR", "VARCHAR", "DOUBLE"]
    assert relation.fetchall() == expected

    frame = pl.read_parquet(path)
    assert list(frame.schema.values()) == [pl.String, pl.String, pl.String, pl.Float64]
    assert frame.rows() == expected

    table = pq.read_table(path)
    assert table.schema.types == [pa.string(), pa.string(), pa.string(), pa.float64()]

    pandas = pd.read_parquet(path)
    assert list(pandas.columns) == ["OMRÅDE", "KØN", "TID", "INDHOLD"]
    assert not any(isinstance(kind, pd.CategoricalDtype) for kind in pandas.dtypes)
    assert pandas["OMRÅDE"].tolist() == [row[0] for row in expected]
    assert pandas["INDHOLD"].isna().sum() == sum(row[3] is None for row in expected)


def test_periods_are_chronological_and_foreign_files_passed_over(store: PartitionStore) -> None:
    assert store.periods() == []
    codes = ["2024K1", "2006/2007", "AUG - DEC 2019", "1840:1849", "2023M12D31"]
    for code in codes:
        put(store, code)
    for name in ("notes.txt", "x.parquet.tmp", ".hidden.parquet", "2024M13.parquet", "2006/2007", "%41.parquet"):
        path = store.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    with store.staging() as staging:
        stage(store, staging, "2025")
        assert store.periods() == ["1840:1849", "2006/2007", "AUG - DEC 2019", "2023M12D31", "2024K1"]
        assert list(store.infos()) == store.periods()
    assert store.path("2006/2007").name == "2006%2F2007.parquet"


def test_damage_is_named(store: PartitionStore) -> None:
    path = put(store).path
    whole = path.read_bytes()
    with pytest.raises(DamagedPartition, match="2025K1"):
        store.info("2025K1")
    for bad in (b"", b"PAR1", whole[:-1], whole[: len(whole) // 2]):
        path.write_bytes(bad)
        with pytest.raises(DamagedPartition, match=r"2024K1\.parquet"):
            store.info("2024K1")
    path.write_bytes(whole)
    shutil.copy(path, store.path("2024K2"))
    with pytest.raises(DamagedPartition, match="2024K2"):
        store.info("2024K2")
    with pytest.raises(DamagedPartition):
        store.infos()
    with pytest.raises(DamagedPartition, match="FOLK1AM"):
        PartitionStore(store.folder, "FOLK1AM").info("2024K1")


def test_a_footer_and_its_size_are_of_one_file(store: PartitionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading takes no lock: another file may take its place, or it may go, between any two looks at it."""
    path, read, other = put(store).path, pq.read_metadata, store.folder / "other"
    put(store, "2024K2", [(f"{place:05}", "M", float(place)) for place in range(5000)]).path.rename(other)

    def then(change: Callable[[], object]) -> PartitionInfo:
        def changed(source: Any) -> pq.FileMetaData:
            footer = read(source)
            change()
            return footer

        with monkeypatch.context() as patch:
            patch.setattr(partition_files, "pq", SimpleNamespace(read_metadata=changed))
            return store.info("2024K1")

    before = store.info("2024K1")
    assert then(lambda: other.replace(path)) == before
    before = put(store)
    assert then(path.unlink) == before
    with pytest.raises(DamagedPartition):
        store.info("2024K1")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rows", "5"),
        ("rows", ""),
        ("nulls", "x"),
        ("content_hash", ""),
        ("shape_hash", None),
        ("format", "0"),
        ("tid", None),
    ],
)
def test_a_footer_that_lies_is_damage(store: PartitionStore, key: str, value: str | None) -> None:
    path = put(store).path
    facts = {name.decode(): text.decode() for name, text in pq.read_metadata(path).metadata.items()}
    table = pq.read_table(path)
    facts[key] = value or ""
    if value is None:
        del facts[key]
    pq.write_table(table.replace_schema_metadata(facts), path, store_schema=False)
    with pytest.raises(DamagedPartition):
        store.info("2024K1")


def test_a_foreign_parquet_file_is_damage(store: PartitionStore) -> None:
    path = put(store).path
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DamagedPartition):
        store.info("2024K1")
    with pytest.raises(DamagedPartition):
        content.of_parquet(path)


def test_staging_is_hidden_beside_and_gone_afterwards(store: PartitionStore) -> None:
    with store.staging() as staging:
        assert staging.folder.parent == store.folder
        assert staging.folder.name.startswith(f".staging-{os.getpid()}-")
        stage(store, staging, "2024K1")
        assert store.periods() == []
    assert list(store.folder.iterdir()) == []
    with pytest.raises(DuplicateKeys), store.staging() as staging:
        stage(store, staging, "2024K1", [*ROWS, *ROWS])
    assert list(store.folder.iterdir()) == []


def test_promote_replaces_the_old_file(store: PartitionStore) -> None:
    old = put(store)
    with store.staging() as staging:
        staged = stage(store, staging, "2024K1", [("000", "K", 9.0)])
        new = store.promote(staged)
        assert not staged.path.exists()
    assert new.path == old.path
    assert store.info("2024K1") == new
    assert new.content_hash != old.content_hash


def test_promote_syncs_the_file_before_and_the_folder_after_the_rename(
    store: PartitionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), store.path("2024K1").exists()))
        real(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc to learn a descriptor's name from")
    monkeypatch.setattr(disk.os, "fsync", fsync)
    put(store)
    (file, before), (folder, after) = seen
    assert file.endswith("2024K1.parquet")
    assert Path(folder) == store.folder.resolve()
    assert (before, after) == (False, True)


def test_remove(store: PartitionStore) -> None:
    store.remove("2024K1")
    put(store)
    store.remove("2024K1")
    store.remove("2024K1")
    assert store.periods() == []


def test_sweep_removes_what_the_dead_left(store: PartitionStore) -> None:
    store.sweep()
    put(store)
    dead = store.folder / ".staging-1-abc"
    (dead / "attempt").mkdir(parents=True)
    (dead / "attempt" / "2024K1.parquet").write_text("half")
    with store.staging() as staging:
        store.sweep()
        assert staging.folder.exists()
        assert not dead.exists()
    assert store.periods() == ["2024K1"]


def test_duplicates_leave_no_file(store: PartitionStore) -> None:
    with store.staging() as staging:
        with pytest.raises(DuplicateKeys, match="OMRÅDE=000, KØN=M, TID=2024K1"):
            stage(store, staging, "2024K1", [*ROWS, ("000", "M", 2.0)])
        assert list(staging.folder.iterdir()) == []


@pytest.mark.parametrize("in_order", [True, False])
def test_a_large_period_is_handled_in_slices(
    store: PartitionStore, monkeypatch: pytest.MonkeyPatch, in_order: bool
) -> None:
    rows = [(f"{number:04}", sex, float(number)) for number in range(500) for sex in ("K", "M")]
    whole = put(store, rows=rows)
    monkeypatch.setattr(canonical, "SLICE_ROWS", 64)
    sliced = put(store, "2024K1", rows if in_order else rows[::-1])
    assert sliced.content_hash == whole.content_hash
    assert pq.read_metadata(sliced.path).num_row_groups == 16
    assert [(row["OMRÅDE"], row["KØN"]) for row in pq.read_table(sliced.path).to_pylist()] == [row[:2] for row in rows]
    # rows that ascend within each slice but not across: the seam must be noticed
    swapped = put(store, "2024K1", [*rows[64:128], *rows[:64], *rows[128:]])
    assert swapped.content_hash == whole.content_hash
    with pytest.raises(DuplicateKeys):
        put(store, "2024K1", [*rows[:64], *rows[63:]])


# -- full disks ----------------------------------------------------------------------------------------------------

MANY = [(f"{number:06}", "K", number * 1.234567) for number in range(20_000)]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 64 kB; skips where this user may not mount one."""
    folder.mkdir()
    try:
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    except OSError:
        pytest.skip("no mount command")
    if made.returncode:
        pytest.skip("may not mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        store = PartitionStore(folder / "FOLK1A", "FOLK1A")
        old = put(store)
        with store.staging() as staging:
            with pytest.raises(StorageFull, match="FOLK1A 2024K1"):
                stage(store, staging, "2024K1", MANY)
            assert list(staging.folder.iterdir()) == []
        assert store.info("2024K1") == old
        assert [path.name for path in store.folder.iterdir()] == ["2024K1.parquet"]


def test_a_file_size_limit(store: PartitionStore) -> None:
    old = put(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with store.staging() as staging:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            with pytest.raises(StorageFull):
                stage(store, staging, "2024K1", MANY)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list(staging.folder.iterdir()) == []
    assert store.info("2024K1") == old


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_space_that_runs_out_at_the_fsync(store: PartitionStore, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    old = put(store)

    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with store.staging() as staging:
        staged = stage(store, staging, "2024K1", [("000", "K", 9.0)])
        monkeypatch.setattr(disk.os, "fsync", fsync)
        with pytest.raises(StorageFull):
            store.promote(staged)
    assert store.info("2024K1") == old


def test_other_errors_of_the_disk_keep_their_name(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), disk.space_for("x", tmp_path):
        raise PermissionError(errno.EACCES, "no")
