"""The content hash: what the rows of a period say, and nothing of how they are stored.

What belongs here: the byte layout of the hash, and the hash of a stored parquet file (for `varro doctor` and
tests).

A period is written to the warehouse only if its hash changed, so the hash must not move with anything that is
not content: not row order, dictionary order, parquet encoding, nor the version of a library. It must move
with every change of a cell, with NULL against 0, with code `00` against `0` and with a column's name.

Hashing each row as text would do but costs more than parsing it. Instead, rows are put into canonical order
(see `canonical`), each column is replaced by the sorted list of the codes present in the period, hashed once,
and by the rank of each row's code in it, one to four bytes. List and ranks together say exactly what the
column of strings says, so nothing is lost. Columns are hashed apart and their digests hashed together: thus a
large period can be fed in slices.

Layout, version 1::

    H           = BLAKE2b-256; integers are unsigned and little-endian
    texts(t..)  = number of texts:8, length in bytes:8 of each, then all of them in UTF-8
    code column = H( texts(name) texts(codes) rank:w of each row )     w = 1, 2, 4: codes <= 2^8, 2^16, 2^32
    values      = H( texts(name) float64 of each row )     -0.0 as 0.0, NULL as the NaN 0x7ff8000000000000
    hash        = H( "varro-content-1" code columns:8 rows:8 digest(code column).. digest(values) )

Every list states its length before it begins, so no two contents share a sequence of bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from varro_assets.engine.canonical import Array, Canonical, Slice, code_type, take
from varro_assets.errors import DamagedPartition

_VERSION = b"varro-content-1"
_DIGEST_BYTES = 32
_ROT = (ValueError, IndexError)
"""What damaged bytes raise that can still be parsed: text that is no UTF-8, lengths that do not fit each other."""


class ContentHash:
    """Hash of one period, fed with its slices in canonical order."""

    def __init__(self, names: Sequence[str], codes: Sequence[Sequence[str]]) -> None:
        self._rows = 0
        self._columns = [_hash(_texts([name])) for name in names]
        for hasher, column in zip(self._columns[:-1], codes, strict=True):
            hasher.update(_texts(column))
        self._types = [np.dtype(code_type(len(column))).newbyteorder("<") for column in codes]

    def update(self, rows: Slice) -> None:
        """Add the next rows."""
        self._rows += len(rows.values)
        for hasher, column, kind in zip(self._columns[:-1], rows.columns, self._types, strict=True):
            hasher.update(np.ascontiguousarray(column, kind).data)
        values = rows.values.astype("<f8") + 0.0  # -0.0 + 0.0 is 0.0; every other number stays
        values[np.isnan(values)] = np.nan
        self._columns[-1].update(values.data)

    def hexdigest(self) -> str:
        """The hash of all rows given so far."""
        head = _VERSION + _integer(len(self._columns) - 1) + _integer(self._rows)
        return _hash(head + b"".join(hasher.digest() for hasher in self._columns)).hexdigest()


def of_canonical(rows: Canonical) -> str:
    """The content hash of one period's rows."""
    content = ContentHash(rows.names, rows.codes)
    for part in rows.slices():
        content.update(part)
    return content.hexdigest()


def of_table(table: pa.Table, on: str = "table") -> str:
    """The content hash of an Arrow table: code columns of strings (or dictionaries of them), then the values.

    Raises:
        DuplicateKeys: two rows share all their codes.
        DamagedPartition: a code is NULL, or the columns are not of those types.
    """
    return of_canonical(Canonical(TableRows.of(table, on), on))


def of_parquet(path: Path) -> str:
    """The content hash of a stored period, computed from its rows; whole in memory, as integers.

    Raises:
        DuplicateKeys: two rows share all their codes.
        DamagedPartition: the file cannot be read, or is not one of ours.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names[:-1]
        # read_dictionary: otherwise a period of 10 M rows would be 10 M strings per column
        with pq.ParquetFile(path, read_dictionary=names, page_checksum_verification=True) as file:
            table = file.read()
        return of_table(table, str(path))
    except (OSError, pa.ArrowException, *_ROT) as error:
        raise _damaged(str(path), str(error)) from error


@dataclass
class TableRows:
    """An Arrow table as `canonical.Rows`."""

    names: Sequence[str]
    codes: Sequence[Sequence[str]]
    count: int
    all: Slice

    def slice(self, start: int, stop: int) -> Slice:
        """Rows `start` to `stop`."""
        return Slice([column[start:stop] for column in self.all.columns], self.all.values[start:stop])

    @classmethod
    def of(cls, table: pa.Table, on: str) -> TableRows:
        """The rows of a table of code columns and a last one of values.

        Raises:
            DamagedPartition: a code is NULL, or the columns are not of those types.
        """
        if not table.num_columns or table.schema.types[-1] != pa.float64():
            raise _damaged(on, "the last column is not one of numbers")
        coded = [_coded(column, on) for column in table.columns[:-1]]
        values = table.columns[-1].to_numpy()
        parts = Slice([column for _, column in coded], values)
        return cls(table.column_names, [codes for codes, _ in coded], table.num_rows, parts)


def _coded(column: pa.ChunkedArray, on: str) -> tuple[list[str], Array]:
    """The column's sorted codes, and each row's index into them."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    if array.null_count or not _is_text(array.type.value_type):
        raise _damaged(on, "a code column holds NULL or something else than text")
    received = array.dictionary.to_pylist()
    codes = sorted(set(received))
    rank = {code: index for index, code in enumerate(codes)}
    ranks = np.array([rank[code] for code in received], code_type(len(codes)))
    return codes, take(ranks, array.indices.to_numpy())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _damaged(path: str, got: str) -> DamagedPartition:
    return DamagedPartition("hash the content of", on=path, got=got, todo="Fetch the period again.")


def _hash(data: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES)


def _integer(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _texts(texts: Sequence[str]) -> bytes:
    data = [text.encode() for text in texts]
    lengths = np.fromiter(map(len, data), "<u8", len(data))
    return _integer(len(data)) + lengths.tobytes() + b"".join(data)
