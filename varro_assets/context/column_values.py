"""Column values: the codes and labels of each column and dimension, as small parquet files for readers without SQL.

What belongs here: their places and columns, and writing them only when their content changed. The reader is an AI
analyst that exists already; it takes these paths and these columns.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from varro_assets.dimensions.models import Dimension
from varro_assets.engine.files import write_bytes
from varro_assets.statbank import facts
from varro_assets.statbank.models import TableInfo

FOLDER = "column_values"
"""Below the folder of the documents."""
ENDING = ".parquet"

_FACT = pa.schema([pa.field("id", pa.string()), pa.field("text", pa.string())])
_DIMENSION = pa.schema(
    [
        pa.field("kode", pa.string()),
        pa.field("niveau", pa.int32()),
        pa.field("titel", pa.string()),
        pa.field("parent_kode", pa.string()),
    ]
)


def fact_path(context: Path, table: str, column: str) -> Path:
    """``column_values/folk1a/omrade.parquet``.

    Args:
        context: folder of the documents.
        table: table id or relation, in any case.
        column: name in Postgres.
    """
    return context / FOLDER / facts.relation_name(table) / f"{column}{ENDING}"


def dimension_path(context: Path, name: str) -> Path:
    """``column_values/nuts.parquet``."""
    return context / FOLDER / f"{name}{ENDING}"


def write_fact(context: Path, table: str, info: TableInfo) -> list[Path]:
    """Codes (``id``) and labels (``text``) of each code column but time, in the publisher's order.

    Files of columns the table no longer has are removed.

    Args:
        context: folder of the documents.
        table: table id or relation, in any case.
        info: the publisher's description.

    Returns:
        Files written or removed; empty when everything was so already.

    Raises:
        ColumnCollision: two variables share a column.
        StorageFull: the disk is full; each file is still the old one or the whole new one.
    """
    changed = []
    wanted = set()
    for variable, column in zip(info.dimensions, facts.columns(info), strict=True):
        path = fact_path(context, table, column.name)
        wanted.add(path)
        content = {"id": list(variable.codes), "text": [value.text for value in variable.values]}
        if _write(path, content, _FACT):
            changed.append(path)
    folder = context / FOLDER / facts.relation_name(table)
    for path in sorted(set(folder.glob(f"[!.]*{ENDING}")) - wanted):
        path.unlink()
        changed.append(path)
    return changed


def write_dimension(context: Path, dimension: Dimension) -> list[Path]:
    """Members in traversal order: ``kode``, ``niveau`` (int32, 1 = top), ``titel``, ``parent_kode`` (null on top).

    Returns:
        The file if it was written; empty when it was so already.

    Raises:
        StorageFull: the disk is full; the old file is untouched.
    """
    path = dimension_path(context, dimension.name)
    content: dict[str, Sequence[str | int | None]] = {
        "kode": [member.kode for member in dimension.members],
        "niveau": [member.niveau for member in dimension.members],
        "titel": [member.titel for member in dimension.members],
        "parent_kode": [member.parent_kode for member in dimension.members],
    }
    return [path] if _write(path, content, _DIMENSION) else []


def _write(path: Path, content: Mapping[str, Sequence[str | int | None]], schema: pa.Schema) -> bool:
    sink = io.BytesIO()
    # without the Arrow schema and statistics there is nothing in the file but its content
    pq.write_table(
        pa.table(content, schema=schema), sink, compression="zstd", store_schema=False, write_statistics=False
    )
    content_bytes = sink.getvalue()
    try:
        if path.read_bytes() == content_bytes:
            return False
    except FileNotFoundError:
        pass
    write_bytes(path, content_bytes)
    return True
