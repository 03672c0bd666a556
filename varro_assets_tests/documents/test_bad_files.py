"""Files and relations that are not as they should be: each stops what needs it, says so, and stops nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from varro_assets.context import column_values, doc_file, documents, table_documents
from varro_assets.context.sources import open_context
from varro_assets.context.text import examples
from varro_assets.context.text.examples import Example
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.engine import files, postgres
from varro_assets.engine.postgres import Cursor
from varro_assets.errors import StorageFull
from varro_assets_tests.documents.conftest import FEW, Home, note

pytestmark = pytest.mark.slow  # whole homes


def changed(home: Home, *tables: str) -> None:
    """Something to write for each of these."""
    for table in tables or FEW:
        home.simulator.universe.annotate(table, text="Noget nyt.")
        home.sync(table)


def in_place_of(path: Path) -> None:
    """A folder where a file should be."""
    path.unlink()
    path.mkdir()
    (path / "own.txt").write_text("mine", "utf-8")


@pytest.mark.parametrize(
    ("spoilt", "on"),
    [
        (lambda home: home.fact_doc("BY1"), "BY1"),
        (lambda home: home.settings.links_dir / "BY1.json", "BY1"),
        (lambda home: home.settings.context_dir / "column_values/by1/kon.parquet", "BY1"),
        (lambda home: home.settings.context_dir / "dim/nuts.md", "nuts"),
        (lambda home: home.settings.context_dir / "column_values/nuts.parquet", "nuts"),
    ],
)
def test_a_folder_where_a_file_should_be(few: Home, spoilt: Callable[[Home], Path], on: str) -> None:
    path = spoilt(few)
    in_place_of(path)
    changed(few)
    report = few.document()
    assert on in report.problems
    assert str(path) in report.problems[on] or path.name in report.problems[on]
    assert (path / "own.txt").read_text("utf-8") == "mine"
    assert {done.table for done in report.tables} == set(FEW) - {on}
    for table in set(FEW) - {on}:
        assert "Noget nyt." in few.fact_doc(table).read_text("utf-8")
    (path / "own.txt").unlink()
    path.rmdir()
    assert few.document().problems == {}
    assert path.is_file()
    assert few.document().tables == []


def test_a_folder_where_a_page_should_be(few: Home) -> None:
    page = few.settings.context_dir / "subjects/borgere/befolkning/befolkningstal.md"
    in_place_of(page)
    changed(few)
    report = few.document()
    assert set(report.problems) == {str(page)}
    (page / "own.txt").unlink()
    page.rmdir()
    assert few.document().problems == {}
    assert "\nid: by1\n" in page.read_text("utf-8")


def test_a_disk_that_takes_nothing(few: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full, or read-only: every table is named, nothing is half, and the next run does what was left."""
    before = few.files()
    changed(few)
    for error in (StorageFull("write", on="x", got="no space left"), OSError(30, "Read-only file system", "x")):
        with monkeypatch.context() as patch:

            def refuse(_path: Path, _content: bytes, error: Exception = error) -> None:
                raise error

            for module in (files, doc_file, column_values):
                patch.setattr(module, "write_bytes", refuse)
            report = few.document()
        assert set(FEW) <= report.problems.keys()
        assert few.files() == before
    assert few.document().problems == {}
    assert "Noget nyt." in few.fact_doc("VAN5").read_text("utf-8")


def test_context_through_a_link_and_a_document_that_is_one(few: Home, tmp_path: Path) -> None:
    before = few.generated()
    elsewhere, context = tmp_path / "other disk", few.settings.context_dir
    context.rename(elsewhere)
    context.symlink_to(elsewhere, target_is_directory=True)
    document = few.fact_doc("BY1")
    document.rename(tmp_path / "by1.md")
    document.symlink_to(tmp_path / "by1.md")
    kept = note(document, b"mine\n")
    changed(few, "BY1")
    assert few.document().problems == {}
    assert few.generated().keys() == before.keys()
    assert few.fact_doc("BY1").read_bytes().endswith(kept)
    assert "Noget nyt." in few.fact_doc("BY1").read_text("utf-8", "replace")


def test_link_files_as_editors_leave_them(few: Home) -> None:
    path = few.settings.links_dir / "VAN5.json"
    listed = json.loads(path.read_text("utf-8"))
    assert listed
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(listed, indent=2).replace("\n", "\r\n").encode())
    assert few.document().problems == {}
    assert json.loads(path.read_text("utf-8-sig")) == listed
    # whoever takes a link over as his own keeps it
    mine = [{key: value for key, value in listed[0].items() if key != "made_by"} | {"note": "checked"}]
    path.write_text(json.dumps(mine), "utf-8")
    report = few.document()
    assert report.problems == {}
    assert [done.table for done in report.tables] == ["VAN5"]
    assert "checked" in path.read_text("utf-8")
    assert few.document().tables == []


