"""Canonical order: the one order in which the rows of a period are hashed and stored.

What belongs here: rows as integer codes, which codes of a period are present, strictly ascending order by
code, and the discovery of duplicate keys. What is made of the ordered rows (a hash, a file) is decided by
`content` and `partition_files`.

Rows are ordered by their codes, column by column from the left, each by its text (code points, which is also
the byte order of UTF-8). No two rows of a period may share all their codes, so the order is total and there
is exactly one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from varro_assets.errors import DuplicateKeys

Array = npt.NDArray[Any]

# Rows handled at a time: bounds the memory of a period that already lies in order, whatever its size.
SLICE_ROWS = 1 << 20
# A period past this size that must be sorted is held whole, so only one at a time is.
_sorting_large = threading.Lock()


class Slice(NamedTuple):
    """Consecutive rows: a column of integer codes per code column, and the values (NaN where missing)."""

    columns: list[Array]
    values: npt.NDArray[np.float64]


class Rows(Protocol):
    """The rows of one period, in any order, each code an index into its column's list.

    Attributes:
        names: names of the code columns, then of the value column.
        codes: per code column its distinct codes, sorted; it may list codes that no row has.
        count: number of rows.
    """

    names: Sequence[str]
    codes: Sequence[Sequence[str]]
    count: int

    def slice(self, start: int, stop: int) -> Slice:
        """Rows `start` to `stop`, as received."""
        ...


def code_type(count: int) -> npt.DTypeLike:
    """Narrowest unsigned integer for indices into a list of that length."""
    return np.uint8 if count <= 1 << 8 else np.uint16 if count <= 1 << 16 else np.uint32


def take(table: Array, indices: Array) -> Array:
    """`table[indices]`, through Arrow.

    Arrow, unlike numpy, neither widens the indices to 64 bits nor holds the interpreter's lock. The indices are not
    checked: the caller vouches that every one lies in the table.
    """
    taken = pc.take(pa.array(table), pa.array(indices), boundscheck=False)
    result: Array = taken.to_numpy(zero_copy_only=False)
    return result


class Canonical:
    """The rows of one period in canonical order, coded by the codes present.

    Attributes:
        names: names of the code columns, then of the value column.
        codes: per code column the sorted codes that at least one row has.
        count: number of rows.
        nulls: rows whose value is missing.

    Raises (at construction):
        DuplicateKeys: two rows share all their codes.
    """

    def __init__(self, rows: Rows, on: str) -> None:
        self.names, self.count, self.nulls = rows.names, rows.count, 0
        self._on = on
        self._rows = rows
        self._held: Slice | None = None
        # a column of one code need not be looked through
        present = [np.full(len(codes), len(codes) == 1 and rows.count > 0) for codes in rows.codes]
        if not self._survey(present):
            self._held = self._in_order()
        self.codes: list[Sequence[str]] = [
            codes if flags.all() else [code for code, there in zip(codes, flags, strict=True) if there]
            for codes, flags in zip(rows.codes, present, strict=True)
        ]
        self._ranks = [None if flags.all() else _ranks(flags) for flags in present]

    def slices(self) -> Iterator[Slice]:
        """The rows in order, at most `SLICE_ROWS` at a time; a code is its rank among the codes present."""
        for start in range(0, self.count, SLICE_ROWS):
            stop = min(start + SLICE_ROWS, self.count)
            columns, values = self._slice(start, stop)
            ranked = [
                column if ranks is None else take(ranks, column)
                for column, ranks in zip(columns, self._ranks, strict=True)
            ]
            yield Slice(
                [
                    column.astype(code_type(len(codes)), copy=False)
                    for column, codes in zip(ranked, self.codes, strict=True)
                ],
                values,
            )

    def _slice(self, start: int, stop: int) -> Slice:
        if self._held is None:
            return self._rows.slice(start, stop)
        return Slice([column[start:stop] for column in self._held.columns], self._held.values[start:stop])

    def _survey(self, present: list[Array]) -> bool:
        """Note the codes present and count the missing values; whether the rows already ascend strictly."""
        ascending, last = True, None
        for start in range(0, self.count, SLICE_ROWS):
            found = self._rows.slice(start, min(start + SLICE_ROWS, self.count))
            for flags, column in zip(present, found.columns, strict=True):
                if not flags.all():
                    np.logical_or(flags, np.bincount(column, minlength=len(flags)), out=flags)
            self.nulls += int(np.count_nonzero(np.isnan(found.values)))
            ascending = ascending and _ascends(found.columns, last)
            last = [column[-1:] for column in found.columns]
            if self.count <= SLICE_ROWS:
                self._held = found
        return ascending

    def _in_order(self) -> Slice:
        if self.count <= SLICE_ROWS:
            return self._sorted()
        with _sorting_large:
            return self._sorted()

    def _sorted(self) -> Slice:
        columns, values = self._held or self._rows.slice(0, self.count)
        # lexsort takes its main key last; with 8 and 16 bit keys numpy sorts by radix
        order = np.lexsort(columns[::-1])
        columns = [column.take(order) for column in columns]
        if not _ascends(columns, None):
            self._refuse_duplicate(columns)
        return Slice(columns, values.take(order))

    def _refuse_duplicate(self, columns: list[Array]) -> None:
        same = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
        first = int(np.argmax(same))
        key = ", ".join(
            f"{name}={codes[int(column[first])]}"
            for name, codes, column in zip(self.names, self._rows.codes, columns, strict=False)
        )
        raise DuplicateKeys(
            "store the rows of",
            on=self._on,
            got=f"{int(np.count_nonzero(same))} rows repeat the codes of another, the first at {key}",
            todo="Nothing was replaced. If it stays so, report it to the publisher.",
        )


def _ascends(columns: list[Array], last: list[Array] | None) -> bool:
    """Whether each row is greater than the one before, and the first greater than `last`."""
    if last is not None:
        head = [np.concatenate((before, column[:1])) for before, column in zip(last, columns, strict=True)]
        if not _ascends(head, None):
            return False
    # from the right: a row is greater if this column is, or if it is equal and those to its right are greater
    greater = np.zeros(max(len(columns[0]) - 1, 0), bool)
    for column in reversed(columns):
        before, after = column[:-1], column[1:]
        greater &= before == after
        greater |= after > before
    return bool(greater.all())


def _ranks(flags: Array) -> Array:
    """From an index into the full list to the rank among the codes present (anything for the absent)."""
    ranks: Array = (np.cumsum(flags) - 1).clip(0).astype(code_type(int(flags.sum())))
    return ranks
