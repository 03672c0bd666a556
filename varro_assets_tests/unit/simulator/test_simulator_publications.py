"""What a publication changes and what it leaves alone; the state file; the hooks between requests."""

from __future__ import annotations

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


def test_withdrawn_tables_leave_the_catalogue(simulator: Simulator) -> None:
    simulator.universe.withdraw("FT")
    simulator.universe.withdraw("BIL10", vanish=True)
    simulator.universe.deactivate("KORD1")
    listed = {t["id"] for t in requests.get(f"{simulator.url}/tables?includeInactive=true", timeout=5).json()}
    active = {t["id"] for t in requests.get(f"{simulator.url}/tables", timeout=5).json()}
    assert not {"FT", "BIL10"} & listed
    assert "KORD1" in listed - active
    assert requests.get(f"{simulator.url}/tableinfo/FT", timeout=5).status_code == 200
    assert requests.get(f"{simulator.url}/tableinfo/BIL10", timeout=5).status_code == 400


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
    shown = requests.get(f"{simulator.url}/tableinfo/FT", timeout=5).json()
    now = simulator.universe.table("FT")
    assert now.updated > shown["updated"]
    assert now.rows("2025") != before
    assert requests.get(f"{simulator.url}/tableinfo/FT", timeout=5).json()["updated"] == now.updated


def test_a_publication_after_the_second_data_request(simulator: Simulator, ask_anew) -> None:
    simulator.fault("publish", path="data", nth=2, then={"kind": "restate", "table": "FT"})
    first, second, third = (ask_anew("FT").text for _ in range(3))
    assert first == second != third


def test_publications_over_http(simulator: Simulator) -> None:
    url = f"{simulator.control_url}/publish"
    entry = requests.post(url, json={"kind": "publish_period", "table": "BIL10"}, timeout=5).json()
    assert entry["latestPeriod"] == "2026"
    refused = requests.post(url, json={"kind": "publish_period", "table": "NOSUCH"}, timeout=5)
    assert (refused.status_code, refused.json()) == (400, {"error": "there is no table NOSUCH"})
    truth = requests.get(f"{simulator.control_url}/truth/BIL10?tid=2026", timeout=5).json()
    assert [tuple(row) for row in truth["rows"]] == simulator.universe.table("BIL10").rows("2026")
    assert truth["columns"] == ["DRIV", "EGEN", "INDHOLD"]
    overview = requests.get(simulator.control_url, timeout=5).json()
    assert overview["publications"] == [{"kind": "publish_period", "table": "BIL10"}]
