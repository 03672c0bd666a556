"""`varro document`, and what `varro show` and `varro doctor` say of documents, called as a person calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

from varro_assets_tests.ready_homes import ReadyHomes
from varro_assets_tests.unit.conftest import Varro

pytestmark = pytest.mark.slow  # whole homes


@pytest.fixture
def held(varro: Varro, warehouse_database: str, ready_homes: ReadyHomes) -> Varro:
    """Two tables and two dimensions are held and documented."""

    def fill() -> None:
        varro.follow("KORD1", "LABY43")
        varro.good("dims", "sync", "kommunegrupper", "herkomst")
        varro.good("sync")

    ready_homes.bring("documenting", varro.home, warehouse_database, fill)
    return varro


def _doc(varro: Varro, table: str = "LABY43") -> Path:
    (path,) = (varro.home / "context" / "fact").rglob(f"{table.lower()}.md")
    return path


# -- document ----------------------------------------------------------------------------------------------------------


def test_before_the_first_sync_it_says_what_to_do(varro: Varro) -> None:
    said = varro("document")
    assert (said.code, "no table is held yet" in said.words, "varro sync" in said.words) == (1, True, True)


def test_nothing_is_written_twice(held: Varro) -> None:
    assert "Documents of 2 tables: as they were." in held.good("document").words
    assert "Documents of 2 tables: as they were." in held.good("document", "--all").words


@pytest.mark.parametrize(("table", "phrase"), [("NOSUCH1", "there is no such table"), ("FOLK1A", "it is not held")])
def test_a_table_that_is_not_there(held: Varro, table: str, phrase: str) -> None:
    said = held("document", "KORD1", table)
    assert (said.code, phrase in said.words) == (1, True)


def test_what_is_missing_is_written(held: Varro) -> None:
    path = _doc(held)
    text = path.read_bytes()
    path.unlink()
    held.good("document", "KORD1")
    assert not path.exists()
    assert "1 file written" in held.good("document", "LABY43").words
    assert path.read_bytes() == text


def test_a_document_edited_by_hand_is_named_and_left(held: Varro) -> None:
    path = _doc(held)
    path.write_bytes(edited := path.read_bytes().replace(b"measure:", b"MEASURE:"))
    said = held("document", "LABY43")
    assert said.code == 1
    assert "Could not renew the document" in said.words
    assert "notes:" in said.words
    assert path.read_bytes() == edited


def test_maps_are_made(held: Varro) -> None:
    held.good("dims", "sync", "nuts")
    assert "kommuner 99 shapes" in held.good("document", "--maps").words
    assert (held.home / "context" / "geo" / "index.md").is_file()


# -- show and unfollow -------------------------------------------------------------------------------------------------


def test_show_says_what_joins_and_where_the_document_lies(held: Varro) -> None:
    said = held.good("show", "LABY43")
    assert "joins dim.kommunegrupper on f.komgrp = d.kode (exact)" in said.words
    assert f"document {_doc(held)}" in said.words
    assert "Read about it: varro docs LABY43" in said.words
    assert "document" not in held.good("show", "FOLK1A").words.replace("documented", "")


def test_what_is_no_longer_followed_keeps_its_document(held: Varro) -> None:
    said = held.good("unfollow", "LABY43")
    assert "What is held of them stays" in said.words
    assert "documents too" in said.words
    held.good("document", "--all")
    assert _doc(held).is_file()
    said = held.good("show", "LABY43")
    assert "Not followed." in said.words
    assert str(_doc(held)) in said.words


# -- doctor ------------------------------------------------------------------------------------------------------------


def test_all_is_well(held: Varro) -> None:
    assert "All is well" in held.good("doctor", "--deep").words


def test_what_is_made_of_files_is_mended(held: Varro) -> None:
    text = _doc(held).read_bytes()
    _doc(held).unlink()
    (held.home / "context" / "dim" / "herkomst.md").unlink()
    held.query("DELETE FROM dim.kommunegrupper WHERE niveau = 2")
    held.query("UPDATE dim.herkomst SET titel = 'mine' WHERE kode = (SELECT min(kode) FROM dim.herkomst)")
    held.query("DROP VIEW dim.herkomst_tree")

    said = held("doctor")

    assert said.code == 1
    for phrase in (
        "LABY43 it has no document",
        "dim.herkomst it has no document",
        "dim.kommunegrupper 98 of 103 members are not in it, 0 other rows are",
        "dim.herkomst 1 of 3 members are not in it, 1 other rows are",
        "To mend it: varro doctor --repair",
    ):
        assert phrase in said.words, phrase
    assert held("doctor").words == said.words, "without --repair nothing is mended"
    assert "Mended." in held.good("doctor", "--repair").words
    assert "All is well" in held.good("doctor", "--deep").words
    assert _doc(held).read_bytes() == text
    assert held.query("SELECT count(*) FROM dim.kommunegrupper") == [(103,)]
    assert held.query("SELECT count(*) FROM dim.herkomst_tree WHERE titel <> 'mine'") == [(3,)]


def test_a_dropped_dimension_and_a_broken_file_come_back(held: Varro) -> None:
    held.query("DROP TABLE dim.kommunegrupper CASCADE")
    (broken,) = held.home.rglob("mapping_tables/herkomst/table_da.parquet")
    broken.write_bytes(b"")
    said = held("doctor")
    assert said.code == 1
    assert "dim.kommunegrupper there is no such table" in said.words
    assert "dim.herkomst Could not read the classification file" in said.words
    assert "Mended." in held.good("doctor", "--repair").words
    assert "All is well" in held.good("doctor").words


def test_documents_of_what_was_held_before_are_told_at_once(held: Varro) -> None:
    held.query("UPDATE meta.document SET inputs_hash = ''")
    said = held("doctor")
    assert said.code == 1
    assert "2 of 2 tables links or documents of KORD1, LABY43 are not of what is held now" in said.words
    held.good("doctor", "--repair")
    held.good("doctor")


def test_what_people_wrote_is_theirs_to_mend(held: Varro) -> None:
    path = _doc(held)
    path.write_bytes(edited := path.read_bytes().replace(b"measure:", b"MEASURE:") + b"mine\n")
    for arguments in (("doctor",), ("doctor", "--repair")):
        said = held(*arguments)
        assert said.code == 1
        assert "yours to decide" in said.words
        assert "What people wrote is not mended by itself" in said.words
        assert "Mended" not in said.words
        assert path.read_bytes() == edited

    path.write_bytes(b"notes:\nmine\n")

    assert "Mended." in held.good("doctor", "--repair").words
    assert path.read_bytes().endswith(b"notes:\nmine\n")
    held.good("doctor")


def test_a_page_edited_by_hand_is_found(held: Varro) -> None:
    index = held.home / "context" / "subjects" / "index.md"
    index.write_bytes(b"mine\n" + index.read_bytes())
    said = held("doctor")
    assert said.code == 1
    assert "subjects/index.md Could not renew the document" in said.words


def test_somebody_elses_table_in_the_place_of_a_dimension_stays(held: Varro) -> None:
    held.query("ALTER TABLE dim.herkomst ADD COLUMN mine text")
    said = held("doctor", "--repair")
    assert said.code == 1
    assert "dim.herkomst" in said.words
    assert "Mended" not in said.words
    assert held.query("SELECT count(mine) FROM dim.herkomst") == [(0,)]


def test_deep_runs_the_joins(held: Varro) -> None:
    held.good("links", "set", "LABY43", "komgrp", "kommunegrupper", "--join", "komgrp = kode AND niveau = 1")
    held.good("doctor", "--deep")
    path = next(held.home.rglob("dimension_links/LABY43.json"))
    path.write_text(path.read_text().replace("niveau = 1", "niveau = 2"), encoding="utf-8")
    held.good("document")
    said = held("doctor", "--deep")
    assert said.code == 1
    assert "its link of KOMGRP to kommunegrupper does not hold: no code joins" in said.words
