"""`varro links`, called as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from varro_assets_tests.ready_homes import ReadyHomes
from varro_assets_tests.unit.conftest import Varro


@pytest.fixture
def linked(varro: Varro, warehouse_database: str, ready_homes: ReadyHomes) -> Varro:
    """Two tables are held: LABY43 joins a classification, KORD1 none."""

    def fill() -> None:
        varro.follow("KORD1", "LABY43")
        varro.good("dims", "sync", "kommunegrupper", "nuts")
        varro.good("sync")

    ready_homes.bring("links", varro.home, warehouse_database, fill)
    return varro


def _path(varro: Varro, table: str = "LABY43") -> Path:
    (path,) = varro.home.rglob(f"dimension_links/{table}.json")
    return path


def _entries(varro: Varro, table: str = "LABY43") -> list[dict[str, Any]]:
    return list(json.loads(_path(varro, table).read_text(encoding="utf-8")))


def test_before_the_first_sync_it_says_what_to_do(varro: Varro) -> None:
    for arguments in (("show", "LABY43"), ("check",), ("audit",), ("set", "LABY43", "komgrp", "nuts")):
        said = varro("links", *arguments)
        assert (said.code, "no table is held yet" in said.words, "varro sync" in said.words) == (1, True, True)


def test_a_link_is_shown_with_its_reasons(linked: Varro) -> None:
    said = linked.good("links", "show", "laby43")
    for phrase in (
        "komgrp dim.kommunegrupper exact, 100% of the codes",
        "join f.komgrp = d.kode",
        "levels 1: 5 of 5",
        "lacking 0 ",
        "(total)",
        "why score 1.00: ",
        "no dimension (",
        "LABY43.json",
    ):
        assert phrase in said.words, phrase
    assert "not nuts" not in said.words
    assert "no dimension" in linked.good("links", "show", "KORD1", "--evidence").words


@pytest.mark.parametrize(
    ("table", "phrases"),
    [
        ("NOSUCH1", ("there is no such table", "varro search WORD")),
        ("FOLK1A", ("it is not held", "varro follow FOLK1A")),
        ("a b", ("ids are",)),
    ],
)
def test_a_table_that_is_not_there(linked: Varro, table: str, phrases: tuple[str, ...]) -> None:
    for command in ("show", "check"):
        said = linked("links", command, table)
        assert said.code == 1
        assert all(phrase in said.words for phrase in phrases), said.words


def test_check_runs_every_join(linked: Varro) -> None:
    said = linked.good("links", "check")
    assert "LABY43 KOMGRP -> kommunegrupper 100.0% holds" in said.words
    assert "2 tables, none with a link that does not hold." in said.words
    linked.query("DELETE FROM dim.kommunegrupper WHERE niveau = 1 AND kode = '1'")
    said = linked("links", "check", "LABY43")
    assert said.code == 1
    assert "1 table, 1 with a link that does not hold." in said.words


def test_a_link_by_hand_is_measured_and_survives(linked: Varro) -> None:
    said = linked.good(
        "links",
        "set",
        "LABY43",
        "komgrp",
        "kommunegrupper",
        "--join",
        "komgrp = kode AND niveau = 1",
        "--note",
        "[mine]",
    )
    assert "komgrp dim.kommunegrupper approx, 100% of the codes" in said.words
    assert "levels 1: 5 of 5" in said.words
    assert "note [mine]" in said.words
    (entry,) = _entries(linked)
    assert (entry["made_by"], entry["note"], entry["levels"]) == ("hand", "[mine]", [1])
    assert entry["join_override"] == "komgrp = kode AND niveau = 1"
    before = _path(linked).read_bytes()
    linked.good("document", "--all")
    assert _path(linked).read_bytes() == before
    linked.good("links", "check")
    said = linked.good("links", "set", "LABY43", "KOMGRP", "kommunegrupper")
    assert "exact" in said.words
    assert "why by hand" in said.words


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (("nosuch", "nuts"), "the table has no such column. It has: "),
        (("komgrp", "nosuch"), "Could not find the dimension nosuch"),
        (("komgrp", "nuts"), "no code joins"),
        (("komgrp", "kommunegrupper", "--join", "komgrp = kode; DROP TABLE fact.laby43"), "it is not one condition"),
        (("komgrp", "kommunegrupper", "--join", "pg_sleep(9) = kode"), "PG_SLEEP"),
        (("komgrp", "kommunegrupper", "--join", "nosuch = kode"), "nosuch"),
        (("komgrp", "kommunegrupper", "--join", "SUBSTR(komgrp, 9) = kode"), "no code joins"),
        (("komgrp", "kommunegrupper", "--join", "CAST(komgrp AS date) = CAST(kode AS date)"), "date"),
    ],
)
def test_a_link_that_cannot_be_is_refused_and_nothing_changes(
    linked: Varro, arguments: tuple[str, ...], phrase: str
) -> None:
    before = _path(linked).read_bytes()
    said = linked("links", "set", "LABY43", *arguments)
    assert said.code == 1
    assert phrase in said.words
    assert _path(linked).read_bytes() == before
    assert linked.query("SELECT count(*) FROM fact.laby43") == [(486,)]


def test_an_unlinked_column_stays_so_until_it_is_set(linked: Varro) -> None:
    assert "LABY43 komgrp: unlinked, and stays so." in linked.good("links", "remove", "LABY43", "komgrp").words
    linked.good("document", "--all")
    assert _entries(linked) == []
    assert "had no link, and stays so." in linked.good("links", "remove", "LABY43", "komgrp").words
    linked.good("links", "set", "LABY43", "komgrp", "kommunegrupper")
    assert len(_entries(linked)) == 1


def test_the_audit_lists_links_and_what_joins_nothing(linked: Varro) -> None:
    said = linked.good("links", "audit")
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert lines[0][:3] == ["table", "column", "dimension"]
    assert lines[1][:6] == ["LABY43", "komgrp", "kommunegrupper", "exact", "100%", "1"]
    assert "KORD1.user" in said.err
    assert "LABY43" not in linked.good("links", "audit", "--subject", "Kultur og fritid").out
    said = linked("links", "audit", "--subject", "nosuch")
    assert (said.code, "there is no such subject" in said.words) == (1, True)


def test_a_broken_link_file_is_named_everywhere_and_left_alone(linked: Varro) -> None:
    path = _path(linked)
    path.write_text("{broken", encoding="utf-8")
    for arguments in (("links", "show", "LABY43"), ("links", "check"), ("document", "LABY43"), ("doctor", "--repair")):
        said = linked(*arguments)
        assert said.code == 1, arguments
        assert "it is no JSON" in said.words
    assert "it is no JSON" in linked.good("links", "audit").err
    assert "it is no JSON" in linked.good("show", "LABY43").words
    assert path.read_text(encoding="utf-8") == "{broken"


@pytest.mark.parametrize(
    ("entry", "phrase"),
    [
        ({"column": "NOSUCH", "dimension": "nuts"}, "the table has no such column"),
        ({"column": "KOMGRP", "dimension": "nosuch"}, "there is no dimension 'nosuch'"),
        ({"column": "KOMGRP", "dimension": "nuts", "join_override": "komgrp = kode; SELECT 1"}, "not one condition"),
    ],
)
def test_a_link_file_that_names_what_is_not_there(linked: Varro, entry: dict[str, str], phrase: str) -> None:
    _path(linked).write_text(json.dumps([entry]), encoding="utf-8")
    for arguments in (("links", "show", "LABY43"), ("document",), ("doctor",)):
        said = linked(*arguments)
        assert said.code == 1, arguments
        assert phrase in said.words, said.words
    assert json.loads(_path(linked).read_text(encoding="utf-8")) == [entry]
