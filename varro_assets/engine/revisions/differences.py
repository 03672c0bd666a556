"""Differences: what changed between two contents of one period.

What belongs here: comparing the rows of two period files by their codes, and applying the changed cells to a content,
backwards or forwards. Pure: files and tables in, counts, cells and tables out. Who keeps the cells is the `ledger`.

Cells are a table: the code columns under their own names, then ``old`` and ``new`` (doubles, NULL where missing or
absent) and ``change``: *changed*, *added* or *removed*. So a row that is absent and a row whose value is missing
differ. Rows and cells lie in canonical order (see `canonical`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from varro_assets.engine.canonical import Array, code_type, take
from varro_assets.engine.content import TableRows
from varro_assets.errors import DamagedPartition

OLD, NEW, CHANGE = "old", "new", "change"
CHANGED, ADDED, REMOVED = "changed", "added", "removed"
_KINDS = (ADDED, CHANGED, REMOVED)
_LEDGER_COLUMNS = 3
_LARGEST_KEY = 2**62


@dataclass(frozen=True)
class Difference:
    """How much of a period changed.

    Attributes:
        rows_added: combinations of codes that had no row before.
        rows_removed: combinations of codes that have no row any more.
        values_changed: rows in both whose value differs; a number that became missing (NULL) or was missing counts.
        largest_change: the largest absolute difference of two numbers; None if no number changed into another.
    """

    rows_added: int = 0
    rows_removed: int = 0
    values_changed: int = 0
    largest_change: float | None = None


def total(found: Iterable[Difference]) -> Difference:
    """Of several periods together."""
    found = list(found)
    return Difference(
        sum(one.rows_added for one in found),
        sum(one.rows_removed for one in found),
        sum(one.values_changed for one in found),
        max((one.largest_change for one in found if one.largest_change is not None), default=None),
    )


@dataclass(frozen=True)
class _Keyed:
    """Rows whose codes are indices into lists that both sides share, and their keys: a smaller key comes first."""

    columns: list[Array]
    values: npt.NDArray[np.float64]
    keys: npt.NDArray[np.int64]


def contents(path: Path) -> pa.Table:
    """The rows of a period file: codes as dictionaries of strings, then the value.

    Raises:
        DamagedPartition: the file cannot be read, or its pages do not match their checksums.
    """
    names = columns(path)
    try:
        with pq.ParquetFile(path, read_dictionary=names[:-1], page_checksum_verification=True) as file:
            return file.read()
    except (OSError, pa.ArrowException) as error:
        raise _unfit(str(path), str(error)) from error


def columns(path: Path) -> list[str]:
    """Names of the code columns, then of the value.

    Raises:
        DamagedPartition: the file cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            return list(file.schema_arrow.names)
    except (OSError, pa.ArrowException) as error:
        raise _unfit(str(path), str(error)) from error


def compare(old: Path, new: Path, codes: Sequence[str], value: str) -> tuple[Difference, pa.Table]:
    """What changed from one period file to another of the same columns.

    Numbers are compared by value (0.0 is -0.0); missing equals missing. Memory: the rows of both as integers, and
    eight bytes more for each.

    Args:
        old: file of the earlier content.
        new: file of the later one.
        codes: names of the code columns, in order.
        value: name of the value column.

    Raises:
        DamagedPartition: a file cannot be read, has other columns, or repeats a combination of codes.
    """
    rows = []
    for path in (old, new):
        table = contents(path)
        if table.column_names != [*codes, value]:
            raise _unfit(str(path), f"its columns are {', '.join(table.column_names)}")
        rows.append(TableRows.of(table, str(path)))
    lists, before, after = _keyed(rows[0], rows[1], f"{old} and {new}")
    left, right = _pairs(before.keys, after.keys)
    was, now = before.values[left], after.values[right]
    moved = ~((was == now) | (np.isnan(was) & np.isnan(now)))
    gone, come = _others(len(before.keys), left), _others(len(after.keys), right)
    changed, into = left[moved], right[moved]
    return (
        Difference(len(come), len(gone), len(changed), _largest(was[moved], now[moved])),
        _cells(codes, lists, before, after, gone, come, changed, into),
    )


