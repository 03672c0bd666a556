"""Partitions for the load benchmark: deterministic, each period as many rows of the same table, two revisions of four.

What belongs here: the made table (four columns of codes, some with leading zeros; one value in a hundred is missing),
the partitions as the product stores them, the same rows as text for psql, and what any correct load of them must hold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from varro_assets.engine import partition_files
from varro_assets.engine.canonical import Slice
from varro_assets.engine.partition_files import Origin
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.period_table import Column, Load, PeriodTable
from varro_assets.engine.periods import TidType, parse

TABLE = "BENCH2"
CODES = {
    "OMRÅDE": ["000", *(f"{81 + number:03}" for number in range(104))],
    "ALDER": sorted([*(f"{age}-{age + 4}" for age in range(0, 100, 5)), "TOT"]),
    "BRANCHE": [f"{number:02}" for number in range(1, 25)],
    "HERKOMST": [str(number) for number in range(5100, 5120)],
}
SOURCE_COLUMNS = (*CODES, "INDHOLD")
TARGET_COLUMNS = ("omrade", "alder", "branche", "herkomst", "tid", "indhold")
SHAPE = "bench"
ORIGIN = Origin("2025-01-01T08:00:00", SHAPE, "2025-01-01T08:00:01+00:00")
MISSING = 0.01
REVISIONS = (0, 1)
REPLACED = 4


@dataclass(frozen=True)
class Size:
    """How much: periods and rows of each."""

    quarters: int
    rows: int

    @property
    def periods(self) -> list[str]:
        return [f"{1975 + number // 4}K{number % 4 + 1}" for number in range(self.quarters)]

    @property
    def replaced(self) -> list[str]:
        """The newest ones, which a publisher revises."""
        return self.periods[-REPLACED:]


SIZES = {"small": Size(12, 700), "4m": Size(200, 21_000)}


@dataclass(frozen=True)
class Facts:
    """What a set of periods holds."""

    rows: int = 0
    nulls: int = 0
    halves: int = 0  # sum of the values, each a multiple of a half: exact in any order of adding
    leading_zeros: int = 0  # rows whose OMRÅDE begins with 0

    @classmethod
    def of_all(cls, parts: Iterable[Facts]) -> Facts:
        return cls(*map(sum, zip(*map(astuple, parts), strict=True)))


@dataclass(frozen=True)
class Made:
    """Rows of one period, as `partition_files.write` takes them."""

    columns: list[np.ndarray]
    values: np.ndarray
    names: Sequence[str] = SOURCE_COLUMNS
    codes: Sequence[Sequence[str]] = tuple(CODES.values())

    @property
    def count(self) -> int:
        return len(self.values)

    def slice(self, start: int, stop: int) -> Slice:
        return Slice([column[start:stop] for column in self.columns], self.values[start:stop])

    @property
    def facts(self) -> Facts:
        zero = np.array([code.startswith("0") for code in CODES["OMRÅDE"]])
        missing = np.isnan(self.values)
        halves = int((self.values[~missing] * 2).astype(np.int64).sum())
        return Facts(self.count, int(missing.sum()), halves, int(zero[self.columns[0]].sum()))


def table(name: str) -> PeriodTable:
    """The Postgres table: as many btrees as columns of codes, and one on tid."""
    columns = tuple(
        Column(target, source, indexed=True)
        for target, source in zip(TARGET_COLUMNS, SOURCE_COLUMNS[:-1], strict=False)
    )
    return PeriodTable("fact", name, name, SHAPE, columns, TidType.DATE, "INDHOLD", comment="Made for the benchmark")


def tid(period: str) -> str:
    """What stands in the tid column."""
    return parse(period).database_value(TidType.DATE)


def store(folder: Path, revision: int | None = None) -> PartitionStore:
    """All periods, or a revision of the last ones."""
    return PartitionStore(folder / ("held" if revision is None else f"revision-{revision}"), TABLE)


def loads(partitions: PartitionStore) -> list[Load]:
    """Every period there."""
    return [Load(info, tid(period)) for period, info in partitions.infos().items()]


def make(folder: Path, size: Size) -> dict[str, Any]:
    """Write everything into the folder; returns what a table must hold, by what was loaded last.

    ``since`` is the first day of what is loaded.
    """
    held = _write(folder, size, None, size.periods)
    facts = {"held": held}
    for revision in REVISIONS:
        # a revision has other values, and other rows
        facts[f"revision-{revision}"] = held | _write(folder, size, revision, size.replaced)
    since = {"held": size.periods[0]}
    return {
        name: {**asdict(Facts.of_all(parts.values())), "since": tid(since.get(name, size.replaced[0]))}
        for name, parts in facts.items()
    }


def _write(folder: Path, size: Size, revision: int | None, periods: Iterable[str]) -> dict[str, Facts]:
    partitions, facts = store(folder, revision), {}
    partitions.folder.mkdir(parents=True)
    with partitions.folder.with_suffix(".csv").open("wb") as text:
        for period in periods:
            rows = _rows(size, period, revision)
            facts[period] = rows.facts
            partition_files.write(partitions.path(period), TABLE, period, rows, ORIGIN)
            _write_text(text, rows, period)
    return facts


def _rows(size: Size, period: str, revision: int | None) -> Made:
    chance = np.random.default_rng([int(period.replace("K", "")), 9 if revision is None else revision])
    sizes = [len(codes) for codes in CODES.values()]
    keys = np.sort(chance.choice(np.prod(sizes), size.rows, replace=False))
    values = np.round(2 * np.exp(chance.normal(4, 2, size.rows))) / 2
    values[chance.random(size.rows) < MISSING] = np.nan
    return Made(list(np.unravel_index(keys, sizes)), values)


def _write_text(text: BinaryIO, rows: Made, period: str) -> None:
    codes = [
        pa.DictionaryArray.from_arrays(pa.array(column), pa.array(values)).cast(pa.string())
        for column, values in zip(rows.columns, rows.codes, strict=True)
    ]
    tids = pa.repeat(pa.scalar(tid(period)), rows.count)
    batch = pa.RecordBatch.from_arrays([*codes, tids, pa.array(rows.values, from_pandas=True)], TARGET_COLUMNS)
    arrow_csv.write_csv(batch, text, arrow_csv.WriteOptions(include_header=False))


def main() -> None:
    """`python -m benchmarks.load_data SIZE FOLDER`: write the partitions, print the facts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    print(json.dumps(make(arguments.folder, SIZES[arguments.size])))


if __name__ == "__main__":
    main()
