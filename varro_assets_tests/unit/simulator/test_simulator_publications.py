"""What a publication changes and what it leaves alone; the state file; the hooks between requests."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import requests

from varro_assets.simulator import Simulator, Universe, UnknownPublication
from varro_assets.simulator.publications import KINDS


@pytest.fixture
def universe() -> Universe:
    return Universe.demo()


def history(universe: Universe, table: str) -> dict[str, list[object]]:
    held = universe.table(table)
    return {tid: list(held.rows(tid)) for tid in held.periods}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"regress"}))
def test_every_publication_has_a_later_time_than_all_before(universe: Universe, kind: str) -> None:
    latest = max(table.updated for table in universe.tables())
    assert universe.publish(kind, "VAN5").updated > latest


def test_regress_goes_back_and_changes_nothing(universe: Universe) -> None:
    before, rows = universe.table("VAN5").updated, history(universe, "VAN5")
    assert universe.regress("VAN5").updated < before
    assert history(universe, "VAN5") == rows


def test_publish_period(universe: Universe) -> None:
    before = history(universe, "FT")
    universe.publish_period("FT")
    after = history(universe, "FT")
    assert list(after) == [*before, "2026"]
    assert after["2026"]
    assert {tid: after[tid] for tid in before} == before


def test_insert_period_fills_the_gap_and_then_goes_back(universe: Universe) -> None:
    universe.insert_period("METROX1")
    assert universe.table("METROX1").periods[:3] == ("2020U01", "2020U02", "2020U08")
    universe.insert_period("BIL10")
    assert universe.table("BIL10").periods[0] == "2006"
    universe.insert_period("FT", "1845")
    assert "1845" in universe.table("FT").periods[4:6]


def test_drop_period(universe: Universe) -> None:
    universe.drop_period("BIL10", "2010")
    universe.drop_period("BIL10")
    assert universe.table("BIL10").periods[:3] == ("2008", "2009", "2011")


def test_revise_changes_the_cells_asked_for_in_one_period(universe: Universe) -> None:
    before = history(universe, "VAN5")
    universe.revise("VAN5", "2019", cells=7)
    after = history(universe, "VAN5")
    assert {tid for tid in before if before[tid] != after[tid]} == {"2019"}
    changed = [new for old, new in zip(before["2019"], after["2019"], strict=True) if old != new]
    leaves = [row for row in changed if row[0] != "000" and row[1] != "TOT"]  # type: ignore[index]
    assert len(leaves) == 7
    universe.revise("VAN5", "2019", cells=7)
    assert history(universe, "VAN5")["2019"] not in (before["2019"], after["2019"])


def test_restate_changes_every_period(universe: Universe) -> None:
    before = history(universe, "STRAF42")
    universe.restate("STRAF42")
    assert all(before[tid] != rows for tid, rows in history(universe, "STRAF42").items())


def test_touch_changes_nothing_else(universe: Universe) -> None:
    before, info = history(universe, "KORD1"), universe.table("KORD1").info("da")
    after = universe.touch("KORD1")
    assert history(universe, "KORD1") == before
    assert after.info("da") == info | {"updated": after.updated}


def test_add_code_shows_in_the_latest_period_only(universe: Universe) -> None:
    before = history(universe, "BIL10")
    universe.add_code("BIL10", "egen", "3001")
    after = history(universe, "BIL10")
    assert universe.table("BIL10").info("da")["variables"][1]["values"][-1]["id"] == "3001"
    assert {tid for tid in before if before[tid] != after[tid]} == {"2025"}
    assert any(row[1] == "3001" for row in after["2025"])  # type: ignore[index]


def test_change_dimensions_adds_and_takes_away(universe: Universe) -> None:
    before = universe.table("BIL10")
    added = universe.change_dimensions("BIL10")
    assert len(added.dimensions) == len(before.dimensions) + 1
    assert len(added.rows("2025")[0]) == len(before.rows("2025")[0]) + 1
    assert universe.change_dimensions("BIL10").dimensions == before.dimensions
    assert [held.id for held in universe.change_dimensions("BIL10", remove="DRIV").dimensions] == ["EGEN"]


def test_shrink_for_good(universe: Universe) -> None:
    before = universe.table("VAN5").rows("2024")
    after = universe.shrink("VAN5", keep=0.25).rows("2024")
    assert len(after) == round(len(before) / 4)
    assert set(after) < set(before)


def test_a_transient_shrink_is_no_truth_and_ends(simulator: Simulator, ask_anew) -> None:
    whole = len(simulator.universe.table("VAN5").rows("2024"))
    values = {"OMRÅDE": ["*"], "KØN": ["*"], "INDVLAND": ["*"], "Tid": ["2024"]}
    simulator.universe.shrink("VAN5", "2024", keep=0.5, answers=2)
    assert len(simulator.universe.table("VAN5").rows("2024")) == whole
    ask_anew("VAN5", values=values | {"Tid": ["2023"]})
    ask_anew("VAN5", values={"Tid": ["2024"]})  # refused, so not counted
    counts = [ask_anew("VAN5", values=values).text.count("\r\n") - 1 for _ in range(3)]
    assert counts == [round(whole / 2), round(whole / 2), whole]


def test_a_table_moves_in_the_subject_tree(universe: Universe) -> None:
    before, rows = universe.table("FT"), history(universe, "FT")
    moved = universe.move("FT", to="20024")
    assert moved.subjects == ("20024",)
    assert moved.updated > before.updated
    assert moved.info("da") == before.info("da") | {"updated": moved.updated}
    assert history(universe, "FT") == rows
    silent = universe.move("FT", silent=True)
    assert (silent.subjects, silent.updated) == (("20022",), moved.updated)
    kept = universe.publish("move", "BY1", to="20004", instead_of="20003")
    assert kept.subjects == ("20021", "20004")


def test_a_move_shows_in_the_subjects(simulator: Simulator) -> None:
    def listed(subject: str) -> list[str]:
        [node] = requests.get(f"{simulator.url}/subjects/{subject}?includeTables=true", timeout=120).json()
        return [table["id"] for table in node["tables"]]

    simulator.universe.move("STRAF42", to="20005")
    assert listed("20061") == []
    assert "STRAF42" in listed("20005")


def test_labels_and_footnotes_change_without_data(universe: Universe) -> None:
    rows = history(universe, "STRAF42")
    variables = [variable["id"] for variable in universe.table("STRAF42").info("da")["variables"]]
    universe.relabel("STRAF42", "Afgørelser")
    universe.relabel("STRAF42", "lovbrud", var="OVERTRÆD")
    universe.relabel("STRAF42", "Særlove", var="OVERTRÆD", code="38")
    universe.relabel("STRAF42", code="13")
    changed = universe.annotate("STRAF42", "Første linje.\nnotes:\nanden linje", mandatory=False)
    info = changed.info("da")
    assert info["text"] == "Afgørelser"
    assert info["variables"][0]["text"] == "lovbrud"
    labels = {value["id"]: value["text"] for value in info["variables"][0]["values"]}
    assert (labels["38"], labels["13"]) == ("Særlove", "Ejendomsforbrydelser (ny)")
    assert info["footnote"] == {"text": "Første linje.\nnotes:\nanden linje", "mandatory": False}
    assert info["updated"] == universe.now.isoformat()
    assert universe.annotate("STRAF42", "").info("en")["footnote"] is None
    assert history(universe, "STRAF42") == rows
    assert [variable["id"] for variable in info["variables"]] == variables


class TestClassifications:
    def test_a_new_code_comes_last_below_its_parent(self, universe: Universe) -> None:
        before = universe.classification("nuts")
        after = universe.revise_classification("nuts", kode="199", titel="Nyby", below="03")
        added = [item for item in after.items if item not in before.items]
        assert [(item.kode, item.niveau, item.da, item.en) for item in added] == [("199", 3, "Nyby", "Nyby")]
        place = after.items.index(added[0])
        assert (after.items[place - 1].kode, after.items[place + 1].kode) == ("230", "04")
        assert [item for item in after.items if item not in added] == list(before.items)

    def test_without_arguments_a_top_code_is_added(self, universe: Universe) -> None:
        first, second = (universe.revise_classification("koen").items[-1] for _ in range(2))
        assert [(item.kode, item.niveau, item.da) for item in (first, second)] == [
            ("9001", 1, "Ny kode 9001"),
            ("9002", 1, "Ny kode 9002"),
        ]

    def test_a_title_changes_on_all_levels_or_on_one(self, universe: Universe) -> None:
        universe.revise_classification("byganv", kode="110", titel="Stuehuse", niveau=3)
        held = [item for item in universe.classification("byganv").items if item.kode == "110"]
        assert [(item.niveau, item.da) for item in held] == [(2, "Stuehuse til landbrugsejendomme"), (3, "Stuehuse")]
        universe.revise_classification("byganv", kode="110", titel="Gårde")
        held = [item for item in universe.classification("byganv").items if item.kode == "110"]
        assert [item.da for item in held] == ["Gårde", "Gårde"]

    def test_a_new_address_leaves_nothing_at_the_old(self, simulator: Simulator) -> None:
        before = simulator.universe.classification("herkomst")
        after = simulator.universe.revise_classification("herkomst", new_address=True)
        files = [f"{simulator.site_url}/klassifikationsbilag/{held.guid}csv_da" for held in (before, after)]
        old, new = (requests.get(file, timeout=120) for file in files)
        assert (old.status_code, new.content) == (404, before.csv("da"))
        page = f"{simulator.site_url}/da/Statistik/dokumentation/nomenklaturer/herkomst"
        assert after.guid in requests.get(page, timeout=120).text

    def test_the_site_shows_a_revision(self, simulator: Simulator) -> None:
        held = simulator.universe.revise_classification("koen", kode="3", titel="Uoplyst")
        body = requests.get(f"{simulator.site_url}/klassifikationsbilag/{held.guid}csv_da", timeout=120).content
        assert body.endswith(b'3;"3";1;Uoplyst;;;;;;\r\n')

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("nosuch", {}),
            ("nuts", {"kode": "x", "below": "nosuch"}),
            ("nuts", {"kode": "101"}),
            ("nuts", {"kode": "101", "titel": "København"}),
            ("nuts", {"kode": "101", "titel": "Ny", "niveau": 1}),
            ("nuts", {"color": "red"}),
        ],
    )
    def test_impossible_revisions_leave_everything_as_it_was(self, universe: Universe, name: str, arguments) -> None:
        before = universe.classifications()
        with pytest.raises(UnknownPublication):
            universe.revise_classification(name, **arguments)
        assert universe.classifications() == before
        assert universe.publications == []

    def test_over_http_and_after_an_answer(self, simulator: Simulator) -> None:
        made = {"kind": "revise_classification", "classification": "koen", "kode": "3", "titel": "Uoplyst"}
        answer = requests.post(f"{simulator.control_url}/publish", json=made, timeout=120).json()
        assert (answer["classification"], answer["items"]) == ("koen", 3)
        simulator.fault("publish", path="site", then=made | {"titel": "Ukendt"})
        listing = f"{simulator.site_url}/da/Statistik/dokumentation/nomenklaturer"
        assert requests.get(listing, timeout=120).ok
        assert simulator.universe.classification("KOEN").items[-1].da == "Ukendt"
        refused = requests.post(f"{simulator.control_url}/publish", json=made | {"classification": "no"}, timeout=120)
        assert (refused.status_code, refused.json()) == (400, {"error": "there is no classification no"})
        for nameless in ({"kind": "touch"}, {"kind": "revise_classification", "table": "FT"}, {"table": "FT"}):
            assert requests.post(f"{simulator.control_url}/publish", json=nameless, timeout=120).status_code == 400
        assert requests.get(simulator.control_url, timeout=120).json()["publications"] == [
            made,
            made | {"titel": "Ukendt"},
        ]


def test_the_new_kinds_are_replayed(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    with Simulator(Universe.demo(), state_file=state) as first:
        first.universe.move("FT")
        first.universe.move("STRAF42", to="20005", silent=True)
        first.universe.relabel("BIL10", "Biler")
        first.universe.annotate("BIL10", "Noter: ingen")
        first.universe.revise_classification("nuts", kode="199", titel="Nyby", below="03")
        first.universe.revise_classification("nuts", new_address=True)
        tables, classifications = first.universe.tables(), first.universe.classifications()
        made = first.universe.publications
    with Simulator(Universe.demo(), state_file=state) as second:
        assert second.universe.tables() == tables
        assert second.universe.classifications() == classifications
        assert second.universe.publications == made
        assert len(state.read_text("utf-8").splitlines()) == 6
        second.reset()
        assert second.universe.classifications() == Universe.demo().classifications()


def test_withdrawn_tables_leave_the_catalogue(simulator: Simulator) -> None:
    simulator.universe.withdraw("FT")
    simulator.universe.withdraw("BIL10", vanish=True)
    simulator.universe.deactivate("KORD1")
    listed = {t["id"] for t in requests.get(f"{simulator.url}/tables?includeInactive=true", timeout=120).json()}
    active = {t["id"] for t in requests.get(f"{simulator.url}/tables", timeout=120).json()}
    assert not {"FT", "BIL10"} & listed
    assert "KORD1" in listed - active
    assert requests.get(f"{simulator.url}/tableinfo/FT", timeout=120).status_code == 200
    assert requests.get(f"{simulator.url}/tableinfo/BIL10", timeout=120).status_code == 400


@pytest.mark.parametrize(
    ("kind", "table", "arguments"),
    [
        ("explode", "FT", {}),
        ("touch", "NOSUCH", {}),
        ("touch", "FT", {"tid": "2025"}),
        ("revise", "FT", {"tid": "1999"}),
        ("publish_period", "FT", {"tid": "2025"}),
        ("drop_period", "FV22TOTA", {}),
        ("add_code", "FT", {"var": "NOSUCH"}),
        ("add_code", "FT", {"code": "000"}),
        ("change_dimensions", "FT", {"remove": "HOVEDDELE"}),
        ("move", "FT", {"to": "20021"}),
        ("move", "FT", {"to": "3401"}),
        ("move", "FT", {"to": "nosuch"}),
        ("move", "BY1", {"to": "20004", "instead_of": "20331"}),
        ("relabel", "FT", {"var": "NOSUCH"}),
        ("relabel", "FT", {"code": "nosuch"}),
        ("annotate", "FT", {"words": "x"}),
    ],
)
def test_impossible_publications_leave_everything_as_it_was(universe: Universe, kind, table, arguments) -> None:
    before = universe.tables()
    with pytest.raises(UnknownPublication):
        universe.publish(kind, table, **arguments)
    assert universe.tables() == before
    assert universe.publications == []


def test_the_state_file_lets_a_later_simulator_go_on(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state.jsonl"
    with Simulator(Universe.demo(), state_file=state) as first:
        first.universe.publish_period("FT")
        first.universe.revise("FT", "1801", cells=1)
        first.universe.shrink("FT", "2025", keep=0.5, answers=3)
        tables = first.universe.tables()
    with Simulator(Universe.demo(), state_file=state) as second:
        assert second.universe.tables() == tables
        assert second.universe.publish_period("FT").periods[-1] == "2027"
        assert len(state.read_text().splitlines()) == 4
        second.reset()
        assert second.universe.tables() == Universe.demo().tables()
        assert not state.exists()
    state.write_text("{nonsense\n")
    with pytest.raises(ValueError, match="delete it"):
        Simulator(Universe.demo(), state_file=state)


def test_a_publication_between_tableinfo_and_data(simulator: Simulator, ask_anew) -> None:
    simulator.fault("publish", path="tableinfo", table="FT", then={"kind": "revise", "table": "FT", "tid": "2025"})
    before = simulator.universe.table("FT").rows("2025")
    shown = requests.get(f"{simulator.url}/tableinfo/FT", timeout=120).json()
    now = simulator.universe.table("FT")
    assert now.updated > shown["updated"]
    assert now.rows("2025") != before
    assert requests.get(f"{simulator.url}/tableinfo/FT", timeout=120).json()["updated"] == now.updated


def test_a_publication_after_the_second_data_request(simulator: Simulator, ask_anew) -> None:
    simulator.fault("publish", path="data", nth=2, then={"kind": "restate", "table": "FT"})
    first, second, third = (ask_anew("FT").text for _ in range(3))
    assert first == second != third


def test_publications_over_http(simulator: Simulator) -> None:
    url = f"{simulator.control_url}/publish"
    entry = requests.post(url, json={"kind": "publish_period", "table": "BIL10"}, timeout=120).json()
    assert entry["latestPeriod"] == "2026"
    refused = requests.post(url, json={"kind": "publish_period", "table": "NOSUCH"}, timeout=120)
    assert (refused.status_code, refused.json()) == (400, {"error": "there is no table NOSUCH"})
    truth = requests.get(f"{simulator.control_url}/truth/BIL10?tid=2026", timeout=120).json()
    assert [tuple(row) for row in truth["rows"]] == simulator.universe.table("BIL10").rows("2026")
    assert truth["columns"] == ["DRIV", "EGEN", "INDHOLD"]
    overview = requests.get(simulator.control_url, timeout=120).json()
    assert overview["publications"] == [{"kind": "publish_period", "table": "BIL10"}]


def test_an_offset_changes_two_cells_and_no_sum_over_them(universe: Universe) -> None:
    before = history(universe, "KORN2")
    universe.offset("KORN2")
    after = history(universe, "KORN2")
    oldest = universe.table("KORN2").periods[0]
    assert {tid for tid in before if before[tid] != after[tid]} == {oldest}
    changed = [new[-1] - old[-1] for old, new in zip(before[oldest], after[oldest], strict=True) if old != new]  # type: ignore[index]
    assert len(changed) == 2
    assert sum(changed) == 0
    universe.offset("KORN2")
    assert history(universe, "KORN2")[oldest] not in (before[oldest], after[oldest])


@pytest.mark.parametrize("kind", ["withdraw", "deactivate"])
def test_a_table_that_left_comes_back(universe: Universe, kind: str) -> None:
    before = universe.table("VAN5")
    universe.publish(kind, "VAN5")
    universe.reinstate("VAN5")
    assert universe.table("VAN5").entry("da") == before.entry("da") | {"updated": universe.table("VAN5").updated}
    assert "VAN5" in {table.id for table in universe.tables()}


def test_a_clock_that_was_set_goes_by_minutes(universe: Universe) -> None:
    universe.set_clock(datetime(2026, 3, 2, 8, 0, 0))  # noqa: DTZ001 - Danish local time, as published
    stamps = [universe.touch(table).updated for table in ("VAN5", "BIL10", "VAN5")]
    assert stamps == ["2026-03-02T08:00:00", "2026-03-02T08:01:00", "2026-03-02T08:02:00"]
    universe.reset()
    assert universe.touch("VAN5").updated.endswith("T08:00:00")
