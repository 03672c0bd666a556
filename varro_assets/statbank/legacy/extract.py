"""Extract: one file of the predecessor as the table's own columns.

What belongs here: which column of the file is which variable, reading it batch by batch, codes restored and values
parsed. Nothing is stored here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from varro_assets.engine.canonical import Array
from varro_assets.errors import DamagedPartition, InvalidValue, UnexpectedResponse
from varro_assets.statbank import facts
from varro_assets.statbank.legacy.code_column import CodeColumn, Codes
from varro_assets.statbank.legacy.source_files import SourceFile
from varro_assets.statbank.models import VALUE_COLUMN, TableInfo, Variable

BATCH_ROWS = 1 << 17
_INDEX = "__index_level_"
"""How pandas names a row number that it stored as a column: the predecessor's groups of a larger frame have one."""
_MISSING = ("..", "", "nan", "NaN", "None", "<NA>", "NA")
_NUMBER = r"^[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]{1,3})?$"


@dataclass
class Survey:
    """What a first reading of a file found.

    Attributes:
        rows: period code -> rows.
        codes: per dimension, in the table's order, each distinct value and its code.
        tids: likewise of the period column; empty if there is none.
        warnings: what a reader of the report should know.
    """

    rows: Counter[str] = field(default_factory=Counter)
    codes: list[dict[Any, str]] = field(default_factory=list)
    tids: dict[Any, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class Extract:
    """One file, opened against the table's description.

    Raises (at construction):
        DamagedPartition: no readable parquet file: half-written, say.
        UnexpectedResponse: a column is missing or there twice, or nothing says the period.
    """

    def __init__(self, file: SourceFile, info: TableInfo) -> None:
        self.file, self._info = file, info
        try:
            with pq.ParquetFile(file.path) as opened:
                self._schema = opened.schema_arrow
                self.rows = opened.metadata.num_rows
        except (OSError, pa.ArrowException) as error:
            raise _damaged(file.path, error) from error
        self._extra = [name for name in self._schema.names if not name.startswith(_INDEX)]
        self._sources = [self._find(variable.id) for variable in info.dimensions]
        self._value = self._find(VALUE_COLUMN)
        self._tid = self._find_tid(info.time)
        self._dimensions = [
            CodeColumn(name, variable) for name, variable in zip(self._sources, info.dimensions, strict=True)
        ]
        self._time = CodeColumn(self._tid or "TID", info.time)

    def _find(self, name: str) -> str:
        found = self._named(name)
        if len(found) != 1:
            got = f"columns {', '.join(found)} are all {name}" if found else f"there is no column {name}"
            raise self._unusable(f"{got}; it has {', '.join(self._schema.names)}")
        self._extra.remove(found[0])
        return found[0]

    def _named(self, name: str) -> list[str]:
        # a database in between may have folded the name, as ours does
        exact = [column for column in self._schema.names if column.casefold() == name.casefold()]
        return exact or [c for c in self._extra if facts.column_name(c) == facts.column_name(name)]

    def _find_tid(self, time: Variable) -> str | None:
        for name in dict.fromkeys(("TID", time.id)):
            if self._named(name):
                return self._find(name)
        if self.file.period is None:
            raise self._unusable(f"there is no column Tid, nor does its name say the period; it has "
                                 f"{', '.join(self._schema.names)}")  # fmt: skip
        return None

    def _unusable(self, got: str) -> UnexpectedResponse:
        todo = "Nothing of this file was stored. A sync fetches what is still published."
        return UnexpectedResponse("read", on=self.file.name, got=got, todo=todo)

    def survey(self) -> Survey:
        """Read all of it once: every code must be restored, every value be a number, before anything is stored.

        Raises:
            DamagedPartition: the file breaks off.
            UndeclaredCode: a value that cannot be traced to one code.
            InvalidPeriod: a period that cannot be one.
            InvalidValue: a value that is no number.
            UnexpectedResponse: the rows are of another period than the name says.
        """
        distinct: list[dict[Any, None]] = [{} for _ in self._sources]
        tids: Counter[Any] = Counter()
        for batch in self._batches():
            for seen, name in zip(distinct, self._sources, strict=True):
                seen.update(dict.fromkeys(_coded(batch.column(name))[0]))
            self._values(batch)
            if self._tid:
                values, indices = _coded(batch.column(self._tid))
                for value, count in zip(values, np.bincount(indices, minlength=len(values)), strict=True):
                    tids[value] += int(count)
        found = Survey(codes=[column.codes(seen) for column, seen in zip(self._dimensions, distinct, strict=True)])
        found.warnings += [self._withdrawn(*pair) for pair in zip(self._dimensions, found.codes, strict=True)]
        found.tids = self._time.codes(tids)
        for value, code in found.tids.items():
            found.rows[code] += tids[value]
        self._check_name(found)
        if self._extra:
            found.warnings.append(f"columns that the table does not have were left out: {', '.join(self._extra)}")
        found.warnings = [warning for warning in found.warnings if warning]
        return found

    def _withdrawn(self, column: CodeColumn, codes: Codes) -> str:
        gone = column.withdrawn(codes.values())
        return f"{column.name}: codes that are no longer declared: {', '.join(gone)}" if gone else ""

    def _check_name(self, found: Survey) -> None:
        if self.file.period is None:
            return
        period = self._time.codes([self.file.period])[self.file.period]
        others = [code for code in found.rows if code != period]
        if others:
            raise self._unusable(f"it is named for {period} and holds rows of {', '.join(others[:3])}")
        found.rows[period] = self.rows  # also of a period without rows, or without the column

    def pieces(
        self, found: Survey, lists: Sequence[Sequence[str]]
    ) -> Iterator[tuple[list[str], Array, list[Array], Array]]:
        """Read it again, as indices.

        Args:
            found: by the survey.
            lists: per dimension the sorted codes to index.

        Yields:
            Periods; per row the index into these; per dimension and row the index into its list; values (NaN where
            missing).
        """
        maps = [
            {value: index[code] for value, code in codes.items()}
            for codes, index in zip(
                found.codes, ({code: i for i, code in enumerate(one)} for one in lists), strict=True
            )
        ]
        for batch in self._batches():
            columns = []
            for name, ranks in zip(self._sources, maps, strict=True):
                values, indices = _coded(batch.column(name))
                columns.append(np.array([ranks[_key(value)] for value in values], np.uint32)[indices])
            if self._tid:
                values, rows = _coded(batch.column(self._tid))
                yield [found.tids[_key(value)] for value in values], rows, columns, self._values(batch)
            else:
                yield list(found.rows), np.zeros(batch.num_rows, np.int64), columns, self._values(batch)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        names = [*self._sources, *([self._tid] if self._tid else []), self._value]
        texts = [name for name in names[:-1] if _is_text(self._schema.field(name).type)]
        try:
            with pq.ParquetFile(self.file.path, read_dictionary=texts) as opened:
                yield from opened.iter_batches(BATCH_ROWS, columns=names, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.file.path, error) from error

    def _values(self, batch: pa.RecordBatch) -> Array:
        column = _plain(batch.column(self._value))
        kind = column.type
        if _is_text(kind):
            column = self._parsed(column)
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
                  or pa.types.is_null(kind)):  # fmt: skip
            raise self._no_number(f"it holds values of type {kind}")
        values: Array = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        if np.isinf(values).any():
            raise self._no_number("it holds an infinity")
        return values

    def _parsed(self, column: pa.Array) -> pa.Array:
        texts = pc.utf8_trim_whitespace(column)
        missing = pa.array(_MISSING, texts.type)
        texts = pc.if_else(pc.is_in(texts, missing), pa.scalar(None, texts.type), texts)
        fits = pc.fill_null(pc.match_substring_regex(texts, _NUMBER), fill_value=True)
        if not pc.all(fits, min_count=0).as_py():
            wrong = pc.unique(texts.filter(pc.invert(fits))).to_pylist()
            raise self._no_number(f"it holds {', '.join(map(repr, wrong[:3]))}")
        return pc.replace_substring(texts, ",", ".")

    def _no_number(self, got: str) -> InvalidValue:
        todo = "Nothing of this file was stored. A sync fetches what is still published."
        return InvalidValue("read the values of", on=f"{self.file.name}, column {self._value}", got=got, todo=todo)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _coded(column: pa.Array) -> tuple[list[Any], Array]:
    """Distinct values, each once, and each row's index into them; an empty cell is None."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode(null_encoding="encode")
    values = [_key(value) for value in coded.dictionary.to_pylist()]
    indices = coded.indices
    if indices.null_count:
        indices = pc.fill_null(indices.cast(pa.int64()), len(values))
        values.append(None)
    rows: Array = indices.to_numpy(zero_copy_only=False).astype(np.int64)
    used = np.bincount(rows, minlength=len(values)) > 0 if len(rows) else np.zeros(len(values), bool)
    # a dictionary may list values that no row has, and a category nobody is in is no code of this file
    ranks = np.cumsum(used) - 1
    return [value for value, there in zip(values, used, strict=True) if there], ranks[rows] if len(rows) else rows


def _key(value: Any) -> Any:
    """NaN is not equal to itself, so it cannot be looked up; it means the same as an empty cell."""
    return None if value is None or value != value else value


def _damaged(path: Path, error: Exception) -> DamagedPartition:
    return DamagedPartition(
        "read", on=str(path), got=f"no whole parquet file ({error})", todo="Nothing of it was stored; the rest goes on."
    )
