"""The parquet files a reader without SQL takes codes and labels from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from varro_assets.context import column_values
from varro_assets.dimensions.models import Dimension, Member
from varro_assets.statbank.models import TableInfo

NUTS = Dimension(
    name="nuts",
    title="Regioner",
    members=(
        Member("084", 1, "Region Hovedstaden"),
        Member("01", 2, "Byen København", "084", 1),
        Member("101", 3, "København", "01", 2),
    ),
    source="test",
)


def _info(**variables: list[tuple[str, str]]) -> TableInfo:
    listed: list[dict[str, Any]] = [
        {"id": name, "text": name.lower(), "values": [{"id": code, "text": text} for code, text in values]}
        for name, values in variables.items()
    ]
    listed.append({"id": "Tid", "text": "tid", "time": True, "values": [{"id": "2024", "text": "2024"}]})
    body = {"id": "FOLK1A", "text": "Folketal", "unit": "Antal", "updated": "2025-01-01T08:00:00", "variables": listed}
    return TableInfo.model_validate(body)


INFO = _info(OMRÅDE=[("101", "København"), ("000", "Hele landet"), (" 1", "")], KØN=[("TOT", "I alt\r\nog mere")])


def _files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*.parquet")}


def test_a_column_is_a_file_of_codes_and_labels_in_the_publishers_order(tmp_path: Path) -> None:
    written = column_values.write_fact(tmp_path, "FOLK1A", INFO)
    folder = tmp_path / "column_values" / "folk1a"
    assert written == [folder / "omrade.parquet", folder / "kon.parquet"]
    assert sorted(path.name for path in folder.iterdir()) == ["kon.parquet", "omrade.parquet"]
    frame = pd.read_parquet(folder / "omrade.parquet")
    assert list(frame.columns) == ["id", "text"]
    assert frame.to_numpy().tolist() == [["101", "København"], ["000", "Hele landet"], [" 1", ""]]
    assert pq.read_table(folder / "kon.parquet").schema.types == [pa.string(), pa.string()]
    assert pq.read_table(folder / "kon.parquet").to_pylist() == [{"id": "TOT", "text": "I alt\r\nog mere"}]


def test_a_dimension_is_a_file_of_its_members(tmp_path: Path) -> None:
    (path,) = column_values.write_dimension(tmp_path, NUTS)
    assert path == tmp_path / "column_values" / "nuts.parquet"
    table = pq.read_table(path)
    assert table.column_names == ["kode", "niveau", "titel", "parent_kode"]
    assert table.schema.types == [pa.string(), pa.int32(), pa.string(), pa.string()]
    assert table.to_pylist()[::2] == [
        {"kode": "084", "niveau": 1, "titel": "Region Hovedstaden", "parent_kode": None},
        {"kode": "101", "niveau": 3, "titel": "København", "parent_kode": "01"},
    ]


def test_what_is_the_same_is_not_written_again(tmp_path: Path) -> None:
    column_values.write_fact(tmp_path, "FOLK1A", INFO)
    column_values.write_dimension(tmp_path, NUTS)
    before = _files(tmp_path)
    assert column_values.write_fact(tmp_path, "folk1a", INFO) == []
    assert column_values.write_dimension(tmp_path, NUTS) == []
    assert _files(tmp_path) == before


def test_the_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    column_values.write_fact(tmp_path / "a", "FOLK1A", INFO)
    column_values.write_fact(tmp_path / "b", "FOLK1A", INFO)
    first, second = _files(tmp_path / "a"), _files(tmp_path / "b")
    assert {name: content for name, (content, _) in first.items()} == {
        name: content for name, (content, _) in second.items()
    }


def test_only_what_changed_is_written_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    column_values.write_fact(tmp_path, "FOLK1A", INFO)
    column_values.write_fact(tmp_path, "FOLK1AM", INFO)
    folder = tmp_path / "column_values" / "folk1a"
    (folder / "mine.txt").write_text("a person's")
    before = _files(tmp_path)
    changed = _info(OMRÅDE=[(value.id, value.text) for value in INFO.dimensions[0].values], ALDER=[("1", "1 år")])
    assert column_values.write_fact(tmp_path, "FOLK1A", changed) == [folder / "alder.parquet", folder / "kon.parquet"]
    after = _files(tmp_path)
    assert set(before) - set(after) == {"column_values/folk1a/kon.parquet"}
    assert {name: after[name] for name in before if name in after} == {
        name: before[name] for name in before if name in after
    }
    assert (folder / "mine.txt").read_text() == "a person's"
    assert column_values.write_dimension(tmp_path, replace(NUTS, members=NUTS.members[:1])) != []
    assert pq.read_metadata(tmp_path / "column_values" / "nuts.parquet").num_rows == 1


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    (path,) = column_values.write_dimension(tmp_path, NUTS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert column_values.write_dimension(tmp_path, NUTS) == [path]
    assert path.read_bytes() == whole