@pytest.mark.parametrize("content", [b"{", b'["BY1"]', b'{"BY1": "OMR"}', b"\xff\xfe"])
def test_a_broken_list_of_unlinked_columns_stops_linking_only(few: Home, content: bytes) -> None:
    removed = few.settings.links_dir / "_removed.json"
    links = {table: (few.settings.links_dir / f"{table}.json").read_bytes() for table in FEW}
    removed.write_bytes(content)
    changed(few)
    report = few.document()
    assert set(report.problems) == {"_removed.json"}
    for table in FEW:
        assert "Noget nyt." in few.fact_doc(table).read_text("utf-8")
        assert (few.settings.links_dir / f"{table}.json").read_bytes() == links[table]
    # what was never linked waits: nobody knows what it should not be linked to
    (few.settings.links_dir / "VAN5.json").unlink()
    assert {"_removed.json", "VAN5"} == few.document().problems.keys()
    assert removed.read_bytes() == content
    removed.write_text('{"VAN5": ["OMRÅDE"]}', "utf-8")
    assert few.document().problems == {}
    assert (few.settings.links_dir / "BY1.json").read_bytes() == links["BY1"]
    assert "dim.nuts" not in few.fact_doc("VAN5").read_text("utf-8")


def test_a_column_that_may_be_linked_again_is(few: Home) -> None:
    removed, path = few.settings.links_dir / "_removed.json", few.settings.links_dir / "VAN5.json"
    before = path.read_bytes()
    removed.write_text('{"VAN5": ["OMRÅDE"]}', "utf-8")
    assert [done.table for done in few.document().tables] == ["VAN5"]
    assert path.read_bytes() != before
    removed.write_text("{}", "utf-8")
    assert [done.table for done in few.document().tables] == ["VAN5"]
    assert path.read_bytes() == before


def test_a_dimension_that_goes(few: Home) -> None:
    """Its documents go, proposals to it too; a link by hand to it stops its own table and no page."""
    context, path = few.settings.context_dir, few.settings.links_dir / "VAN5.json"
    kept = note(context / "dim/kommunegrupper.md", b"mine\n")
    mine = [{"column": "OMRÅDE", "dimension": "nuts"}]
    path.write_text(json.dumps(mine), "utf-8")
    assert few.document().problems == {}
    for name in ("nuts", "kommunegrupper"):
        few.context.library.store.remove(name)
        with postgres.connect(few.url, "test") as connection:
            DimTables(connection).drop(name)
    changed(few)
    report = few.document()
    assert set(report.problems) == {"VAN5"}
    assert "no dimension 'nuts'" in report.problems["VAN5"]
    # the map of which no classification has the codes any more makes one of its own
    assert {one["dimension"] for one in json.loads((few.settings.links_dir / "FOLK1A.json").read_text("utf-8"))} == {
        "denmark_municipality_07"
    }
    assert not (context / "dim/nuts.md").exists()
    assert not (context / "column_values/nuts.parquet").exists()
    assert (context / "dim/kommunegrupper.md").read_bytes().endswith(kept)
    assert any("kommunegrupper.md" in remark for remark in report.remarks)
    pages = [page for page in (context / "subjects").rglob("*.md") if "\nid: van5\n" in page.read_text("utf-8")]
    assert pages
    assert not any("(dim nuts" in page.read_text("utf-8") for page in pages)
    few.fetch("nuts")
    assert few.document().problems == {}
    assert all("(dim nuts" in page.read_text("utf-8") for page in pages)


def test_a_broken_link_file_stops_no_page_and_no_dimension(few: Home) -> None:
    (few.settings.links_dir / "BY1.json").write_text("[", "utf-8")
    few.simulator.universe.publish_period("FOLK1A")
    few.sync("FOLK1A")
    report = few.document()
    assert set(report.problems) == {"BY1"}
    page = (few.settings.context_dir / "subjects/borgere/befolkning/befolkningstal.md").read_text("utf-8")
    assert "\nid: by1\n" in page
    assert "to 2025-10-01" in page


def test_a_table_of_somebody_in_the_place_of_a_dimension(few: Home) -> None:
    few.execute("DROP TABLE dim.nuts CASCADE; CREATE TABLE dim.nuts (mine integer)")
    few.execute("DELETE FROM meta.dimension WHERE name = 'nuts'")
    changed(few)
    report = few.document()
    assert "nuts" in report.problems
    assert {done.table for done in report.tables} == set(FEW)
    assert few.rows("SELECT * FROM dim.nuts") == []
    assert "dim.nuts" not in few.fact_doc("FOLK1A").read_text("utf-8")


