"""The content hash moves with the content and with nothing else."""

from __future__ import annotations

import random
import struct
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from varro_assets.engine import content, partition_files
from varro_assets.engine.partitions import Origin
from varro_assets.errors import DuplicateKeys

Row = tuple[str, str, float | None]

CODES = st.sampled_from(["0", "00", "000", "", "A", "a", "Æ", "Å", "å", "TOT", "10", "1", "\U0001f600", "\uffff"])
VALUES = st.one_of(
    st.none(), st.just(0.0), st.floats(allow_nan=False, allow_infinity=False), st.integers(-5, 5).map(float)
)
ROWS = st.dictionaries(st.tuples(CODES, CODES), VALUES, max_size=30).map(
    lambda cells: [(area, sex, value) for (area, sex), value in cells.items()]
)
FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def as_table(rows: list[Row], names: tuple[str, ...] = ("OMRÅDE", "KØN", "INDHOLD")) -> pa.Table:
    areas, sexes, values = zip(*rows, strict=True) if rows else ((), (), ())
    columns = [pa.array(areas, pa.string()), pa.array(sexes, pa.string()), pa.array(values, pa.float64())]
    return pa.Table.from_arrays(columns, names=list(names))


def hash_of(rows: list[Row]) -> str:
    return content.of_table(as_table(rows))


@FEW
@given(ROWS, st.randoms(use_true_random=False))
def test_row_order_does_not_matter(rows: list[Row], chance: random.Random) -> None:
    other = list(rows)
    chance.shuffle(other)
    assert hash_of(other) == hash_of(rows)


@FEW
@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 7))
def test_dictionaries_and_chunks_do_not_matter(rows: list[Row], chance: random.Random, size: int) -> None:
    spare = ["spare", *{code for row in rows for code in row[:2]}]
    chunks = []
    for start in range(0, len(rows), size):
        table = as_table(rows[start : start + size])
        chance.shuffle(spare)
        dictionary = pa.array(spare, pa.string())
        columns = [
            pa.DictionaryArray.from_arrays(
                pa.array([spare.index(code) for code in table.column(number).to_pylist()], pa.int32()), dictionary
            )
            for number in range(2)
        ]
        chunks.append(pa.Table.from_arrays([*columns, table.column(2)], names=table.column_names))
    if chunks:
        assert content.of_table(pa.concat_tables(chunks)) == hash_of(rows)


@FEW
@given(
    ROWS, st.sampled_from(["zstd", "snappy", "none"]), st.booleans(), st.integers(1, 9), st.sampled_from(["1.0", "2.6"])
)
def test_parquet_does_not_matter(
    tmp_path: Path, rows: list[Row], compression: str, dictionary: bool, group: int, version: str
) -> None:
    path = tmp_path / "any.parquet"
    pq.write_table(
        as_table(rows), path, compression=compression, use_dictionary=dictionary, row_group_size=group, version=version
    )
    assert content.of_parquet(path) == hash_of(rows)


@FEW
@given(ROWS)
def test_our_own_files_state_it(tmp_path: Path, rows: list[Row]) -> None:
    table = as_table(rows)
    path = tmp_path / "ours.parquet"
    path.unlink(missing_ok=True)
    given_rows = content.TableRows.of(table, "table")
    info = partition_files.write(path, "T", "2024", given_rows, Origin("u", "s", "f"))
    assert info.content_hash == content.of_parquet(path) == hash_of(rows)
    assert sorted(pq.read_table(path).to_pylist(), key=repr) == sorted(table.to_pylist(), key=repr)


@FEW
@given(ROWS, st.data())
def test_every_cell_matters(rows: list[Row], data: st.DataObject) -> None:
    assume(rows)
    place = data.draw(st.integers(0, len(rows) - 1))
    area, sex, value = rows[place]
    changed: Row = data.draw(
        st.one_of(
            VALUES.map(lambda other: (area, sex, other)),
            CODES.map(lambda other: (other, sex, value)),
            CODES.map(lambda other: (area, other, value)),
        )
    )
    # 0.0 == -0.0 is meant: they are the same number
    assume(changed != rows[place] and changed[:2] not in {row[:2] for n, row in enumerate(rows) if n != place})
    assert hash_of([*rows[:place], changed, *rows[place + 1 :]]) != hash_of(rows)


@FEW
@given(ROWS, st.data())
def test_every_row_matters(rows: list[Row], data: st.DataObject) -> None:
    assume(rows)
    place = data.draw(st.integers(0, len(rows) - 1))
    assert hash_of([*rows[:place], *rows[place + 1 :]]) != hash_of(rows)


@FEW
@given(ROWS, st.data())
def test_repeated_codes_are_refused(rows: list[Row], data: st.DataObject) -> None:
    assume(rows)
    area, sex, _ = data.draw(st.sampled_from(rows))
    place = data.draw(st.integers(0, len(rows)))
    with pytest.raises(DuplicateKeys, match="repeat"):
        hash_of([*rows[:place], (area, sex, data.draw(VALUES)), *rows[place:]])


def test_pairs_that_are_easily_taken_for_one_another() -> None:
    def one(area: str, sex: str, value: float | None) -> str:
        return hash_of([(area, sex, value)])

    different = [
        one("0", "K", 0.0), one("00", "K", 0.0), one("0", "K", None), one("", "0K", 0.0), one("0K", "", 0.0),
        one("K", "0", 0.0), one("0", "K", 1.0), hash_of([]),
        content.of_table(as_table([("0", "K", 0.0)], ("OMRÅDE", "KON", "INDHOLD"))),
        content.of_table(as_table([("0", "K", 0.0)], ("KØN", "OMRÅDE", "INDHOLD"))),
        content.of_table(as_table([("0", "K", 0.0)], ("OMRÅDE", "KØN", "VÆRDI"))),
        content.of_table(as_table([], ("OMRÅDE", "KON", "INDHOLD"))),
    ]  # fmt: skip
    assert len(set(different)) == len(different)
    assert one("0", "K", -0.0) == one("0", "K", 0.0)


def test_the_layout_is_the_documented_one() -> None:
    """Written out by hand: a change of the layout must not go unnoticed, it would reload every period."""

    def number(value: int) -> bytes:
        return struct.pack("<Q", value)

    def texts(*values: str) -> bytes:
        data = [value.encode() for value in values]
        return b"".join([number(len(data)), *(number(len(text)) for text in data), *data])

    def h(data: bytes) -> bytes:
        return blake2b(data, digest_size=32).digest()

    areas = [f"{code:03}" for code in range(300)]
    table = as_table([(area, "K", None if area == "007" else -0.0) for area in reversed(areas)])
    first = h(texts("OMRÅDE") + texts(*areas) + struct.pack("<300H", *range(300)))
    second = h(texts("KØN") + texts("K") + bytes(300))
    missing = bytes.fromhex("000000000000f87f")
    values = h(texts("INDHOLD") + b"".join(missing if area == "007" else bytes(8) for area in areas))
    assert content.of_table(table) == h(b"varro-content-1" + number(2) + number(300) + first + second + values).hex()
