"""`varro dims`, called as a person calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from varro_assets.cli import dims
from varro_assets_tests.ready_homes import ReadyHomes
from varro_assets_tests.unit.conftest import Varro

HEADER = "SEKVENS;KODE;NIVEAU;TITEL"


@pytest.fixture
def linked(varro: Varro, warehouse_database: str, ready_homes: ReadyHomes) -> Varro:
    """Two tables are held, and the classification that one of them joins."""

    def fill() -> None:
        varro.follow("KORD1", "LABY43")
        varro.good("dims", "sync", "kommunegrupper")
        varro.good("sync")

    ready_homes.bring("dims", varro.home, warehouse_database, fill)
    return varro


def _file(varro: Varro, *lines: str, header: str = HEADER) -> Path:
    path = varro.home / "mine.csv"
    path.write_text("\r\n".join((header, *lines)) + "\r\n", encoding="utf-8")
    return path


def test_before_anything_is_held_it_says_what_there_is(varro: Varro) -> None:
    said = varro.good("dims", "list")
    assert said.out == ""
    assert "Known, not held: " in said.words
    assert "nuts" in said.words
    assert "varro dims sync NAME ..., or --all" in said.words
    assert "No dimension is held yet." in varro.good("dims", "sync").words
    said = varro("dims", "show", "nuts")
    assert (said.code, "it is not held" in said.words, "varro dims sync nuts" in said.words) == (1, True, True)


def test_dimensions_come_in_before_any_table(varro: Varro) -> None:
    said = varro.good("dims", "sync", "nuts")
    assert "nuts changed, 115 members on 3 levels" in said.words
    assert "No table is held yet; links and documents come with: varro sync" in said.words
    assert varro.query("SELECT count(*) FROM dim.nuts") == [(115,)]
    assert "nuts unchanged" in varro.good("dims", "sync").words


def test_the_list_is_lines_of_cells_in_a_pipe(linked: Varro) -> None:
    lines = [line.split("\t") for line in linked.good("dims", "list").out.splitlines()]
    assert lines[0] == ["dimension", "title", "levels", "members", "from"]
    assert [line[:4] for line in lines[1:]] == [["kommunegrupper", "Kommunegrupper, v1:2018-", "2", "103"]]


def test_a_dimension_is_shown_as_a_tree(linked: Varro) -> None:
    said = linked.good("dims", "show", "kommunegrupper", "--depth", "1")
    assert "dim.kommunegrupper" in said.out
    assert "98 members below level 1: --depth 2" in said.words
    assert len(linked.good("dims", "show", "kommunegrupper", "--depth", "2").out.splitlines()) > 103


def test_a_name_that_is_nearly_right_is_told(linked: Varro) -> None:
    said = linked("dims", "show", "kommunegruper")
    assert (said.code, "near: kommunegrupper" in said.words) == (1, True)


def test_one_that_cannot_be_had_stops_no_other(varro: Varro) -> None:
    said = varro("dims", "sync", "nosuch", "nuts")
    assert said.code == 1
    assert "nosuch Could not fetch the classification nosuch: no address of it is known." in said.words
    assert "nuts changed" in said.words


def test_what_the_publisher_lacks_is_said(varro: Varro) -> None:
    file = _file(varro, "1;A;1;Alfa")
    varro.good("dims", "add", "mine", "--csv", str(file), "--page", "/da/Statistik/dokumentation/nomenklaturer/nosuch")
    assert "no page at" in varro.good("dims", "sync", "mine").words
    assert "no page at" not in varro.good("dims", "sync", "nuts").words


def test_a_file_of_ones_own(linked: Varro) -> None:
    file = _file(linked, "1;A;1;Alfa", "2;A1;2;[b]Alfa et", "3;B;1;Beta")
    said = linked.good("dims", "add", "mine", "--csv", str(file))
    assert "varro dims sync mine" in said.words
    assert "mine changed, 3 members on 2 levels" in linked.good("dims", "sync", "mine").words
    assert linked.query("SELECT kode, parent_kode FROM dim.mine ORDER BY kode") == [
        ("A", None),
        ("A1", "A"),
        ("B", None),
    ]
    assert "A1 [b]Alfa et" in linked.good("dims", "show", "mine").words
    assert "Removed mine." in linked.good("dims", "remove", "mine").words
    assert linked("dims", "show", "mine").code == 1
    assert linked("dims", "remove", "mine").code == 1


@pytest.mark.parametrize(
    ("lines", "phrase"),
    [
        (("1;A;1;Alfa", "2;A1;3;Alfa et"), "line 3 ('A1', level 3): a level is skipped"),
        (("1;A1;2;Alfa et", "2;A;1;Alfa"), "line 2 ('A1', level 2): nothing stands above it"),
        (("1;A;1;Alfa", "2;A;1;Igen"), "line 3 ('A', level 1): the same code stands on this level already"),
        (("1;A;1;Alfa", "2;;1;Beta"), "line 3 ('', level 1): the code is blank"),
        (("1;A;x;Alfa",), "NIVEAU"),
        ((), "no lines"),
    ],
)
def test_a_file_that_is_no_hierarchy_is_not_even_added(varro: Varro, lines: tuple[str, ...], phrase: str) -> None:
    said = varro("dims", "add", "mine", "--csv", str(_file(varro, *lines)))
    assert said.code == 1
    assert phrase in said.words
    assert not (varro.home / "classifications.toml").exists()


def test_a_file_that_goes_bad_later_leaves_what_is_held(varro: Varro) -> None:
    varro.good("dims", "add", "mine", "--csv", str(_file(varro, "1;A;1;Alfa")))
    varro.good("dims", "sync", "mine")
    _file(varro, "1;A;1;Alfa", "2;A1;3;Alfa et")
    said = varro("dims", "sync", "mine")
    assert (said.code, "a level is skipped" in said.words) == (1, True)
    assert varro.query("SELECT kode FROM dim.mine") == [("A",)]


def test_lines_without_a_code_may_be_left_out(varro: Varro) -> None:
    varro.good("dims", "add", "mine", "--skip-blank", "--csv", str(_file(varro, "1;A;1;Alfa", "2;;1;Beta")))
    assert "mine changed, 1 member on 1 level" in varro.good("dims", "sync", "mine").words


@pytest.mark.parametrize(
    "arguments",
    [("mine",), ("Bad name!", "--csv", "x.csv"), ("mine", "--csv", "nosuch.csv"), ("mine", "--page", "ftp://x")],
)
def test_what_cannot_be_added_says_so(varro: Varro, arguments: tuple[str, ...]) -> None:
    said = varro("dims", "add", *arguments)
    assert said.code == 1
    assert "Traceback" not in said.words
    assert not (varro.home / "classifications.toml").exists()


def test_a_built_in_one_can_be_had_from_elsewhere_and_back(varro: Varro) -> None:
    said = varro.good("dims", "add", "nuts", "--csv", str(_file(varro, "1;A;1;Alfa")))
    assert "It is a built-in name: this address goes before it until varro dims remove nuts" in said.words
    assert "It is built in, and comes back with: varro dims sync nuts" in varro.good("dims", "remove", "nuts").words


def test_one_that_people_link_to_is_not_removed(linked: Varro) -> None:
    linked.good("links", "set", "LABY43", "komgrp", "kommunegrupper")
    said = linked("dims", "remove", "kommunegrupper")
    assert said.code == 1
    assert "linked by hand to it: LABY43 KOMGRP" in said.words
    assert linked.query("SELECT count(*) FROM dim.kommunegrupper") == [(103,)]
    linked.good("links", "remove", "LABY43", "komgrp")
    linked.good("dims", "remove", "kommunegrupper")
    assert linked.query("SELECT to_regclass('dim.kommunegrupper')") == [(None,)]


def test_a_classification_that_comes_after_the_code_list_wins(varro: Varro) -> None:
    varro.follow("VAN5")
    varro.good("sync")
    assert "dim.nuts" not in varro.good("links", "show", "VAN5").out
    varro.good("dims", "sync", "nuts")
    assert "omrade dim.nuts exact" in varro.good("links", "show", "VAN5").words


def test_what_is_no_file_leaves_what_is_held(varro: Varro) -> None:
    varro.good("dims", "sync", "koen")
    fault = varro.simulator.fault("html", path="/site/klassifikationsbilag", count=None)
    said = varro("dims", "sync", "koen")
    assert fault.seen
    assert (said.code, "koen Could not read the classification file" in said.words) == (1, True)
    assert varro.query("SELECT count(*) FROM dim.koen") == [(2,)]


def test_the_simulated_publisher_has_known_names() -> None:
    assert {"nuts", "koen", "kommunegrupper"} <= dims.simulated()
