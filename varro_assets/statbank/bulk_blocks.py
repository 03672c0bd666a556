"""Blocks of BULK lines -> columns of integers.

What belongs here: parsing whole lines with Arrow, checking codes, periods and values against what was asked,
and the message when a line is not what it should be. Where the parsed rows go is in `bulk_runs`.

Each block is parsed straight into dictionaries; codes are checked and renumbered per *distinct* code of the
block, so the cost of strictness does not grow with the rows. Code numbers are positions in the sorted list of
codes asked for, thus the same in all blocks and in the order of `engine.canonical`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from varro_assets.engine.canonical import Array, code_type, take
from varro_assets.errors import InvalidValue, UndeclaredCode, UnexpectedResponse, VarroError
from varro_assets.statbank.models import TIME_COLUMN as TIME
from varro_assets.statbank.models import VALUE_COLUMN as VALUE

MISSING = ".."
_BOM = b"\xef\xbb\xbf"
# blanks around a number are not held against it (Arrow strips them)
_NUMBER = re.compile(rb"[ \t]*[+-]?(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?[ \t]*", re.ASCII)
_REPORT = "Nothing was replaced. Report it: the publisher's data or the API has changed."


@dataclass(frozen=True)
class Run:
    """The rows of one block, sorted by period.

    Attributes:
        columns: code numbers per code column (without the time), then the values, NaN where missing.
        stretches: (number of the period, first row, row after the last).
    """

    columns: list[Array]
    stretches: list[tuple[int, int, int]]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.columns[-1])

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(column.nbytes for column in self.columns)


class BlockParser:
    """Parses blocks of one extract; may be called from several threads at once.

    Args:
        columns: the header: code columns and the time in any order, then the value.
        codes: per code column its allowed codes, sorted and distinct.
        periods: the allowed periods.
        on: the extract's name for messages.
    """

    def __init__(
        self, columns: Sequence[str], codes: Mapping[str, Sequence[str]], periods: Sequence[str], on: str
    ) -> None:
        self._columns, self._on = list(columns), on
        self._numbers = {
            name: {code: number for number, code in enumerate(periods if name == TIME else codes[name])}
            for name in columns[:-1]
        }
        text = pa.dictionary(pa.int32(), pa.string())
        self._parsing = arrow_csv.ParseOptions(delimiter=";", quote_char=False, ignore_empty_lines=False)
        self._conversion = arrow_csv.ConvertOptions(
            column_types={name: pa.float64() if name == VALUE else text for name in columns},
            null_values=[MISSING],
            strings_can_be_null=False,
            decimal_point=",",
            check_utf8=False,  # done per distinct code
        )

    def __call__(self, block: bytes) -> Run:
        """Parse whole lines.

        Raises:
            UnexpectedResponse: a line with too few or too many fields, or not UTF-8.
            InvalidValue: a value that is neither a number nor `..`.
            UndeclaredCode: a code or period that was not asked for.
        """
        batch = self._parse(block)
        order, stretches = self._by_period(self._codes(batch, TIME, block))
        columns = [self._codes(batch, name, block) for name in self._columns[:-1] if name != TIME]
        columns.append(self._values(batch, block))
        return Run([column if order is None else column.take(order) for column in columns], stretches)

    def _parse(self, block: bytes) -> pa.RecordBatch:
        if block.startswith(_BOM):
            block = _BOM + block  # Arrow takes one off, as if this were the start of a file
        # one Arrow block per block of ours: then every column has one dictionary
        reading = arrow_csv.ReadOptions(column_names=self._columns, block_size=len(block) + 1, use_threads=False)
        try:
            table = arrow_csv.read_csv(pa.BufferReader(block), reading, self._parsing, self._conversion)
        except pa.ArrowInvalid as error:
            raise self._diagnosis(block, str(error)) from error
        (batch,) = table.combine_chunks().to_batches()
        return batch

    def _codes(self, batch: pa.RecordBatch, name: str, block: bytes) -> Array:
        """The column as positions in the list of codes asked for."""
        column, numbers = batch.column(name), self._numbers[name]
        try:
            received = column.dictionary.to_pylist()
        except UnicodeDecodeError as error:
            raise self._diagnosis(block, str(error)) from error
        try:
            table = np.array([numbers[code] for code in received], code_type(len(numbers)))
        except KeyError:
            strange = [code for code in received if code not in numbers]
            raise UndeclaredCode(
                "take over the data of",
                on=self._on,
                got=f"column {name} holds {len(strange)} codes that were not asked for: {strange[:5]}",
                todo=_REPORT,
            ) from None
        return take(table, column.indices.to_numpy())

    def _values(self, batch: pa.RecordBatch, block: bytes) -> Array:
        column = batch.column(VALUE)
        values: Array = column.to_numpy(zero_copy_only=False)
        # Arrow reads "nan", "inf" and 1e999 as numbers; only `..` may be no finite one
        if np.count_nonzero(np.isfinite(values)) != len(values) - column.null_count:
            raise self._diagnosis(block, "a value that is not finite")
        return values

    @staticmethod
    def _by_period(times: Array) -> tuple[Array | None, list[tuple[int, int, int]]]:
        """The order that sorts the rows by period (None if they are), and where each period then lies."""
        order = None
        if (times[1:] < times[:-1]).any():
            order = np.argsort(times, kind="stable")
            times = times.take(order)
        starts = [0, *(np.flatnonzero(times[1:] != times[:-1]) + 1).tolist()]
        stops = [*starts[1:], len(times)]
        return order, list(zip(times[starts].tolist(), starts, stops, strict=True))

    def _diagnosis(self, block: bytes, otherwise: str) -> VarroError:
        """The error for a block that Arrow refused, naming the first line at fault."""
        for line in block.removesuffix(b"\n").split(b"\n"):
            if error := self._fault(line.removesuffix(b"\r")):
                return error
        return UnexpectedResponse("read the data of", on=self._on, got=otherwise, todo=_REPORT)

    def _fault(self, line: bytes) -> VarroError | None:
        shown = line[:200].decode(errors="replace")
        fields = line.split(b";")
        if len(fields) != len(self._columns):
            got = f"a line of {len(fields)} fields, not {len(self._columns)}: {shown!r}"
            return UnexpectedResponse("read the data of", on=self._on, got=got, todo=_REPORT)
        if not _is_utf8(line):
            return UnexpectedResponse("read the data of", on=self._on, got=f"no UTF-8: {shown!r}", todo=_REPORT)
        if not _is_value(fields[-1]):
            got = f"column {VALUE} is neither a number nor `{MISSING}` in the line {shown!r}"
            return InvalidValue("take over the data of", on=self._on, got=got, todo=_REPORT)
        return None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_value(field: bytes) -> bool:
    if field == MISSING.encode():
        return True
    return bool(_NUMBER.fullmatch(field)) and math.isfinite(float(field.replace(b",", b".")))
