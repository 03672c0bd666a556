"""All documents of a home: that they are there, that they stay as they are, that what changes is written anew."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from varro_assets.context import doc_file, documents, holdings, snapshot, subject_documents, table_documents
from varro_assets.context.asking import queries
from varro_assets.context.sources import open_context
from varro_assets.engine import postgres
from varro_assets_tests.documents.conftest import SMALL, Home, note

SQL = re.compile(r"```sql\n(.*?)```", re.DOTALL)


def test_everything_an_analyst_reads_is_there(documented: Home) -> None:
    context, links = documented.settings.context_dir, documented.settings.links_dir
    for table in SMALL:
        assert documented.fact_doc(table).read_text("utf-8").startswith(f"table: fact.{table.lower()}\nid: {table}\n")
        listed = json.loads((links / f"{table}.json").read_text("utf-8"))
        assert isinstance(listed, list)
        for link in listed:
            assert {"column", "dimension", "match_type"} <= link.keys()
            assert link["match_type"] in {"exact", "approx"}
            assert (context / "dim" / f"{link['dimension']}.md").is_file()
        info = documented.sources.catalogue.tableinfo(table)
        assert info is not None
        values = sorted(path.stem for path in (context / "column_values" / table.lower()).iterdir())
        assert len(values) == len(info.dimensions)
    codes = pd.read_parquet(context / "column_values" / "folk1a" / "omrade.parquet")
    assert list(codes.columns) == ["id", "text"]
    assert codes.iloc[0].tolist() == ["000", "Hele landet"]
    members = pd.read_parquet(context / "column_values" / "nuts.parquet")
    assert list(members.columns) == ["kode", "niveau", "titel", "parent_kode"]
    assert set(members[members.niveau == 1].kode) == {"081", "082", "083", "084", "085"}
    assert (context / "subjects" / "borgere" / "befolkning" / "befolkningstal.md").is_file()
    assert "Befolkning" in (context / "subjects" / "index.md").read_text("utf-8")


def test_links_are_of_each_kind(documented: Home) -> None:
    found = {
        (table, column): (dimension, match, normalised)
        for table, column, dimension, match, normalised in documented.rows(
            "SELECT table_id, column_name, dimension, match_type, join_sql <> 'f.' || column_name || ' = d.kode'"
            " FROM meta.dimension_link"
        )
    }
    assert found["FOLK1A", "omrade"] == ("nuts", "exact", False)
    assert found["NABB69", "branche"] == ("nr_branche", "exact", True)
    assert found["BYGB70", "anvend"] == ("byganv", "approx", False)
    assert not {key for key in found if key[1] in {"kon", "alder", "enhed", "maengde4", "socio"}}
    document = documented.fact_doc("FOLK1A").read_text("utf-8")
    assert "not in dim.nuts: 000=Hele landet (total)" in document


def test_a_table_under_two_subjects_is_documented_once(documented: Home) -> None:
    assert documented.fact_doc("BY1").parent.name == "befolkningstal"
    pages = [
        path
        for path in (documented.settings.context_dir / "subjects").rglob("*.md")
        if "\nid: by1\n" in path.read_text("utf-8")
    ]
    assert len(pages) == 2
    for page in pages:
        assert "doc: /fact/borgere/befolkning/befolkningstal/by1.md" in page.read_text("utf-8")


def test_every_query_in_a_document_runs_for_the_reader(documented: Home, reader_url: str) -> None:
    found = 0
    for path in documented.settings.context_dir.rglob("*.md"):
        for query in SQL.findall(path.read_text("utf-8")):
            result = queries.run(SecretStr(reader_url), query, seconds=240, rows=100)
            assert result.rows, (path, query)
            assert "::" not in query
            found += 1
    assert found > 2 * len(SMALL)


def test_twice_written_nothing_changes(documented: Home) -> None:
    before = documented.files()
    report = documented.document()
    assert (report.tables, report.changed, report.problems) == ([], [], {})
    again = documented.document(everything=True)
    assert {done.table for done in again.tables} == set(SMALL)
    assert (again.changed, again.problems) == ([], {})
    assert documented.files() == before


def test_another_home_writes_the_same_bytes(documented: Home, tmp_path: Path) -> None:
    """Nothing of a clock, a random order or this database's numbers is in what was written."""
    elsewhere = replace(documented.context, folder=tmp_path / "else", links_dir=tmp_path / "links")
    documents.write(elsewhere, everything=True)
    for path, (content, _) in documented.files().items():
        if path.is_relative_to(documented.settings.context_dir):
            copy = elsewhere.folder / path.relative_to(documented.settings.context_dir)
        else:
            copy = elsewhere.links_dir / path.relative_to(documented.settings.links_dir)
        assert copy.read_bytes() == content


