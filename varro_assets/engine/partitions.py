"""The partitions of one dataset: a folder with one parquet file per period.

What belongs here: which periods are held, reading them, and the way a new file takes its place (staged
beside, fsynced, renamed). What is inside a file belongs to `partition_files`.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from varro_assets.engine import periods
from varro_assets.engine.disk import fsync, space_for
from varro_assets.engine.partition_files import Origin, PartitionInfo, damaged, read_info
from varro_assets.errors import InvalidPeriod

__all__ = ["Origin", "PartitionInfo", "PartitionStore", "Staging"]

_ENDING = ".parquet"
_STAGING = ".staging-"
BATCH_ROWS = 1 << 16
_SYNCS = 8


class Staging:
    """A hidden folder beside the partitions, where new files are complete before they take their place.

    Attributes:
        folder: the folder; on the same file system as the partitions, so that a rename is enough.
        dataset: name of the dataset.
    """

    def __init__(self, folder: Path, dataset: str) -> None:
        self.folder, self.dataset = folder, dataset

    @contextmanager
    def attempt(self) -> Iterator[Path]:
        """A folder of its own for one attempt at writing files; removed if the block fails, kept if it succeeds.

        Raises:
            StorageFull: not even a folder fits on the disk.
        """
        folder = self.folder / uuid.uuid4().hex
        with space_for(self.dataset, self.folder):
            folder.mkdir()
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @staticmethod
    def path(folder: Path, period: str) -> Path:
        """Where in an attempt's folder the period is written."""
        return folder / (periods.file_stem(period) + _ENDING)


class PartitionStore:
    """The parquet files of one dataset.

    The caller holds the table's lock for everything that writes; reading needs none, since files appear, are replaced
    and go whole. One that goes while it is read for is damage to the reader, as one that is not there.
    """

    def __init__(self, folder: Path, dataset: str) -> None:
        self.folder, self.dataset = folder, dataset
        self._open: set[Path] = set()

    def path(self, period: str) -> Path:
        """Where the period's file lies, held or not.

        Raises:
            InvalidPeriod: the code cannot be a partition.
        """
        return self.folder / (periods.file_stem(period) + _ENDING)

    def periods(self) -> list[str]:
        """Codes of the periods held, oldest first; staged and foreign files are passed over."""
        if not self.folder.is_dir():
            return []
        codes = (_period_of(path.name) for path in self.folder.iterdir())
        return periods.in_order(code for code in codes if code is not None)

    def info(self, period: str) -> PartitionInfo:
        """What the footer of the period's file says.

        Raises:
            DamagedPartition: there is no such file, it cannot be read, or it contradicts its name.
        """
        return read_info(self.path(period), self.dataset, period)

    def infos(self) -> dict[str, PartitionInfo]:
        """`info` of every period held, oldest first.

        Raises:
            DamagedPartition: as `info`, for the first that is damaged.
        """
        return {period: self.info(period) for period in self.periods()}

    def batches(self, period: str, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The period's rows in canonical order: codes as dictionaries of strings, the value as a nullable double.

        Memory is bounded by the batch and the compressed pages of a row group, not by the size of the period.

        Raises:
            DamagedPartition: the file cannot be read, or holds other rows than it states.
        """
        info, rows = self.info(period), 0
        try:
            with pq.ParquetFile(info.path) as file:
                names = file.schema_arrow.names
            with pq.ParquetFile(info.path, read_dictionary=names[:-1], page_checksum_verification=True) as file:
                for batch in file.iter_batches(batch_rows, use_threads=False):
                    rows += batch.num_rows
                    yield batch
        except (OSError, pa.ArrowException) as error:
            raise damaged(info.path, str(error)) from error
        if rows != info.rows:
            raise damaged(info.path, f"it holds {rows} rows and states {info.rows}")

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """A staging folder, removed with all that was not promoted when the block ends.

        Raises:
            StorageFull: not even a folder fits on the disk.
        """
        folder = self.folder / f"{_STAGING}{os.getpid()}-{uuid.uuid4().hex}"
        with space_for(self.dataset, self.folder):
            folder.mkdir(parents=True)
        self._open.add(folder)
        try:
            yield Staging(folder, self.dataset)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._open.discard(folder)

    def promote(self, staged: PartitionInfo) -> PartitionInfo:
        """Let a staged file take its place; it survives a power cut from here on.

        Raises:
            StorageFull: the disk is full; the old file is still there.
        """
        return self.promote_all([staged])[0]

    def promote_all(self, staged: Iterable[PartitionInfo]) -> list[PartitionInfo]:
        """`promote` for many: each file is atomic by itself, the folder is synced once at the end.

        Raises:
            StorageFull: the disk is full; no file has taken its place.
        """
        staged = list(staged)
        with space_for(self.dataset, self.folder):
            # together: a file system commits waiting syncs in groups
            with ThreadPoolExecutor(_SYNCS) as pool:
                list(pool.map(fsync, [info.path for info in staged]))
            promoted = [replace(info, path=self.path(info.period)) for info in staged]
            for old, new in zip(staged, promoted, strict=True):
                old.path.replace(new.path)
            if staged:
                fsync(self.folder)
        return promoted

    def remove(self, period: str) -> None:
        """Remove the period's file; nothing happens if there is none."""
        self.path(period).unlink(missing_ok=True)
        if self.folder.is_dir():
            fsync(self.folder)

    def sweep(self) -> None:
        """Remove what dead processes left behind.

        To be called under the table's lock: then every staging folder but our own open ones is dead. The
        process id in its name is for people only; in a container every process has the same.
        """
        for folder in self.folder.glob(f"{_STAGING}*"):
            if folder not in self._open:
                shutil.rmtree(folder, ignore_errors=True)


def _period_of(name: str) -> str | None:
    """The code whose file has that name; None for a foreign or hidden file."""
    stem = name.removesuffix(_ENDING)
    if stem == name or name.startswith("."):
        return None
    try:
        code = periods.period_of(stem)
        return code if periods.file_stem(code) == stem else None
    except InvalidPeriod:
        return None
