"""What changed between two contents, against a comparison of two dicts; and the way back and forth by the cells."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from varro_assets.engine import content, partition_files
from varro_assets.engine.content import TableRows
from varro_assets.engine.partitions import Origin, PartitionInfo
from varro_assets.engine.revisions import differences
from varro_assets.engine.revisions.differences import Difference
from varro_assets.errors import DamagedPartition

Content = dict[tuple[str, ...], float | None]
NAMES = ("OMRÅDE", "old", "TID")
CODES = st.sampled_from(["0", "00", "", "A", "a", "Æ", "å", "TOT", "10", "\U0001f600", "\uffff"])
VALUES = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1.0, 1e308, -1e308, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
)
CONTENTS = st.dictionaries(st.tuples(CODES, CODES, st.just("2024")), VALUES, max_size=25)
FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def table_of(rows: Content, names: tuple[str, ...] = NAMES) -> pa.Table:
    columns = [pa.array([key[place] for key in rows], pa.string()) for place in range(len(names))]
    return pa.table([*columns, pa.array(list(rows.values()), pa.float64())], [*names, "INDHOLD"])


def stored(folder: Path, name: str, rows: Content, names: tuple[str, ...] = NAMES) -> PartitionInfo:
    path = folder / f"{name}.parquet"
    path.unlink(missing_ok=True)
    origin = Origin("2024-01-01T08:00:00", "shape", "2024-01-01T09:00:00+00:00")
    return partition_files.write(path, "T", "2024", TableRows.of(table_of(rows, names), name), origin)


def expected(old: Content, new: Content) -> tuple[Difference, set[tuple[object, ...]]]:
    added, removed = new.keys() - old.keys(), old.keys() - new.keys()
    changed = {key for key in old.keys() & new.keys() if old[key] != new[key]}
    steps = [abs(b - a) for key in changed if (a := old[key]) is not None and (b := new[key]) is not None]
    cells = {(*key, None, new[key], "added") for key in added}
    cells |= {(*key, old[key], None, "removed") for key in removed}
    cells |= {(*key, old[key], new[key], "changed") for key in changed}
    return Difference(len(added), len(removed), len(changed), max(steps, default=None)), cells


def compared(tmp_path: Path, old: Content, new: Content) -> tuple[PartitionInfo, PartitionInfo, Difference, pa.Table]:
    before, after = stored(tmp_path, "old", old), stored(tmp_path, "new", new)
    return before, after, *differences.compare(before.path, after.path, NAMES, "INDHOLD")


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Content, Content]:
    """A content and a revision of it."""
    old = draw(CONTENTS)
    kept = {key: draw(st.one_of(st.just(value), VALUES)) for key, value in old.items() if draw(st.booleans())}
    return old, {**kept, **draw(CONTENTS)} if draw(st.booleans()) else kept


@FEW
@given(pairs())
def test_counts_and_cells_are_those_of_two_dicts(tmp_path: Path, pair: tuple[Content, Content]) -> None:
    _, _, difference, cells = compared(tmp_path, *pair)
    counts, rows = expected(*pair)
    assert difference == counts
    assert cells.column_names == [*NAMES, "_old", "new", "change"]
    found = list(zip(*(column.to_pylist() for column in cells.columns), strict=True))
    assert set(found) == rows
    assert len(found) == len(rows)
    assert [row[:-3] for row in found] == sorted(row[:-3] for row in found)


@FEW
@given(pairs())
def test_the_cells_lead_back_and_forth_exactly(tmp_path: Path, pair: tuple[Content, Content]) -> None:
    before, after, _, cells = compared(tmp_path, *pair)
    old, new = differences.contents(before.path), differences.contents(after.path)
    assert content.of_table(differences.backwards(new, cells, "INDHOLD")) == before.content_hash
    assert content.of_table(differences.forwards(old, cells, "INDHOLD")) == after.content_hash


@FEW
@given(CONTENTS)
def test_a_removal_holds_the_whole_content(tmp_path: Path, rows: Content) -> None:
    before = stored(tmp_path, "old", rows)
    difference, cells = differences.removal(before.path)
    assert difference == Difference(rows_removed=len(rows))
    assert content.of_table(differences.backwards(None, cells, "INDHOLD")) == before.content_hash


@FEW
@given(pairs(), CONTENTS)
def test_cells_of_another_content_are_refused(tmp_path: Path, pair: tuple[Content, Content], other: Content) -> None:
    _, _, _, cells = compared(tmp_path, *pair)
    there = {tuple(row[:3]): row[-1] for row in zip(*(column.to_pylist() for column in cells.columns), strict=True)}
    fits = all((key in other) is (change != "removed") for key, change in there.items())
    stranger = stored(tmp_path, "other", other)
    if fits:
        differences.backwards(differences.contents(stranger.path), cells, "INDHOLD")
    else:
        with pytest.raises(DamagedPartition, match="another content"):
            differences.backwards(differences.contents(stranger.path), cells, "INDHOLD")


def test_missing_absent_and_zero_differ(tmp_path: Path) -> None:
    key = ("A", "B", "2024")
    _, _, difference, _ = compared(tmp_path, {key: 0.0}, {key: None})
    assert difference == Difference(values_changed=1)
    _, _, difference, _ = compared(tmp_path, {key: None}, {})
    assert difference == Difference(rows_removed=1)
    _, _, difference, cells = compared(tmp_path, {key: -0.0}, {key: 0.0})
    assert (difference, cells.num_rows) == (Difference(), 0)
    _, _, difference, _ = compared(tmp_path, {key: 1e308}, {key: -1e308})
    assert difference == Difference(values_changed=1, largest_change=math.inf)


def test_more_combinations_than_a_number_has_room_for(tmp_path: Path) -> None:
    names = tuple(f"V{number}" for number in range(12))
    many = [f"{number:03}" for number in range(200)]  # 200 ** 12 is past 2 ** 64
    old = {tuple(many[(row * (place + 3)) % 200] for place in range(12)): float(row) for row in range(200)}
    new = {key: value + (value == 7.0) for key, value in old.items() if value != 9.0}
    before, after = stored(tmp_path, "old", old, names), stored(tmp_path, "new", new, names)
    difference, cells = differences.compare(before.path, after.path, names, "INDHOLD")
    assert difference == Difference(0, 1, 1, 1.0)
    rebuilt = differences.backwards(differences.contents(after.path), cells, "INDHOLD")
    assert content.of_table(rebuilt) == before.content_hash


def test_other_columns_are_refused(tmp_path: Path) -> None:
    before, after = stored(tmp_path, "old", {}), stored(tmp_path, "new", {}, ("A", "B", "C"))
    with pytest.raises(DamagedPartition, match="its columns are A, B, C"):
        differences.compare(before.path, after.path, NAMES, "INDHOLD")
