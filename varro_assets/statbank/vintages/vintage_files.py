"""Vintage files: a table as it was at a moment, written out for other programs.

What belongs here: one parquet or CSV file, or a folder of period files like the table's own. What was held then is
`vintages`'.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from varro_assets.engine import partition_files, periods
from varro_assets.engine.content import TableRows
from varro_assets.engine.disk import space_for
from varro_assets.engine.partition_files import Origin
from varro_assets.errors import UnknownVintage
from varro_assets.statbank.vintages.vintages import Held

FILES = (".parquet", ".csv")
"""Endings by which one file is asked for."""


def write(out: Path, table: str, vintage: Sequence[Held]) -> int:
    """Write a vintage; whole or not at all. Memory is bounded by one period.

    Args:
        out: a ``.parquet`` or ``.csv`` file, or a folder; neither may be there yet.
        table: id.
        vintage: its periods, oldest first.

    Returns:
        Rows written.

    Raises:
        UnknownVintage: of a period (`Held.table`); or they have different columns, and one file was asked for.
        StorageFull: the disk is full.
        FileExistsError: there is something of that name.
    """
    if out.exists():
        raise FileExistsError(str(out))
    staged = out.with_name(f".{out.name}.tmp")
    writer = _folder if out.suffix not in FILES else _parquet if out.suffix == ".parquet" else _csv
    with space_for(f"{table} as it was", out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with writer(staged, table) as take:
                rows = sum(take(held) for held in vintage)
            staged.replace(out)
        finally:
            if staged.is_dir():
                shutil.rmtree(staged)
            else:
                staged.unlink(missing_ok=True)
    return rows


_Take = Callable[[Held], int]


@contextlib.contextmanager
def _folder(out: Path, table: str) -> Iterator[_Take]:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()

    def take(held: Held) -> int:
        state = held.state
        path = out / f"{periods.file_stem(held.period)}.parquet"
        rows = TableRows.of(held.table(), held.period)
        partition_files.write(path, table, held.period, rows, Origin(state.updated, state.shape_hash, state.fetched_at))
        return rows.count

    yield take


@contextlib.contextmanager
def _parquet(out: Path, table: str) -> Iterator[_Take]:
    with contextlib.ExitStack() as stack:
        yield _into_one(table, lambda schema: stack.enter_context(pq.ParquetWriter(out, schema, compression="zstd")))


@contextlib.contextmanager
def _csv(out: Path, table: str) -> Iterator[_Take]:
    with contextlib.ExitStack() as stack:
        yield _into_one(table, lambda schema: stack.enter_context(pacsv.CSVWriter(out, schema)))


def _into_one(table: str, opened: Callable[[pa.Schema], pq.ParquetWriter | pacsv.CSVWriter]) -> _Take:
    """Write period after period with the writer that the first one's columns open."""
    writer: list[pq.ParquetWriter | pacsv.CSVWriter] = []
    names: list[str] = []

    def take(held: Held) -> int:
        rows = held.table()
        schema = pa.schema(
            [*((name, pa.string()) for name in rows.column_names[:-1]), (rows.column_names[-1], pa.float64())]
        )
        if not writer:
            names.extend(rows.column_names)
            writer.append(opened(schema))
        if rows.column_names != names:
            raise UnknownVintage(
                "write into one file",
                on=f"{table} {held.period}",
                got=f"it had the columns {', '.join(rows.column_names)}, other periods {', '.join(names)}",
                todo="Name a folder instead of a file: it gets a file for each period.",
            )
        writer[0].write_table(rows.cast(schema))
        return int(rows.num_rows)

    return take
