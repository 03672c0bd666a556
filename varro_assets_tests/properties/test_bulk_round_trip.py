"""Whatever the rows, their order and the chunks of the stream: exactly the same rows come out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.engine import content
from varro_assets.engine.partitions import PartitionStore
from varro_assets.errors import BrokenStream, UnexpectedResponse
from varro_assets.statbank import bulk
from varro_assets.statbank.bulk import Extract

FEW = settings(max_examples=60, deadline=None)
COLUMNS = ("OMRÅDE", "KØN", "TID", "INDHOLD")
PERIODS = ("2024K1", "2023K4", "2006/2007", "1840:1849", "AUG - DEC 2019")
# everything that can be in a field: no separator, no line end
CODES = st.text(st.characters(blacklist_characters=";\r\n", blacklist_categories=["Cs"]), max_size=6)
AWKWARD = st.sampled_from(
    ["000", "00", "0", "NA", "null", "..", "", '"', '"a', "'", "1,5", "\x00", " 1", "1 ", "\ufeff", "ÆØÅ"]
)
NUMBERS = st.one_of(
    st.none(), st.integers(-(10**15), 10**15).map(float), st.floats(allow_nan=False, allow_infinity=False)
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Extract, dict[tuple[str, str, str], float | None]]:
    areas = draw(st.lists(st.one_of(AWKWARD, CODES), min_size=1, max_size=12, unique=True))
    sexes = draw(st.lists(st.one_of(AWKWARD, CODES), min_size=1, max_size=4, unique=True))
    keys = st.tuples(st.sampled_from(areas), st.sampled_from(sexes), st.sampled_from(PERIODS))
    cells = draw(st.dictionaries(keys, NUMBERS, max_size=60))
    return Extract("T", COLUMNS, {"OMRÅDE": areas, "KØN": sexes}, PERIODS, "u", "s", "f"), cells


def body_of(cells: dict[tuple[str, str, str], float | None], line_end: str) -> bytes:
    lines = [COLUMNS]
    for key, value in cells.items():
        lines.append((*key, ".." if value is None else repr(value).replace(".", ",")))
    return "".join(";".join(line) + line_end for line in lines).encode()


def chunked(data: st.DataObject, body: bytes) -> list[bytes]:
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=12).map(sorted))
    return [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@FEW
@given(tables(), st.data())
def test_round_trip(made: tuple[Extract, dict[tuple[str, str, str], float | None]], data: st.DataObject) -> None:
    extract, cells = made
    body = body_of(cells, data.draw(st.sampled_from(["\r\n", "\n"])))
    block, budget = data.draw(st.sampled_from([(1, 0), (50, 100), (200, 1 << 20), (1 << 20, 0)]))
    with tempfile.TemporaryDirectory() as folder:
        store = PartitionStore(Path(folder) / "T", "T")
        with store.staging() as staging:
            infos = bulk.split(chunked(data, body), extract, staging, block_bytes=block, budget_bytes=budget)
            assert tuple(infos) == PERIODS
            store.promote_all(infos.values())
        found: dict[tuple[str, str, str], float | None] = {}
        for period in store.periods():
            table = pq.read_table(store.path(period))
            assert table.column_names == list(COLUMNS)
            *keys, values = (column.to_pylist() for column in table.columns)
            rows = list(zip(*keys, strict=True))
            assert rows == sorted(rows)
            found.update(zip(rows, values, strict=True))
            info = store.info(period)
            assert (info.rows, info.nulls) == (len(rows), values.count(None))
            assert info.content_hash == content.of_parquet(info.path)
            assert [row for batch in store.batches(period) for row in batch.to_pylist()] == table.to_pylist()
        assert found == cells
        assert sum(info.rows for info in store.infos().values()) == len(cells)


@FEW
@given(tables(), st.data())
def test_a_truncated_stream_is_never_taken_for_whole(
    made: tuple[Extract, dict[tuple[str, str, str], float | None]], data: st.DataObject
) -> None:
    extract, cells = made
    body = body_of(cells, "\r\n")
    cut = data.draw(st.integers(0, len(body) - 1))
    if body[:cut].endswith(b"\n"):
        cut -= 1  # cut at the end of a line, only the transfer itself could tell (the session checks that)
    with tempfile.TemporaryDirectory() as folder:
        store = PartitionStore(Path(folder) / "T", "T")
        with store.staging() as staging:
            with pytest.raises((BrokenStream, UnexpectedResponse)):
                bulk.split(chunked(data, body[:cut]), extract, staging, block_bytes=64)
            assert list(staging.folder.iterdir()) == []
