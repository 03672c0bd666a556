"""One period as one parquet file: how it is written and what its footer says.

What belongs here: the schema, encodings and key-value metadata of a partition file, and `PartitionInfo`,
which is the footer as an object. Where the files lie and how they take their place is in `partitions`.

Every file of a dataset has the same schema, also that of a period without rows: strings (pages of dictionary
indices) and one column of doubles. The Arrow schema is not stored, since it would make readers return
dictionaries instead of plain strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from varro_assets.engine.canonical import Canonical, Rows, Slice
from varro_assets.engine.content import ContentHash
from varro_assets.engine.disk import space_for
from varro_assets.errors import DamagedPartition

FORMAT = "1"
_WRITE_BATCH = 1 << 16  # the default of 1024 costs a tenth of the time
_REQUIRED = (
    "format", "table", "tid", "updated", "content_hash", "shape_hash", "rows", "nulls", "fetched_at",
)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Where the rows of a period come from.

    Attributes:
        updated: the publisher's own time stamp of the table.
        shape_hash: of the table's ordered variables and kind of ``tid``.
        fetched_at: when they were asked for, ISO 8601 in UTC.
    """

    updated: str
    shape_hash: str
    fetched_at: str


@dataclass(frozen=True)
class PartitionInfo:
    """What the footer of a partition file says.

    Attributes:
        dataset: name of the dataset ("FOLK1A").
        period: code of the period.
        path: the file.
        rows: number of rows.
        nulls: rows whose value is missing.
        bytes: size of the file.
        content_hash: see `content`.
        shape_hash, updated, fetched_at: see `Origin`.
    """

    dataset: str
    period: str
    path: Path
    rows: int
    nulls: int
    bytes: int
    content_hash: str
    shape_hash: str
    updated: str
    fetched_at: str


def write(path: Path, dataset: str, period: str, rows: Rows, origin: Origin) -> PartitionInfo:
    """Write the rows of one period to a new file, in canonical order; not yet fsynced.

    Raises:
        DuplicateKeys: two rows share all their codes.
        StorageFull: the disk is full; what was written of the file is removed.
    """
    on = f"{dataset} {period}"
    canonical = Canonical(rows, on)
    content = ContentHash(canonical.names, canonical.codes)
    schema = _schema(canonical)
    dictionaries = [pa.array(codes, pa.string()) for codes in canonical.codes]
    try:
        with space_for(on, path.parent), pa.OSFile(str(path), "wb") as sink, _writer(sink, schema, canonical) as writer:
            for part in canonical.slices():
                content.update(part)
                writer.write_table(_table(part, dictionaries, schema))
            facts = {
                "format": FORMAT,
                "table": dataset,
                "tid": period,
                "updated": origin.updated,
                "content_hash": content.hexdigest(),
                "shape_hash": origin.shape_hash,
                "rows": str(canonical.count),
                "nulls": str(canonical.nulls),
                "fetched_at": origin.fetched_at,
            }
            writer.add_key_value_metadata(facts)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return _info(path, facts, path.stat().st_size)


def read_info(path: Path, dataset: str, period: str) -> PartitionInfo:
    """What the file's footer says; no row is read.

    Raises:
        DamagedPartition: no readable parquet file, or its footer lacks our metadata or contradicts its place.
    """
    try:
        # once opened it stays the same file, though another takes its place or it is removed
        with pa.OSFile(str(path), "rb") as file:
            footer, size = pq.read_metadata(file), file.size()
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, f"no readable parquet file ({error})") from error
    said = (footer.metadata or {}).items()
    facts = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in said}
    if missing := [key for key in _REQUIRED if not facts.get(key) and key != "updated"]:
        raise damaged(path, f"its footer does not state {', '.join(missing)}")
    found = (facts["format"], facts["table"], facts["tid"], facts["rows"])
    if found != (FORMAT, dataset, period, str(footer.num_rows)):
        raise damaged(
            path,
            f"its footer states format, table, period and rows {found}; expected "
            f"{(FORMAT, dataset, period, str(footer.num_rows))}",
        )
    if not facts["nulls"].isdecimal():
        raise damaged(path, f"its footer states {facts['nulls']!r} missing values")
    return _info(path, facts, size)


def damaged(path: Path, got: str) -> DamagedPartition:
    """The error for a file that cannot be used."""
    return DamagedPartition("read the partition file", on=str(path), got=got, todo="Fetch the period again.")


def _info(path: Path, facts: dict[str, str], size: int) -> PartitionInfo:
    return PartitionInfo(
        dataset=facts["table"],
        period=facts["tid"],
        path=path,
        rows=int(facts["rows"]),
        nulls=int(facts["nulls"]),
        bytes=size,
        content_hash=facts["content_hash"],
        shape_hash=facts["shape_hash"],
        updated=facts.get("updated", ""),
        fetched_at=facts["fetched_at"],
    )


def _schema(rows: Canonical) -> pa.Schema:
    *names, value = rows.names
    fields = [
        pa.field(name, pa.dictionary(_index_type(len(codes)), pa.string()), nullable=False)
        for name, codes in zip(names, rows.codes, strict=True)
    ]
    return pa.schema([*fields, pa.field(value, pa.float64())])


def _index_type(count: int) -> pa.DataType:
    return pa.uint8() if count <= 1 << 8 else pa.uint16() if count <= 1 << 16 else pa.uint32()


def _writer(sink: pa.NativeFile, schema: pa.Schema, rows: Canonical) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=1,
        store_schema=False,
        # statistics cost as much as hashing; worth it where they let a reader of many files skip this one
        write_statistics=[name for name, codes in zip(rows.names, rows.codes, strict=False) if len(codes) == 1],
        write_page_checksum=True,
        # a list of 400,000 codes still fits, so that the pages never fall back to repeated strings
        dictionary_pagesize_limit=16 << 20,
        write_batch_size=_WRITE_BATCH,
    )


def _table(part: Slice, dictionaries: list[pa.Array], schema: pa.Schema) -> pa.Table:
    codes = [
        pa.DictionaryArray.from_arrays(pa.array(column), dictionary, safe=False)
        for column, dictionary in zip(part.columns, dictionaries, strict=True)
    ]
    return pa.Table.from_arrays([*codes, pa.array(part.values, from_pandas=True)], schema=schema)