def test_only_what_changed_is_looked_at(documented: Home) -> None:
    documented.simulator.universe.publish_period("BY1")
    documented.sync("BY1")
    report = documented.document()
    assert [done.table for done in report.tables] == ["BY1"]
    names = {path.name for path in report.changed}
    assert "by1.md" in names
    assert not names & {"folk1a.md", "van5.md"}
    assert "to 2026-01-01" in documented.fact_doc("BY1").read_text("utf-8")


def test_notes_survive_a_changed_description(documented: Home) -> None:
    path = documented.fact_doc("FOLK1A")
    kept = note(path, b"- IALT \xe6 \xff\r\nno newline at the end")
    documented.simulator.universe.annotate("FOLK1A", text="Ny fodnote.\r\nnotes:\r\n```")
    documented.simulator.universe.relabel("FOLK1A", var="CIVILSTAND", code="U", text="Aldrig gift")
    documented.sync("FOLK1A")
    assert documented.document().problems == {}
    content = path.read_bytes()
    assert content.endswith(kept)
    assert "Ny fodnote." in content.decode("utf-8", "replace")
    assert "U=Aldrig gift" in content.decode("utf-8", "replace")
    assert documented.document(everything=True).changed == []


def test_notes_survive_a_move_in_the_subject_tree(documented: Home) -> None:
    old = documented.fact_doc("FOLK1A")
    kept = note(old, b"mine\n")
    page = documented.settings.context_dir / "subjects/borgere/befolkning/befolkningstal.md"
    kept_on_page = note(page, b"also mine\n")
    documented.age_the_subject_tree()
    documented.simulator.universe.move("FOLK1A", to="20015")
    documented.sync("FOLK1A")
    assert documented.document().problems == {}
    new = documented.fact_doc("FOLK1A")
    assert new.parent.name == "middellevetid"
    assert not old.exists()
    assert new.read_bytes().endswith(kept)
    assert "\nid: folk1a\n" not in page.read_text("utf-8")
    assert page.read_bytes().endswith(kept_on_page)
    there = documented.settings.context_dir / "subjects/borgere/befolkning/middellevetid.md"
    assert "\nid: folk1a\n" in there.read_text("utf-8")
    assert documented.document(everything=True).changed == []


def test_a_subject_that_lost_its_last_table_loses_its_page_but_no_notes(documented: Home) -> None:
    subjects = documented.settings.context_dir / "subjects"
    bare, noted = (subjects / "sociale_forhold" / name for name in ("kriminalitet", "offentligt_forsørgede"))
    (noted_page,) = noted.glob("*.md")
    note(noted_page, b"mine\n")
    with_tables = set(bare.glob("*.md"))
    assert with_tables
    documented.execute("DELETE FROM meta.period_load WHERE table_id IN ('STRAF42', 'BARLOV1')")
    report = documented.document()
    assert not any(path.exists() for path in with_tables)
    assert noted_page.read_bytes().endswith(b"mine\n")
    assert report.problems == {}
    assert any(str(noted_page) in remark for remark in report.remarks)


def test_a_revised_classification_reaches_table_documents(documented: Home) -> None:
    documented.simulator.universe.revise_classification("nuts", kode="084", titel="Region Nyt Navn")
    documented.fetch("nuts")
    report = documented.document()
    assert report.problems == {}
    assert documented.rows("SELECT titel FROM dim.nuts WHERE kode = '084'") == [("Region Nyt Navn",)]
    assert "Region Nyt Navn" in (documented.settings.context_dir / "dim/nuts.md").read_text("utf-8")
    assert "nuts.parquet" in {path.name for path in report.changed}