def removal(old: Path) -> tuple[Difference, pa.Table]:
    """The whole content of a period file, as cells that were removed.

    Raises:
        DamagedPartition: as `compare`.
    """
    table = contents(old)
    rows = TableRows.of(table, str(old))
    nothing = TableRows.of(table.slice(0, 0), str(old))
    lists, before, after = _keyed(rows, nothing, str(old))
    none = np.empty(0, np.intp)
    every = np.arange(rows.count)
    cells = _cells(table.column_names[:-1], lists, before, after, every, none, none, none)
    return Difference(rows_removed=rows.count), cells


def backwards(content: pa.Table | None, cells: pa.Table, value: str) -> pa.Table:
    """The earlier content: the later one with every change taken back.

    Args:
        content: the later content; None if there was none, or one of other columns.
        cells: as `compare` and `removal` return them.
        value: name of the value column.

    Raises:
        DamagedPartition: the cells are not of this content.
    """
    return _applied(content, cells, value, vanish=ADDED, appear=REMOVED, column=-_LEDGER_COLUMNS)


def forwards(content: pa.Table | None, cells: pa.Table, value: str) -> pa.Table:
    """The later content: the earlier one with every change made.

    Raises:
        DamagedPartition: the cells are not of this content.
    """
    return _applied(content, cells, value, vanish=REMOVED, appear=ADDED, column=1 - _LEDGER_COLUMNS)


def _applied(
    content: pa.Table | None, cells: pa.Table, value: str, *, vanish: str, appear: str, column: int
) -> pa.Table:
    codes = cells.column_names[:-_LEDGER_COLUMNS]
    if content is None:
        content = pa.table([*(pa.array([], pa.string()) for _ in codes), pa.array([], pa.float64())], [*codes, value])
    on = "the changed cells"
    if content.column_names != [*codes, value]:
        raise _unfit(on, f"they are of columns {', '.join(codes)}")
    target = pa.table([*cells.columns[: len(codes)], cells.column(cells.num_columns + column)], [*codes, value])
    lists, base, other = _keyed(TableRows.of(content, on), TableRows.of(target, on), on)
    change = np.array(cells.column(-1).cast(pa.string()).to_pylist(), object)
    left, right = _pairs(base.keys, other.keys)
    found = np.zeros(len(other.keys), bool)
    found[right] = True
    if not np.array_equal(found, change != appear):
        raise _unfit(on, "they are of another content")
    values = base.values.copy()
    values[left] = other.values[right]
    stays = np.ones(len(base.keys), bool)
    stays[left[change[right] == vanish]] = False
    comes = ~found
    order = np.argsort(np.concatenate((base.keys[stays], other.keys[comes])), kind="stable")
    columns = [
        np.concatenate((mine[stays], theirs[comes]))[order]
        for mine, theirs in zip(base.columns, other.columns, strict=True)
    ]
    values = np.concatenate((values[stays], other.values[comes]))[order]
    return pa.table([*map(_texts, columns, lists), pa.array(values, from_pandas=True)], [*codes, value])