def test_a_broken_classification_file(few: Home) -> None:
    path = few.settings.classifications_dir / "nuts" / "table_da.parquet"
    whole = path.read_bytes()
    path.write_bytes(b"no parquet")
    changed(few)
    before = (few.settings.context_dir / "dim/nuts.md").read_bytes()
    report = few.document()
    assert "nuts" in report.problems
    assert {done.table for done in report.tables} == set(FEW)
    # it is held, and will be again
    assert (few.settings.context_dir / "dim/nuts.md").read_bytes() == before
    path.write_bytes(whole)
    assert few.document().problems == {}
    assert "join dim.nuts" in few.fact_doc("FOLK1A").read_text("utf-8")


def test_a_table_that_is_gone_from_the_warehouse(few: Home) -> None:
    kept = note(few.fact_doc("VAN5"), b"mine\n")
    van5 = few.fact_doc("VAN5")
    by1 = few.fact_doc("BY1")
    few.execute("DROP TABLE fact.by1, fact.van5")
    report = few.document()
    assert report.problems == {}
    assert not by1.exists()
    assert van5.read_bytes().endswith(kept)
    assert any(str(van5) in remark for remark in report.remarks)
    assert not (few.settings.context_dir / "column_values/by1").exists()
    assert (few.settings.links_dir / "BY1.json").exists()
    for page in (few.settings.context_dir / "subjects").rglob("*.md"):
        assert "\nid: by1\n" not in page.read_text("utf-8")
    assert "BY1:" not in (few.settings.context_dir / "dim/nuts.md").read_text("utf-8")
    few.sync("BY1", "VAN5")
    assert few.document().problems == {}
    assert few.fact_doc("BY1").exists()
    assert few.fact_doc("VAN5").read_bytes().endswith(kept)
    assert few.rows("SELECT count(*) FROM meta.code WHERE table_id = 'BY1' AND first_period IS NOT NULL") != [(0,)]


def test_a_table_that_left_the_catalogue_keeps_its_document(few: Home) -> None:
    kept = note(few.fact_doc("VAN5"), b"mine\n")
    few.simulator.universe.withdraw("VAN5", vanish=True)
    few.age_the_subject_tree()
    few.simulator.universe.publish_period("BY1")
    few.sync("BY1")
    assert few.document().problems == {}
    assert few.fact_doc("VAN5").parent.name == "unplaced"
    assert few.fact_doc("VAN5").read_bytes().endswith(kept)


