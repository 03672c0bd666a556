"""Code lives from period files: first and last period with a row, whatever else the files list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.context import code_lives
from varro_assets.engine import partition_files, periods
from varro_assets.engine.canonical import Slice
from varro_assets.engine.partition_files import Origin
from varro_assets.engine.partitions import PartitionStore
from varro_assets.errors import DamagedPartition

ORIGIN = Origin("2025-01-01T08:00:00", "shape", "2025-01-02T00:00:00+00:00")


class Period:
    """Rows of one period; its lists name codes that no row has."""

    names = ("OMRÅDE", "KØN", "INDHOLD")

    def __init__(self, rows: Sequence[tuple[str, str]]) -> None:
        self.codes = [sorted({*(row[at] for row in rows), "unused"}) for at in (0, 1)]
        self.count = len(rows)
        self._rows = rows

    def slice(self, start: int, stop: int) -> Slice:
        some = self._rows[start:stop]
        columns = [np.array([self.codes[at].index(row[at]) for row in some], np.uint16) for at in (0, 1)]
        return Slice(columns, np.ones(len(some)))


def _store(folder: Path, content: dict[str, Sequence[tuple[str, str]]]) -> PartitionStore:
    store = PartitionStore(folder, "FOLK1A")
    folder.mkdir(parents=True, exist_ok=True)
    for period, rows in content.items():
        partition_files.write(store.path(period), "FOLK1A", period, Period(rows), ORIGIN)
    return store


def test_first_and_last_are_by_time_not_by_text(tmp_path: Path) -> None:
    store = _store(
        tmp_path / "T",
        {
            "2024K4": [("101", "M"), ("000", "K")],
            "2025K1": [("101", "K")],
            "2024": [("147", "M")],
            "2024K1": [("000", "M"), ("", "M")],
            "2023K2": [],
        },
    )
    found = code_lives.lives(store, reversed(store.periods()))
    assert found == {
        "TID": {code: (code, code) for code in ("2024K4", "2025K1", "2024", "2024K1")},
        "OMRÅDE": {
            "101": ("2024K4", "2025K1"),
            "147": ("2024", "2024"),
            "000": ("2024K1", "2024K4"),
            "": ("2024K1", "2024K1"),
        },
        "KØN": {"M": ("2024K1", "2024K4"), "K": ("2024K4", "2025K1")},
    }
    assert code_lives.lives(store, ["2025K1"])["OMRÅDE"] == {"101": ("2025K1", "2025K1")}
    assert code_lives.lives(store, []) == {"TID": {}}


def test_a_table_without_rows_has_variables_without_codes(tmp_path: Path) -> None:
    store = _store(tmp_path / "T", {"2024": []})
    assert code_lives.lives(store, ["2024"]) == {"TID": {}, "OMRÅDE": {}, "KØN": {}}


def test_codes_listed_but_not_used_do_not_live(tmp_path: Path) -> None:
    """A file of another writer, whose dictionary holds more than its rows; several row groups."""
    store = _store(tmp_path / "T", {"2024": [("a", "M")]})
    path = store.path("2024")
    dictionary = pa.array(["x", "a", "b"])
    area = pa.DictionaryArray.from_arrays(pa.array([1, 1, 2], pa.int8()), dictionary)
    table = pa.table({"OMRÅDE": area, "KØN": pa.array(["M", "K", "K"]), "INDHOLD": [1.0, None, 2.0]})
    facts = {key.decode(): value for key, value in pq.read_metadata(path).metadata.items() if key != b"ARROW:schema"}
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.write_table(table, row_group_size=2)
        writer.add_key_value_metadata({**facts, "rows": "3", "nulls": "1"})
    assert set(code_lives.lives(store, ["2024"])["OMRÅDE"]) == {"a", "b"}


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    store = _store(tmp_path / "T", {"2024": [("a", "M")]})
    content = store.path("2024").read_bytes()
    store.path("2024").write_bytes(content[:8] + b"\xff" * 40 + content[48:])
    with pytest.raises(DamagedPartition, match=r"2024\.parquet"):
        code_lives.lives(store, ["2024"])
    with pytest.raises(DamagedPartition):
        code_lives.lives(store, ["1999"])


_CODES = st.sampled_from(["0", "1", "2", "10", "TOT", "æ"])
_ROWS = st.sets(st.tuples(_CODES, _CODES), max_size=6).map(sorted)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(["2023", "2024", "2024H1", "2024H2", "2025K3", "1999M12"]), _ROWS))
def test_lives_are_those_of_the_rows(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Sequence[tuple[str, str]]]
) -> None:
    store = _store(tmp_path_factory.mktemp("lives") / "T", content)
    found = code_lives.lives(store, content)
    for at, variable in enumerate(("OMRÅDE", "KØN")):
        for code in ("0", "1", "2", "10", "TOT", "æ"):
            having = [period for period in periods.in_order(content) if any(row[at] == code for row in content[period])]
            expected = (having[0], having[-1]) if having else None
            assert found.get(variable, {}).get(code) == expected