def test_a_refused_classification_leaves_everything(documented: Home) -> None:
    before = documented.files()
    stored = documented.context.library.store.read("nuts")
    assert stored is not None
    path = documented.settings.home / "classifications.toml"
    broken = documented.settings.home / "nuts.csv"
    broken.write_text("SEKVENS;KODE;NIVEAU;TITEL\n1;084;1;Region\n2;101;3;Springer et niveau over\n", "utf-8")
    path.write_text(f'[nuts]\ncsv = "{broken}"\n', "utf-8")
    changed = replace(documented, context=open_context(documented.settings, documented.url))
    with pytest.raises(Exception, match="level") as refused:
        changed.fetch("nuts")
    assert type(refused.value).__name__ == "InvalidHierarchy"
    assert documented.context.library.store.read("nuts") == stored
    assert documented.document().changed == []
    assert documented.files() == before


def test_dropped_dimension_tables_come_back_without_the_publisher(documented: Home) -> None:
    documented.simulator.forget_requests()
    documented.execute("DROP TABLE dim.nuts CASCADE")
    assert documented.document(everything=True).problems == {}
    assert documented.rows("SELECT count(*) FROM dim.nuts_tree") == [(115,)]
    assert documented.simulator.requests == []


def test_hand_made_links_win_and_removed_ones_stay_away(documented: Home) -> None:
    links = documented.settings.links_dir
    path = links / "FOLK1A.json"
    listed = json.loads(path.read_text("utf-8"))
    # as a person or the predecessor writes it
    mine = {"column": "OMRÅDE", "dimension": "kommunegrupper", "match_type": "approx", "note": "only municipalities"}
    path.write_text(json.dumps([mine], ensure_ascii=False), "utf-8")
    (links / "_removed.json").write_text(json.dumps({"VAN5": ["OMRÅDE"]}, ensure_ascii=False), "utf-8")
    assert documented.document(everything=True).problems == {}
    (link,) = json.loads(path.read_text("utf-8"))
    assert (link["dimension"], link["note"]) == ("kommunegrupper", "only municipalities")
    assert link["dimension"] != listed[0]["dimension"]
    assert "join dim.kommunegrupper" in documented.fact_doc("FOLK1A").read_text("utf-8")
    assert "OMRÅDE" not in {one["column"] for one in json.loads((links / "VAN5.json").read_text("utf-8"))}
    assert documented.document(everything=True).changed == []


@pytest.mark.parametrize(
    "entry",
    [
        {"column": "NOWHERE", "dimension": "nuts", "match_type": "exact"},
        {"column": "OMRÅDE", "dimension": "nothing", "match_type": "exact"},
        {"column": "OMRÅDE", "dimension": "nuts", "match_type": "exact", "join_override": "1=1; DROP TABLE x"},
        {"column": "OMRÅDE", "dimension": "nuts", "match_type": "exact", "join_override": "omrade = (SELECT 'a')"},
        "no object",
    ],
)
def test_a_link_file_that_names_what_is_not_there_stops_its_table_only(documented: Home, entry: object) -> None:
    path = documented.settings.links_dir / "FOLK1A.json"
    broken = json.dumps([entry])
    path.write_text(broken, "utf-8")
    before = documented.fact_doc("FOLK1A").read_bytes()
    report = documented.document(everything=True)
    assert set(report.problems) == {"FOLK1A"}
    assert "FOLK1A" in report.problems["FOLK1A"]
    assert path.read_text("utf-8") == broken
    assert documented.fact_doc("FOLK1A").read_bytes() == before
    assert {done.table for done in report.tables} == set(SMALL) - {"FOLK1A"}


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content.replace(b"measure:", b"measures:"),
        lambda content: content.replace(b"\nnotes:\n", b"\n```\nnotes:\nunclosed\n"),
        lambda content: b"no structure at all\n",
    ],
)
def test_a_document_edited_by_hand_is_left_alone(documented: Home, edit: object) -> None:
    path = documented.fact_doc("VAN5")
    edited = edit(path.read_bytes())  # type: ignore[operator]
    path.write_bytes(edited)
    documented.simulator.universe.annotate("VAN5", text="Noget nyt.")
    documented.sync("VAN5")
    report = documented.document()
    assert "VAN5" in report.problems
    assert path.read_bytes() == edited


def test_notes_in_a_code_block_are_text(documented: Home) -> None:
    """The predecessor's document: no stamp; its first ``notes:`` stands in an example."""
    path = documented.fact_doc("VAN5")
    path.write_bytes(b"table: fact.van5\n```sql\nnotes:\nSELECT 1\n```\nnotes:\nreally mine\n")
    assert documented.document(everything=True).problems == {}
    doc = doc_file.read(path)
    assert doc is not None
    assert doc.notes == b"notes:\nreally mine\n"


