"""/subjects, /tables and /tableinfo, and the headers of every answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests

from varro_assets.simulator import Simulator

NOT_SIMULATED = {"x-aspnet-version", "x-powered-by", "strict-transport-security"}


@pytest.fixture
def get(steady: Simulator):
    return lambda path: requests.get(steady.url + path, timeout=120).json()


def test_tables_have_all_fields_and_end_with_time(get) -> None:
    danish, english = get("/tables"), get("/tables?LANG=EN")
    fields = ["id", "text", "unit", "updated", "firstPeriod", "latestPeriod", "active", "variables"]
    assert all(
        list(table) == fields and all(value not in {"", None} for value in map(str, table.values())) for table in danish
    )
    assert {table["variables"][-1] for table in danish} == {"tid"}
    assert {table["variables"][-1] for table in english} == {"time"}
    assert [table["id"] for table in danish] == [table["id"] for table in english]
    assert danish[0]["id"] == "FOLK1A"
    assert (danish[0]["latestPeriod"], english[0]["latestPeriod"]) == ("2025K3", "2025Q3")
    assert max(len(table["text"]) for table in english) == 80
    assert max(len(table["text"]) for table in danish) > 80


def test_inactive_tables_show_on_request_only(get) -> None:
    active = {table["id"] for table in get("/tables")}
    everything = {table["id"]: table["active"] for table in get("/tables?includeInactive=true")}
    assert everything.keys() - active == {"ADOP1", "APP212"}
    assert {table for table, is_active in everything.items() if is_active} == active
    assert {table["id"] for table in get("/tables?includeinactive=yes")} == active


def test_tables_by_subject_and_age(get, steady: Simulator) -> None:
    assert {table["id"] for table in get("/tables?subjects=20061,9")} == {"STRAF42"}
    assert "FOLK1A" in {table["id"] for table in get("/tables?subjects=1")}
    assert get("/tables?pastDays=0") == []
    recent = {table["id"] for table in get("/tables?pastdays=7")}
    assert recent == {"PRIS111", "DNVALD", "DNRENTM"}
    assert requests.get(f"{steady.url}/tables?subjects=02", timeout=120).status_code == 400


def test_a_post_is_a_get(steady: Simulator, get) -> None:
    posted = requests.post(
        f"{steady.url}/tables", json={"lang": "en", "subjects": ["1", "3"], "nonsense": 1}, timeout=5
    )
    assert posted.json() == get("/tables?lang=en&subjects=1,3")
    malformed = requests.post(f"{steady.url}/subjects", data="{", timeout=120)
    assert malformed.json() == get("/subjects")


def walk(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for node in nodes for found in [node, *walk(node["subjects"])]]


def test_subjects(get) -> None:
    top = get("/subjects")
    assert all(list(node) == ["id", "description", "active", "hasSubjects", "subjects"] for node in top)
    assert all(node["subjects"] == [] for node in top)
    tree = get("/subjects?recursive=true&includeTables=true")
    nodes = walk(tree)
    listings = [table["id"] for node in nodes for table in node["tables"]]
    assert listings.count("BY1") == listings.count("VAN5") == 2
    assert all(not node["tables"] for node in nodes if node["hasSubjects"])
    assert sum(not node["active"] for node in nodes) > 3
    assert all(node["active"] for node in walk(get("/subjects?recursive=true&omitInactiveSubjects=true")))
    [population] = get("/subjects/3401")
    assert [child["id"] for child in population["subjects"]] == ["20021", "20024", "20022", "20019", "20015"]
    assert get("/subjects?lang=en")[0]["description"] == "People"


def test_tableinfo_forms(steady: Simulator, get) -> None:
    assert (
        get("/tableinfo/folk1a")
        == get("/tableinfo?id=FOLK1A&format=json")
        == steady.universe.table("FOLK1A").info("da")
    )
    info = get("/tableinfo/FOLK1A?lang=en")
    area, *_, time = info["variables"]
    assert area["map"] == "Denmark_municipality_07"
    assert "map" not in time
    assert (time["id"], time["time"], time["elimination"]) == ("Tid", True, False)
    assert time["values"][0] == {"id": "2022K1", "text": "2022Q1"}
    assert info["description"].endswith("by region, sex, age, marital status and time")
    assert [value["id"] for value in area["values"][:3]] == ["000", "084", "101"]
    assert len(area["values"]) == 105


def test_the_answer_says_that_it_is_not_the_real_one(steady: Simulator) -> None:
    answer = requests.get(f"{steady.url}/tables", timeout=120)
    assert answer.headers["Server"].startswith("varro-simulator")
    assert UUID(answer.headers["StatbankAPI-Request-Id"])
    assert answer.headers["Cache-Control"] == "no-cache"
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_headers_are_those_recorded(steady: Simulator, recordings: Path) -> None:
    exchanges = json.loads((recordings / "http" / "exchanges_thoran.json").read_text("utf-8"))
    ours = {
        "json": requests.get(f"{steady.url}/tables", timeout=120).headers,
        "data": requests.get(f"{steady.url}/data/FOLK1A/CSV", timeout=120).headers,
    }
    assert len(exchanges) > 5
    for exchange in exchanges:
        answer = ours["data" if exchange["request"]["uri"].endswith("/data") else "json"]
        recorded = {name.lower() for name in exchange["headers"]} - NOT_SIMULATED
        assert {name.lower() for name in answer} == recorded
        for name in ("Cache-Control", "Pragma", "Expires"):
            assert answer[name] == exchange["headers"][name][0]


def test_tableinfo_has_the_recorded_shape(steady: Simulator, recordings: Path) -> None:
    recorded = json.loads((recordings / "tableinfo" / "FOLK1A_da_2025-08-11.json").read_text("utf-8"))
    ours = steady.universe.table("FOLK1A").info("da")
    assert list(ours) == list(recorded)
    assert [list(variable) for variable in ours["variables"]] == [list(variable) for variable in recorded["variables"]]
    assert [v["id"] for v in ours["variables"][0]["values"]] == [v["id"] for v in recorded["variables"][0]["values"]]
