"""The parsed rows of one extract until they are written: in memory up to a budget, past it on disk.

What belongs here: gathering the rows of a period from many blocks. Rows are kept as received; their order is
made by `engine.canonical`.

The temporary file has no name (it is unlinked as soon as it is open), so nothing of it can outlive the
process. It is written one period after the other, so that however the rows are mixed, a period is read back
in a few pieces.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

import numpy as np

from varro_assets.engine.canonical import Array, Slice
from varro_assets.statbank.bulk_blocks import Run

_BUFFER_BYTES = 1 << 20


class _InMemory(NamedTuple):
    """Consecutive rows of one period within a run."""

    columns: list[Array]
    first: int
    rows: int

    def read(self, column: int, start: int, stop: int) -> Array:
        return self.columns[column][self.first + start : self.first + stop]


class _OnDisk(NamedTuple):
    """Rows of one period in the temporary file, one column after the other."""

    descriptor: int
    offsets: list[int]
    types: list[np.dtype[Any]]
    rows: int

    def read(self, column: int, start: int, stop: int) -> Array:
        kind = self.types[column]
        size, offset = (stop - start) * kind.itemsize, self.offsets[column] + start * kind.itemsize
        data = os.pread(self.descriptor, size, offset)
        return np.frombuffer(data, kind)


_Piece = _InMemory | _OnDisk


class Runs:
    """All rows of one extract by period; a context, since it may hold a temporary file.

    Args:
        folder: where the temporary file is made (without a name).
        periods: how many periods there are.
        budget_bytes: memory past which the rows go to disk.
    """

    def __init__(self, folder: Path, periods: int, budget_bytes: int) -> None:
        self._folder, self._budget = folder, budget_bytes
        self._pieces: list[list[_Piece]] = [[] for _ in range(periods)]
        self._in_memory = 0
        self._spill: IO[bytes] | None = None

    def __enter__(self) -> Runs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pieces.clear()
        if self._spill is not None:
            # what a failed write left in the buffer is written again by close(), and fails again
            with suppress(OSError):
                self._spill.close()

    def add(self, run: Run) -> None:
        """Take over the rows of a block.

        Raises:
            OSError: no space on the disk.
        """
        for period, start, stop in run.stretches:
            self._pieces[period].append(_InMemory(run.columns, start, stop - start))
        self._in_memory += run.bytes
        if self._in_memory > self._budget:
            self._to_disk([column.dtype for column in run.columns])
            self._in_memory = 0

    def pop(self, period: int) -> list[_Piece]:
        """The period's pieces; they are forgotten here."""
        pieces, self._pieces[period] = self._pieces[period], []
        return pieces

    def _to_disk(self, types: list[np.dtype[Any]]) -> None:
        if self._spill is None:
            # lives as long as this object, closed in __exit__
            self._spill = tempfile.TemporaryFile(dir=self._folder, buffering=_BUFFER_BYTES)  # noqa: SIM115
        for pieces in self._pieces:
            held = [piece for piece in pieces if isinstance(piece, _InMemory)]
            if held:
                pieces[-len(held) :] = [self._written(self._spill, held, types)]
        self._spill.flush()

    @staticmethod
    def _written(file: IO[bytes], held: list[_InMemory], types: list[np.dtype[Any]]) -> _OnDisk:
        """Write the pieces as one; they are always the last of their period."""
        offsets = []
        for column in range(len(types)):
            offsets.append(file.tell())
            for piece in held:
                file.write(np.ascontiguousarray(piece.read(column, 0, piece.rows)).data)
        return _OnDisk(file.fileno(), offsets, types, sum(piece.rows for piece in held))


class PeriodRows:
    """The rows of one period as `engine.canonical.Rows`, with the time as a column of its own.

    Args:
        columns: the header.
        codes: per code column of the header, the time included, its codes.
        time: position of the time among them.
        pieces: where the rows are.
    """

    def __init__(
        self, columns: Sequence[str], codes: Sequence[Sequence[str]], time: int, pieces: Sequence[_Piece]
    ) -> None:
        self.names, self.codes = columns, codes
        self.count = sum(piece.rows for piece in pieces)
        self._time, self._pieces = time, pieces

    def slice(self, start: int, stop: int) -> Slice:
        """Rows `start` to `stop`, as received."""
        parts: list[tuple[_Piece, int, int]] = []
        first = 0
        for piece in self._pieces:
            begin, end = max(start - first, 0), min(stop - first, piece.rows)
            if begin < end:
                parts.append((piece, begin, end))
            first += piece.rows
        columns = [
            _joined([piece.read(number, begin, end) for piece, begin, end in parts])
            for number in range(len(self.names) - 1)
        ]
        values = columns.pop()
        columns.insert(self._time, np.zeros(stop - start, np.uint8))
        return Slice(columns, values)


def _joined(arrays: list[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
