"""Material for these tests: the recordings of the real API where they are, and a small folder like it always."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from varro_assets_tests.table_bodies import body, entry

TABLES = {
    # id -> (first period, latest period, variables)
    "FOLK1A": ("2008K1", "2009K4", {"OMRÅDE": ("000", "084"), "KØN": ("1", "2"), "ALDER": ("0", "99", "100-")}),
    "METROX1": ("2020U01", "2020U53", {"SÆSON": ("10", "11")}),
    "HISB7": ("1840:1849", "2023:2024", {"LAND": ("NA", "DK")}),
    "SCENE1": ("2006/2007", "2023/2024", {"TYPE": ("1",)}),
    "BARLOV1": ("AUG - DEC 2019", "AUG - DEC 2024", {"BARSEL": ("A",)}),
    "DNVALD": ("1983M05D10", "2024M06D30", {"VALUTA": ("EUR", "USD")}),
}
AREAS, SEXES, AGES = ("000", "084", "0600"), ("1", "2"), ("0", "99", "100-")
TIDS = ("2008K1", "2009K1")


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like the recordings."""
    folder = tmp_path_factory.mktemp("statbank")
    for name in ("tables", "subjects", "tableinfo", "data"):
        (folder / name).mkdir()

    def write(name: str, value: object) -> None:
        (folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")

    write(
        "tables/tables_active_da_made_up.json",
        [
            entry(table, firstPeriod=first, latestPeriod=latest, variables=[*map(str.lower, variables), "tid"])
            for table, (first, latest, variables) in TABLES.items()
        ],
    )
    leaf = {"id": "20021", "description": "Population / growth ", "active": True, "hasSubjects": False, "subjects": []}
    people = {"id": "1", "description": "People", "active": True, "hasSubjects": True, "subjects": [leaf]}
    write("subjects/subjects_recursive_en_made_up.json", [people])
    for table, (first, latest, variables) in TABLES.items():
        write(f"tableinfo/{table}_da_made_up.json", body(table, variables, (first, latest)))
    rows = [
        f"{area};{sex};{age};{tid};{number}"
        for number, (area, sex, age, tid) in enumerate(
            (area, sex, age, tid) for area in AREAS for sex in SEXES for age in AGES for tid in TIDS
        )
    ]
    content = "\n".join(["OMRÅDE;KØN;ALDER;TID;INDHOLD", *rows]) + "\n"
    (folder / "data" / "FOLK1A_csv_codes_made_up.csv").write_text(content, encoding="utf-8")
    weeks = ("2020U01;37,7", "2020U08;105,0", "2020U53;..")
    content = "\n".join(["SÆSON;TID;INDHOLD", *(f"Sæsonkorrigeret;{week}" for week in weeks)]) + "\n"
    (folder / "data" / "METROX1_bulk_da_head_made_up.txt").write_text(content, encoding="utf-8")
    (folder / "data" / "STRAF42_csv_made_up.csv").write_bytes(
        b"\xef\xbb\xbfHERKOMST1;TID;INDHOLD\r\nTotal;2023;233454\r\n"
    )
    return folder


@pytest.fixture(params=["made up", "recorded"])
def material(request: pytest.FixtureRequest) -> Path:
    """Either folder; the test skips for the second where it is absent."""
    folder: Path = request.getfixturevalue("made_up" if request.param == "made up" else "recorded")
    return folder


def only(folder: Path, pattern: str) -> Path:
    """The one file that matches."""
    (path,) = folder.glob(pattern)
    return path
