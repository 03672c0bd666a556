"""BULK bodies for the benchmark: deterministic, in StatBank's natural order, as large as asked.

What belongs here: the made table (its code lists have leading zeros, some of its combinations are not stored, some of
its values are `..`), the file that holds it, and what any correct reading of it must find.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TABLE = "BENCH1"
STORED = 0.914  # of all combinations of codes
MISSING = 0.01  # of the stored ones
POOL = 100_000  # different values, drawn from with repetition
AREAS = ["000", *(f"{81 + number:03}" for number in range(104))]
SEXES = ["K", "M", "TOT"]
STATUSES = ["05", "10", "15", "20", "TOT"]
COLUMNS = ("OMRÅDE", "BRANCHE", "KØN", "SOCIO", "TID", "INDHOLD")


@dataclass(frozen=True)
class Size:
    """How much: industries and months of the made table."""

    industries: int
    months: int

    @property
    def codes(self) -> dict[str, list[str]]:
        industries = [f"{number * 900 + 1000:05}" for number in range(self.industries - 1)] + ["TOT"]
        return dict(zip(COLUMNS, (AREAS, industries, SEXES, STATUSES), strict=False))

    @property
    def periods(self) -> list[str]:
        return [f"{2008 + number // 12}M{number % 12 + 1:02}" for number in range(self.months)]


SIZES = {"small": Size(14, 20), "4m": Size(14, 200), "30m": Size(104, 200)}


@dataclass(frozen=True)
class Facts:
    """What is in the file."""

    rows: int
    nulls: int
    total: float
    leading_zeros: int  # rows whose OMRÅDE begins with 0
    bytes: int


def make(path: Path, size: Size) -> Facts:
    """Write the body, time slowest, each code list in the order of its texts; returns what it holds."""
    chance = np.random.default_rng(20_240_101)
    keys = np.array([";".join(key) for key in itertools.product(*size.codes.values())])
    zero = np.char.startswith(keys, "0")
    numbers = np.round(np.exp(chance.normal(4, 2, POOL)), 0)
    numbers[: POOL // 10] = np.round(numbers[: POOL // 10] / 7, 1)
    texts = pa.array([f"{number:.1f}".removesuffix(".0").replace(".", ",") + "\r\n" for number in numbers] + ["..\r\n"])
    keys_text = pa.array(keys)
    drawn, zeros = np.zeros(POOL + 1, np.int64), 0
    with path.open("wb") as file:
        file.write((";".join(COLUMNS) + "\r\n").encode())
        for period in size.periods:
            stored = np.flatnonzero(chance.random(len(keys)) < STORED)
            values = chance.integers(0, POOL, len(stored))
            values[chance.random(len(stored)) < MISSING] = POOL
            drawn += np.bincount(values, minlength=POOL + 1)
            zeros += int(zero[stored].sum())
            lines = pc.binary_join_element_wise(keys_text.take(stored), period, texts.take(values), ";")
            file.write(lines.buffers()[2].slice(0, lines.offset + pc.sum(pc.binary_length(lines)).as_py()))
    total = math.fsum((drawn[:POOL] * numbers).tolist())
    return Facts(int(drawn.sum()), int(drawn[POOL]), total, zeros, path.stat().st_size)


def main() -> None:
    """`python -m benchmarks.bulk_data SIZE FILE`: write the file, print its facts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    print(json.dumps(asdict(make(arguments.file, SIZES[arguments.size]))))


if __name__ == "__main__":
    main()