def test_an_example_that_takes_too_long_is_left_out_and_said(few: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(few, "FOLK1A")
    slow = examples.Example("never ends", "SELECT pg_sleep(600)")
    real, finds = examples.fact_examples, examples._finds

    def patient(cursor: Cursor, example: Example, on_slow: Callable[[Example], None] | None) -> bool:
        # the second is for the one that never ends: of the others a busy machine may make one last as long
        if example is not slow:
            cursor.execute("SET LOCAL statement_timeout = '240s'")
        return finds(cursor, example, on_slow)

    monkeypatch.setattr(examples, "TIMEOUT_SECONDS", 1)
    monkeypatch.setattr(examples, "_finds", patient)
    monkeypatch.setattr(examples, "fact_examples", lambda card: (slow, *real(card)))
    report = few.document()
    assert report.problems == {}
    assert [remark for remark in report.remarks if "FOLK1A" in remark and "never ends" in remark]
    document = few.fact_doc("FOLK1A").read_text("utf-8")
    assert "Noget nyt." in document
    assert "pg_sleep" not in document
    assert "newest period" in document


def test_a_code_list_that_makes_no_dimension_stops_nothing(few: Home) -> None:
    few.context.library.store.remove("nuts")
    few.context.library.store.remove("kommunegrupper")
    folder = few.settings.classifications_dir / "denmark_municipality_07"
    folder.mkdir(parents=True)
    (folder / "table_da.parquet").mkdir()
    changed(few)
    report = few.document()
    assert "denmark_municipality_07" in report.problems
    assert {done.table for done in report.tables} == set(FEW)


def test_a_longer_list_wins_whenever_it_came(few: Home) -> None:
    """What a map's dimension is made of does not depend on the order in which tables changed."""
    for name in ("nuts", "kommunegrupper"):
        few.context.library.store.remove(name)
    assert few.document().problems == {}
    before = few.context.library.dimension("denmark_municipality_07")
    assert before is not None
    assert "FOLK1A" in before.source or "BY1" in before.source
    for table in FEW:
        changed(few, table)
        assert few.document().problems == {}
        assert few.context.library.dimension("denmark_municipality_07") == before


def test_only_the_changed_table_is_looked_at(few: Home) -> None:
    few.simulator.universe.relabel("VAN5", var="OMRÅDE", code="084", text="Region H")
    few.sync(*FEW)
    # the others were asked for and had nothing new
    assert "VAN5" in [done.table for done in few.document().tables]
    assert few.document().tables == []
    sources = open_context(few.settings, few.url)
    assert documents.write(sources).tables == []


def test_a_dimension_alone_is_documented_anew(few: Home) -> None:
    """Also where no table joins it."""
    few.execute("TRUNCATE meta.period_load")
    assert few.document().problems == {}
    few.simulator.universe.revise_classification("nuts", kode="084", titel="Region Nyt Navn")
    few.fetch("nuts")
    assert few.document().problems == {}
    assert "Region Nyt Navn" in (few.settings.context_dir / "dim/nuts.md").read_text("utf-8")


def test_a_subject_with_another_name_keeps_the_notes_of_its_page(few: Home) -> None:
    page = few.settings.context_dir / "subjects/borgere/befolkning/befolkningstal.md"
    kept, of_table = note(page, b"mine\n"), note(few.fact_doc("FOLK1A"), b"also mine\n")
    path = few.sources.catalogue.folder / "subjects.json"
    path.write_text(path.read_text("utf-8").replace('"Befolkningstal"', '"Folketal i alt"'), "utf-8")
    report = few.document()
    assert report.problems == {}
    assert not page.exists()
    new = page.with_name("folketal_i_alt.md")
    assert new.read_bytes().endswith(kept)
    assert few.fact_doc("FOLK1A").parent.name == "folketal_i_alt"
    assert few.fact_doc("FOLK1A").read_bytes().endswith(of_table)
    assert few.document(everything=True).changed == []


def test_two_subjects_that_swap_their_names(few: Home) -> None:
    subjects = few.settings.context_dir / "subjects/borgere"
    pages = sorted(subjects.rglob("*.md"))
    assert len(pages) > 1
    kept = {page: note(page, f"{page.stem}\n".encode()) for page in pages}
    path = few.sources.catalogue.folder / "subjects.json"
    text = path.read_text("utf-8")
    one, other = '"Befolkningstal"', '"Flytninger internt i Danmark"'
    assert one in text
    assert other in text
    path.write_text(text.replace(one, "%").replace(other, one).replace("%", other), "utf-8")
    few.document()
    found = b"".join(page.read_bytes() for page in subjects.rglob("*.md"))
    for notes in kept.values():
        assert notes in found


def test_two_tables_that_swap_their_subjects_and_one_that_moves_twice(few: Home) -> None:
    kept = {table: note(few.fact_doc(table), f"{table}\n".encode()) for table in ("FOLK1A", "VAN5")}
    universe = few.simulator.universe
    here, there = universe.table("FOLK1A").subjects[0], "20024"
    assert "20024" in universe.table("VAN5").subjects
    few.age_the_subject_tree()
    universe.move("FOLK1A", to=there)
    universe.move("VAN5", to="20015")
    universe.move("VAN5", to=here)
    few.sync("FOLK1A", "VAN5")
    assert few.document().problems == {}
    for table, notes in kept.items():
        assert few.fact_doc(table).read_bytes().endswith(notes)
    assert {few.fact_doc("VAN5").parent.name, few.fact_doc("FOLK1A").parent.name} == {
        "befolkningstal",
        "indvandrere_og_efterkommere",
    }
    assert few.document(everything=True).changed == []


def test_a_silent_move_is_seen_when_anything_changed(few: Home) -> None:
    few.simulator.universe.move("FOLK1A", to="20015", silent=True)
    few.sync()
    assert few.document().changed == []
    few.age_the_subject_tree()
    few.simulator.universe.publish_period("BY1")
    few.sync("BY1")
    assert few.document().problems == {}
    assert few.fact_doc("FOLK1A").parent.name == "middellevetid"


def test_a_table_of_another_shape(few: Home) -> None:
    few.simulator.universe.change_dimensions("BY1")
    few.sync("BY1")
    assert few.document().problems == {}
    values = few.settings.context_dir / "column_values/by1/datatype.parquet"
    assert "datatype" in few.fact_doc("BY1").read_text("utf-8")
    assert values.exists()
    few.simulator.universe.change_dimensions("BY1")
    few.sync("BY1")
    assert few.document().problems == {}
    assert "datatype" not in few.fact_doc("BY1").read_text("utf-8")
    assert not values.exists()


def test_the_same_periods_under_other_codes_are_something_new(few: Home) -> None:
    """Empty periods have one content; which they are still counts."""
    with postgres.connect(few.url, "test") as connection:
        before = table_documents.holdings.holdings(connection)["BY1"]
        few.execute("UPDATE meta.period_load SET tid_code = '1901' WHERE table_id = 'BY1' AND tid_code = '2024'")
        after = table_documents.holdings.holdings(connection)["BY1"]
    assert before.stamp != after.stamp
    assert replace(before, stamp="", periods=()) == replace(after, stamp="", periods=())
