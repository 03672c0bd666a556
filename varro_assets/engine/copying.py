"""Copying: record batches as the CSV that Postgres' COPY reads.

What belongs here: the stream. Which rows are copied, and in which transaction, is `period_table`'s.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pacsv

COPY_BUFFER = 1 << 20


class CsvStream:
    """File-like reader over record batches as CSV, one batch in memory at a time."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._pending = memoryview(b"")
        self.error: BaseException | None = None
        """What ended the reading before its end."""

    def readline(self, size: int = -1, /) -> bytes:
        """Not used by COPY."""
        raise NotImplementedError

    def read(self, size: int = COPY_BUFFER, /) -> bytes:
        """The next bytes; empty at the end."""
        try:
            while not self._pending:
                batch = next(self._batches, None)
                if batch is None:
                    return b""
                sink = pa.BufferOutputStream()
                pacsv.write_csv(batch, sink, pacsv.WriteOptions(include_header=False))
                self._pending = memoryview(sink.getvalue())
        except BaseException as error:
            self.error = error
            raise
        head, self._pending = self._pending[:size], self._pending[size:]
        return bytes(head)
