"""Code lives: in which held periods each code has a row.

What belongs here: reading the first and the last such period out of a table's period files, and stating them in
`meta.code`. Between the two an absent row means the table's absent value; outside of them it means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg2.extras import execute_values

from varro_assets.engine import periods
from varro_assets.engine.partition_files import damaged
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.postgres import Cursor
from varro_assets.statbank.models import TIME_COLUMN

Life: TypeAlias = tuple[str, str]
"""First and last period, as the publisher codes them."""
Lives: TypeAlias = Mapping[str, Mapping[str, Life]]
"""Variable id (``TID`` for the time variable) -> code -> life."""

_BATCH_ROWS = 1 << 20  # four bytes a code: bounds the memory at some 4 MB a column
_PAGE = 5000

_KNOWN = """
SELECT c.column_name, c.code, c.first_period, c.last_period,
       CASE WHEN f.role = 'time' THEN %(time)s ELSE f.variable_id END
  FROM meta.code c JOIN meta.fact_column f USING (table_id, column_name)
 WHERE c.table_id = %(table)s
"""
# what a sync says of the table begins with the same row: rows of meta.code must not be locked in two orders at once
_TURN = "SELECT 1 FROM meta.fact_table WHERE table_id = %s FOR NO KEY UPDATE"
_SET = """
UPDATE meta.code c SET first_period = v.first_period, last_period = v.last_period
  FROM (VALUES %s) v (table_id, column_name, code, first_period, last_period)
 WHERE c.table_id = v.table_id AND c.column_name = v.column_name AND c.code = v.code COLLATE "C"
"""
_TYPED = "(%s, %s, %s, CAST(%s AS text), CAST(%s AS text))"


def lives(store: PartitionStore, held: Iterable[str]) -> dict[str, dict[str, Life]]:
    """First and last held period in which each code has a row, from the period files alone.

    Gaps between the two are not told. Files of an older shape have other variables: leave their periods out, as the
    fact table does.

    Args:
        store: the table's period files.
        held: periods to look at, in any order; a mapping by period will do.

    Returns:
        Variable id -> code -> (first period, last period); the time variable goes by ``TID`` and has each period with
        rows as its own life. A variable is there even when no row has any of its codes.

    Raises:
        DamagedPartition: a file cannot be read.
        InvalidPeriod: one of ``held`` is no period.
    """
    found: dict[str, dict[str, Life]] = {TIME_COLUMN: {}}
    for period in periods.in_order(held):
        for variable, codes in _codes(store, period).items():
            known = found.setdefault(variable, {})
            for code in codes:
                known[code] = (known[code][0] if code in known else period, period)
            if codes:
                found[TIME_COLUMN][period] = (period, period)
    return found


def write(cursor: Cursor, table_id: str, lives: Lives) -> int:
    """State the lives in `meta.code`, in the caller's transaction; only rows that differ are written.

    A code without a life loses the one it had. Codes that `meta.code` lacks are passed over.

    Returns:
        Rows that differed.
    """
    cursor.execute(_KNOWN, {"table": table_id, "time": TIME_COLUMN})
    differing = []
    for column, code, first, last, variable in cursor.fetchall():
        life = lives.get(variable, {}).get(code, (None, None))
        if life != (first, last):
            differing.append((table_id, column, code, *life))
    if differing:
        cursor.execute(_TURN, (table_id,))
        execute_values(cursor, _SET, differing, template=_TYPED, page_size=_PAGE)
    return len(differing)


def _codes(store: PartitionStore, period: str) -> dict[str, set[str]]:
    """Variable -> codes that at least one row of the period has."""
    path = store.info(period).path
    try:
        with pq.ParquetFile(path) as file:
            names, footer = file.schema_arrow.names[:-1], file.metadata
        with pq.ParquetFile(path, metadata=footer, read_dictionary=names) as file:
            found: dict[str, set[str]] = {name: set() for name in names}
            for batch in file.iter_batches(_BATCH_ROWS, columns=names):
                for name, column in zip(names, batch.columns, strict=True):
                    found[name].update(_present(column))
            return found
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, str(error)) from error


def _present(column: pa.DictionaryArray) -> Iterator[str]:
    """The entries of the dictionary that are used: a writer may list more than occur."""
    used = np.zeros(len(column.dictionary), dtype=bool)
    used[column.indices.to_numpy(zero_copy_only=False)] = True
    for position in np.flatnonzero(used):
        yield column.dictionary[int(position)].as_py()
