"""The classification store: what is written when, what comes back, and what a damaged file is called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.classifications.store import Classification, ClassificationStore
from varro_assets.errors import ConfigurationError, DamagedPartition

ROWS = [PublishedRow(1, 1, "084", 1, "Region Hovedstaden"), PublishedRow(2, 2, "", 2, "Ærø;\n\"'")]
HELD = Classification(
    name="nuts",
    title="Regioner (NUTS), v1:2007-",
    rows_da=ROWS,
    rows_en=[replace(row, titel="x") for row in ROWS],
    info_da="# Regioner\n\nTekst æøå.",
    info_en="# Regions",
    source_url="https://www.dst.dk/klassifikationsbilag/1csv_da",
    page_url="https://www.dst.dk/da/nuts",
)


@pytest.fixture
def store(tmp_path: Path) -> ClassificationStore:
    return ClassificationStore(tmp_path / "mapping_tables")


def stamps(store: ClassificationStore) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in (store.folder / "nuts").iterdir()}


def test_what_is_written_comes_back(store: ClassificationStore) -> None:
    assert store.names() == []
    assert store.read("nuts") is None
    assert store.write(HELD)
    assert store.read("nuts") == HELD
    assert store.names() == ["nuts"]
    assert sorted(stamps(store)) == ["table_da.parquet", "table_en.parquet", "table_info_da.md", "table_info_en.md"]
    assert (store.folder / "nuts" / "table_info_da.md").read_text(encoding="utf-8") == "# Regioner\n\nTekst æøå.\n"


def test_the_files_are_what_others_expect(store: ClassificationStore) -> None:
    store.write(HELD)
    table = pq.read_table(store.folder / "nuts" / "table_da.parquet")
    assert [(field.name, field.type) for field in table.schema] == [
        ("SEKVENS", pa.int32()), ("KODE", pa.string()), ("NIVEAU", pa.int32()), ("TITEL", pa.string()),
    ]  # fmt: skip
    assert table.to_pylist()[0] == {"SEKVENS": 1, "KODE": "084", "NIVEAU": 1, "TITEL": "Region Hovedstaden"}
    stated = table.schema.metadata
    assert stated[b"title"].decode() == HELD.title
    assert (stated[b"source"].decode(), stated[b"page"].decode()) == (HELD.source_url, HELD.page_url)


def test_the_same_content_writes_nothing(store: ClassificationStore) -> None:
    store.write(HELD)
    before = stamps(store)
    # where a line stood in its file is not content
    assert not store.write(replace(HELD, rows_da=[replace(row, line=row.line + 7) for row in ROWS]))
    assert stamps(store) == before


def test_the_same_content_gives_the_same_bytes(store: ClassificationStore, tmp_path: Path) -> None:
    other = ClassificationStore(tmp_path / "other")
    store.write(HELD)
    other.write(HELD)
    for path in (store.folder / "nuts").iterdir():
        assert path.read_bytes() == (other.folder / "nuts" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("change", "files"),
    [
        ({"rows_da": ROWS[:1]}, {"table_da.parquet"}),
        ({"rows_da": ROWS[::-1]}, {"table_da.parquet"}),
        ({"rows_da": [ROWS[0], replace(ROWS[1], titel="y")]}, {"table_da.parquet"}),
        ({"rows_en": ROWS}, {"table_en.parquet"}),
        ({"title": "y"}, {"table_da.parquet", "table_en.parquet"}),
        ({"page_url": ""}, {"table_da.parquet", "table_en.parquet"}),
        ({"info_da": "y"}, {"table_info_da.md"}),
    ],
)
def test_a_change_replaces_only_what_it_touches(
    store: ClassificationStore, change: dict[str, object], files: set[str]
) -> None:
    store.write(HELD)
    before = stamps(store)
    changed = replace(HELD, **change)  # type: ignore[arg-type]
    assert store.write(changed)
    after = stamps(store)
    assert {name for name in after if after[name] != before[name]} == files
    assert [row.titel for row in store.read("nuts").rows_da] == [row.titel for row in changed.rows_da]  # type: ignore[union-attr]
    assert not store.write(changed)


def test_what_is_no_longer_published_goes(store: ClassificationStore) -> None:
    store.write(HELD)
    danish = replace(HELD, rows_en=None, info_en="")
    assert store.write(danish)
    assert sorted(stamps(store)) == ["table_da.parquet", "table_info_da.md"]
    assert store.read("nuts") == danish


@pytest.mark.parametrize("text", ["a\n", "\n", "a\r\nb", "\ufeffa", " a "])
def test_texts_come_back_to_the_letter(store: ClassificationStore, text: str) -> None:
    store.write(replace(HELD, info_da=text))
    held = store.read("nuts")
    assert held is not None
    assert held.info_da == text


def test_a_damaged_file_is_named_and_replaced_by_the_next_write(store: ClassificationStore) -> None:
    store.write(HELD)
    for name in ("table_da.parquet", "table_en.parquet"):
        path = store.folder / "nuts" / name
        whole = path.read_bytes()
        for broken in (b"", whole[:40], whole[:-30] + bytes(30)):
            path.write_bytes(broken)
            with pytest.raises(DamagedPartition) as caught:
                store.read("nuts")
            assert caught.value.on == str(path)
            assert "Fetch the classification nuts again" in caught.value.todo
        assert store.write(HELD)
        assert store.read("nuts") == HELD


def test_a_file_of_another_make_is_damaged(store: ClassificationStore) -> None:
    store.write(HELD)
    path = store.folder / "nuts" / "table_da.parquet"
    table = pq.read_table(path)
    for other, told in (
        (table.drop_columns(["TITEL"]), "columns"),
        (table.replace_schema_metadata({"title": "x"}), "does not state source, page"),
        (table.set_column(0, "SEKVENS", pa.array(["1", "2"])), "columns"),
        (table.set_column(1, "KODE", pa.array(["1", None])), "without a code"),
    ):
        pq.write_table(other, path)
        with pytest.raises(DamagedPartition, match=told):
            store.read("nuts")


def test_a_text_that_is_none_is_damaged(store: ClassificationStore) -> None:
    store.write(HELD)
    (store.folder / "nuts" / "table_info_da.md").write_bytes(b"\xe6")
    with pytest.raises(DamagedPartition, match="not UTF-8"):
        store.read("nuts")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "Nuts", "a b"])
def test_a_name_stays_in_the_folder(store: ClassificationStore, name: str) -> None:
    for act in (lambda: store.read(name), lambda: store.write(replace(HELD, name=name))):
        with pytest.raises(ConfigurationError):
            act()
    assert not store.folder.exists()


def test_names_are_only_of_what_is_held(store: ClassificationStore) -> None:
    for name in ("b", "a", "c", "D"):
        (store.folder / name).mkdir(parents=True)
    for name in ("b", "a", "D"):
        (store.folder / name / "table_da.parquet").touch()
    (store.folder / "x.md").touch()
    assert store.names() == ["a", "b"]