def _cells(
    codes: Sequence[str],
    lists: Sequence[Sequence[str]],
    before: _Keyed,
    after: _Keyed,
    gone: Array,
    come: Array,
    changed: Array,
    into: Array,
) -> pa.Table:
    """The cells: of ``before`` the rows ``gone`` and ``changed``, of ``after`` the rows ``come`` and ``into``."""
    order = np.argsort(np.concatenate((before.keys[gone], after.keys[come], before.keys[changed])), kind="stable")
    columns = [
        np.concatenate((old[gone], new[come], old[changed]))[order]
        for old, new in zip(before.columns, after.columns, strict=True)
    ]
    blank = np.full(max(len(gone), len(come)), np.nan)
    was = np.concatenate((before.values[gone], blank[: len(come)], before.values[changed]))[order]
    now = np.concatenate((blank[: len(gone)], after.values[come], after.values[into]))[order]
    kinds = np.repeat(
        np.array([_KINDS.index(REMOVED), _KINDS.index(ADDED), _KINDS.index(CHANGED)], np.uint8),
        (len(gone), len(come), len(changed)),
    )[order]
    numbers = (pa.array(was, from_pandas=True), pa.array(now, from_pandas=True))
    return pa.table([*map(_texts, columns, lists), *numbers, _texts(kinds, _KINDS)], [*codes, *ledger_columns(codes)])


def ledger_columns(codes: Sequence[str]) -> list[str]:
    """``old``, ``new`` and ``change``, with an underscore more where a code column has that name."""
    names = []
    for wanted in (OLD, NEW, CHANGE):
        name = wanted
        while name in codes:
            name = f"_{name}"
        names.append(name)
    return names


def _keyed(one: TableRows, two: TableRows, on: str) -> tuple[list[list[str]], _Keyed, _Keyed]:
    """Both sides by the same lists of codes, with keys that order them canonically."""
    lists, mine, theirs = [], [], []
    first = np.zeros(one.count, np.int64)
    second = np.zeros(two.count, np.int64)
    size = 1
    for codes, others, left, right in zip(one.codes, two.codes, one.all.columns, two.all.columns, strict=True):
        merged = sorted({*codes, *others})
        rank = {code: place for place, code in enumerate(merged)}
        kind = code_type(len(merged))
        mine.append(take(np.array([rank[code] for code in codes], kind), left))
        theirs.append(take(np.array([rank[code] for code in others], kind), right))
        if size * max(len(merged), 1) > _LARGEST_KEY:
            first, second, size = _narrowed(first, second)
        first = first * len(merged) + mine[-1]
        second = second * len(merged) + theirs[-1]
        size *= max(len(merged), 1)
        lists.append(merged)
    ordered = (_in_order(mine, one.all.values, first, on), _in_order(theirs, two.all.values, second, on))
    return lists, *ordered


def _narrowed(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """The keys as ranks among those there are: the product of all code lists may be past 64 bits."""
    distinct, ranks = np.unique(np.concatenate((first, second)), return_inverse=True)
    ranks = ranks.astype(np.int64, copy=False)
    return ranks[: len(first)], ranks[len(first) :], max(len(distinct), 1)


def _in_order(columns: list[Array], values: npt.NDArray[np.float64], keys: npt.NDArray[np.int64], on: str) -> _Keyed:
    if np.all(keys[1:] > keys[:-1]):
        return _Keyed(columns, values, keys)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    if not np.all(keys[1:] > keys[:-1]):
        raise _unfit(on, "rows repeat the codes of others")
    return _Keyed([column[order] for column in columns], values[order], keys)


def _pairs(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Places of the keys that both sides have, in both; ascending."""
    place = np.searchsorted(second, first)
    within = np.nonzero(place < len(second))[0]
    left = within[second[place[within]] == first[within]]
    return left, place[left]


def _others(count: int, places: Array) -> Array:
    """The places that are not among those given."""
    rest = np.ones(count, bool)
    rest[places] = False
    return np.nonzero(rest)[0]


def _largest(was: npt.NDArray[np.float64], now: npt.NDArray[np.float64]) -> float | None:
    with np.errstate(over="ignore", invalid="ignore"):
        changes = np.abs(now - was)
    numbers = changes[~np.isnan(changes)]
    return float(numbers.max()) if len(numbers) else None


def _texts(ranks: Array, codes: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(ranks), pa.array(codes, pa.string()), safe=False)


def _unfit(on: str, got: str) -> DamagedPartition:
    return DamagedPartition("compare the content of", on=on, got=got, todo="Fetch the period again.")
