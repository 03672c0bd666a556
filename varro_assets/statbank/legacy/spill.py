"""Spill: the rows of many periods, sorted by period on disk, so that a table of any size passes through little memory.

What belongs here: one file of fixed-width rows per period, appended to and read back as `canonical.Rows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from varro_assets.engine.canonical import Array, Slice, code_type
from varro_assets.engine.disk import space_for
from varro_assets.engine.periods import file_stem

_VALUE = "value"


@dataclass(frozen=True)
class Spill:
    """The rows of one table.

    Attributes:
        folder: empty, of this spill alone.
        lists: per dimension its sorted codes, which rows index.
    """

    folder: Path
    lists: Sequence[Sequence[str]]

    @property
    def _kind(self) -> np.dtype[np.void]:
        columns = [(f"c{number}", code_type(len(codes))) for number, codes in enumerate(self.lists)]
        return np.dtype([*columns, (_VALUE, np.float64)])

    def _path(self, period: str) -> Path:
        return self.folder / f"{file_stem(period)}.rows"

    def add(self, period: str, columns: Sequence[Array], values: Array) -> None:
        """Append rows: per dimension the indices, and the values.

        Raises:
            StorageFull: the disk is full.
        """
        rows = np.empty(len(values), self._kind)
        for number, column in enumerate(columns):
            rows[f"c{number}"] = column
        rows[_VALUE] = values
        with space_for(period, self.folder), self._path(period).open("ab") as stream:
            stream.write(rows.tobytes())

    def rows(self, period: str, names: Sequence[str], time: int) -> SpilledRows:
        """The period's rows.

        Args:
            period: code.
            names: columns as they are stored: dimensions, the period at place ``time``, the value last.
            time: place of the period's column.
        """
        path = self._path(period)
        stored = np.memmap(path, self._kind, "r") if path.is_file() else np.empty(0, self._kind)
        codes = [*self.lists[:time], [period], *self.lists[time:]]
        return SpilledRows(names, codes, len(stored), stored, time)

    def drop(self, period: str) -> None:
        """Give the space back."""
        self._path(period).unlink(missing_ok=True)


@dataclass
class SpilledRows:
    """One period as `canonical.Rows`, mapped from disk."""

    names: Sequence[str]
    codes: Sequence[Sequence[str]]
    count: int
    stored: npt.NDArray[np.void]
    time: int

    def slice(self, start: int, stop: int) -> Slice:
        """Rows `start` to `stop`."""
        part = self.stored[start:stop]
        columns = [np.ascontiguousarray(part[f"c{number}"]) for number in range(len(self.codes) - 1)]
        columns.insert(self.time, np.zeros(len(part), np.uint8))
        return Slice(columns, np.ascontiguousarray(part[_VALUE]))