def test_two_at_once_write_the_same(documented: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (table_documents, subject_documents):
        # on a busy machine one may hold a lock for longer than is waited for in earnest
        monkeypatch.setattr(module, "WAIT_SECONDS", 240.0)
    kept = note(documented.fact_doc("FOLK1A"), b"mine\n")
    before = {path: content for path, (content, _) in documented.files().items()}
    for path in before:
        if path.suffix == ".parquet" or path.parent == documented.settings.links_dir:
            path.unlink()
    reports = []

    def work() -> None:
        reports.append(documents.write(open_context(documented.settings, documented.url), everything=True))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.problems for report in reports] == [{}, {}]
    assert {path: content for path, (content, _) in documented.files().items()} == before
    assert documented.fact_doc("FOLK1A").read_bytes().endswith(kept)


def test_code_lives_are_stated(documented: Home) -> None:
    assert documented.rows(
        "SELECT first_period, last_period FROM meta.code WHERE table_id = 'FOLK1A' AND code = '101'"
    ) == [("2022K1", "2025K3")]


def test_a_map_without_a_classification_becomes_a_dimension(home: Home) -> None:
    for name in ("nuts", "kommunegrupper", "amt_kom"):
        home.context.library.store.remove(name)
    home.sync("FOLK1A", "VAN5")
    assert home.document().problems == {}
    (link,) = json.loads((home.settings.links_dir / "FOLK1A.json").read_text("utf-8"))
    assert (link["dimension"], link["match_type"]) == ("denmark_municipality_07", "exact")
    assert link["not_in_dimension"] == [{"code": "000", "label": "Hele landet", "total": True}]
    assert home.rows("SELECT niveau, count(*) FROM dim.denmark_municipality_07 GROUP BY 1 ORDER BY 1") == [
        (1, 5),
        (2, 99),
    ]
    # the shorter list of VAN5 joins it and does not replace it
    assert json.loads((home.settings.links_dir / "VAN5.json").read_text("utf-8"))[0]["dimension"] == link["dimension"]
    assert home.document(everything=True).changed == []


def test_a_changed_code_list_reaches_its_dimension_though_the_table_is_documented_already(home: Home) -> None:
    for name in home.context.library.store.names():
        home.context.library.store.remove(name)
    home.sync("BARLOV1")
    assert home.document().problems == {}
    before = home.rows("SELECT count(*) FROM dim.komgrp")
    home.simulator.universe.publish("add_code", "BARLOV1", var="OMRÅDE", code="999")
    home.sync("BARLOV1")
    # as the table's own run does, which writes its own document and looks at nothing else
    with contextlib.closing(postgres.connect(home.url, "test")) as connection:
        taken = snapshot.take(home.context, connection)
        holding = holdings.holdings(connection, ["BARLOV1"])["BARLOV1"]
        table_documents.write(home.context, taken, connection, holding)

    home.document()

    assert home.rows("SELECT count(*) FROM dim.komgrp") == [(before[0][0] + 1,)]
    assert home.document(everything=True).changed == []


def test_a_table_that_cannot_be_described_stops_no_other(documented: Home) -> None:
    folder = documented.sources.store("VAN5").folder
    (folder / "manifest.json").unlink()
    documented.sources.catalogue.tableinfo_path("VAN5").unlink()
    report = documented.document(everything=True)
    assert "VAN5" in report.problems
    assert {done.table for done in report.tables} == set(SMALL) - {"VAN5"}
    os.utime(folder)


def test_values_are_plain_strings(documented: Home) -> None:
    path = documented.settings.context_dir / "column_values" / "folk1a" / "omrade.parquet"
    assert [str(field.type) for field in pq.read_schema(path)] == ["string", "string"]


def test_another_database_that_is_empty_takes_no_document_of_a_table_away(documented: Home) -> None:
    subjects_and_facts = [
        path for path in documented.files() if {"subjects", "fact", "column_values"} & set(path.parts)
    ]
    before = {path: path.read_bytes() for path in subjects_and_facts}
    documented.execute("TRUNCATE meta.period_load")
    report = documented.document()
    assert {path: path.read_bytes() for path in before} == before
    assert len(report.remarks) == 1
    assert "no table" in report.remarks[0]
