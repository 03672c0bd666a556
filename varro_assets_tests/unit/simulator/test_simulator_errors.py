"""Error bodies: the same texts from the same causes as recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from varro_assets.simulator import Simulator

ALL = {"OMRÅDE": ["000"], "KØN": ["TOT"], "ALDER": ["IALT"], "CIVILSTAND": ["TOT"], "Tid": ["2024K1"]}


def body(
    form: str | None = "BULK", table: str | None = "FOLK1A", values: dict[str, list[str]] = ALL, **more: Any
) -> str:
    variables = [{"code": code, "values": held} for code, held in values.items()]
    sent = {"table": table, "format": form, "variables": variables} | more
    return json.dumps({name: value for name, value in sent.items() if value is not None})


def without(variable: str) -> dict[str, list[str]]:
    return {code: held for code, held in ALL.items() if code != variable}


CAUSES = {
    "invalid_table_id": (body("CSV", "INVALIDTABLE999"), "EXTRACT-NOTFOUND", "Tabel findes ikke: INVALIDTABLE999"),
    "invalid_format": (body("AREMOS"), "REQUEST-MISSING", "Format ikke angivet, eller ikke gyldigt."),
    "missing_table_param": (body(table=None), "REQUEST-MISSING", "Der er ikke angivet nogen tabel-id."),
    "invalid_variable_code_nonstreaming": (
        body("CSV", values={"INVALIDVAR": ["1"]}),
        "EXTRACT-NOTFOUND",
        "Kan ikke finde variablen: INVALIDVAR",
    ),
    "invalid_value_code": (
        body("CSV", values={"OMRÅDE": ["999999"]}),
        "EXTRACT-NOTFOUND",
        "Kan ikke finde værdien: 999999 (OMRÅDE)",
    ),
    "malformed_json": (
        '{"table": "FOLK1A", ',
        "REQUEST-EMPTY",
        "Medsend gyldigt JSON-objekt når der postes. / Supply valid JSON-object when posting.",
    ),
    "empty_post_body": ("", "REQUEST-MISSING", "Format ikke angivet, eller ikke gyldigt."),
    "bulk_missing_variable": (
        body(values=without("OMRÅDE")),
        "EXTRACT-NOTALLOWED",
        "Der skal vælges værdier for variabel: OMRÅDE",
    ),
    "bulk_missing_tid": (
        body(values=without("Tid")),
        "EXTRACT-NOTALLOWED",
        "Der skal vælges værdier for variabel: Tid",
    ),
    "bulk_empty_values": (
        body(values=ALL | {"OMRÅDE": []}),
        "EXTRACT-NOTALLOWED",
        "Der skal vælges værdier for variabel: OMRÅDE",
    ),
    "bulk_unknown_variable_reports_first_missing": (
        body(values={"INVALIDVAR": ["1"]}),
        "EXTRACT-NOTALLOWED",
        "Der skal vælges værdier for variabel: OMRÅDE",
    ),
    "bulk_invalid_value": (
        body(values=ALL | {"OMRÅDE": ["INVALID999"]}),
        "EXTRACT-NOTFOUND",
        "Kan ikke finde værdien: INVALID999 (OMRÅDE)",
    ),
    "bulk_timeorder": (
        body(timeOrder="Ascending"),
        "EXTRACT-STREAMINGTIMESORT",
        "Der kan ikke vælges sortering af tid for streamede formater.",
    ),
    "english_value_not_found": (
        body(values=ALL | {"OMRÅDE": ["999"]}, lang="en"),
        "EXTRACT-NOTFOUND",
        "Can't find value: 999 (OMRÅDE)",
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_post_data(steady: Simulator, cause: str) -> None:
    sent, code, message = CAUSES[cause]
    answer = requests.post(f"{steady.url}/data", data=sent.encode(), timeout=120)
    assert answer.status_code == 400
    assert answer.json() == {"errorTypeCode": code, "message": message}
    assert answer.headers["Content-Type"] == "text/json; charset=utf-8"


@pytest.mark.parametrize("cause", CAUSES)
def test_the_recorded_bodies_are_the_same(recordings: Path, cause: str) -> None:
    recorded = json.loads((recordings / "errors" / "real_error_payloads.json").read_text("utf-8"))["errors"]
    [body_of_cause] = [error["body"] for error in recorded if error["id"] == cause]
    assert body_of_cause == {"errorTypeCode": CAUSES[cause][1], "message": CAUSES[cause][2]}


def test_every_recorded_error_is_reproduced(recordings: Path) -> None:
    recorded = json.loads((recordings / "errors" / "real_error_payloads.json").read_text("utf-8"))["errors"]
    elsewhere = {"get_on_data_without_format", "nonexistent_endpoint", "invalid_lang"}
    limits = {error["id"] for error in recorded if error["id"].startswith("cell_limit")}
    assert {error["id"] for error in recorded} == set(CAUSES) | elsewhere | limits


@pytest.mark.parametrize(
    ("path", "status", "code", "message"),
    [
        ("/data/FOLK1A", 400, "REQUEST-MISSING", "Format ikke angivet, eller ikke gyldigt."),
        ("/nonsense", 404, "REQUEST-NOTFOUND", "Siden kan ikke findes. / Page not found."),
        ("/tableinfo", 400, "REQUEST-MISSING", "Der er ikke angivet nogen tabel-id."),
        ("/tableinfo?table=FOLK1A", 400, "REQUEST-MISSING", "Der er ikke angivet nogen tabel-id."),
        ("/tableinfo/NOSUCH", 400, "EXTRACT-NOTFOUND", "Tabel findes ikke: NOSUCH"),
    ],
)
def test_get(steady: Simulator, path: str, status: int, code: str, message: str) -> None:
    answer = requests.get(steady.url + path, timeout=120)
    assert answer.status_code == status
    assert answer.json() == {"errorTypeCode": code, "message": message}


@pytest.mark.parametrize(
    "path", ["/subjects?lang=sv", "/tables?lang=fr", "/tableinfo/FT?lang=x", "/data/FT/CSV?lang=x"]
)
def test_language(steady: Simulator, path: str) -> None:
    answer = requests.get(steady.url + path, timeout=120)
    assert (answer.status_code, answer.json()["errorTypeCode"]) == (400, "REQUEST-LANGUAGE")


def test_the_id_field_is_not_accepted_in_a_post(steady: Simulator) -> None:
    url = f"{steady.url}/tableinfo"
    assert requests.post(url, json={"id": "FT"}, timeout=120).json()["errorTypeCode"] == "REQUEST-MISSING"
    assert requests.post(url, json={"table": "ft"}, timeout=120).json()["id"] == "FT"


def test_the_cell_limit_counts_columns_and_ignores_missing_rows(steady: Simulator) -> None:
    everything = {code: ["*"] for code in ALL}
    answer = requests.post(f"{steady.url}/data", data=body("CSV", values=everything).encode(), timeout=120)
    cells = 105 * 3 * 12 * 5 * 15 * 6
    assert cells == 1_701_000
    assert answer.json() == {
        "errorTypeCode": "REQUEST-LIMIT",
        "message": "Forespørgslen på op mod 1.701.000 celler er over begrænsningen på 1.000.000 celler for denne "
        "filtype. Anvend BULK eller andet streaming format i stedet.",
    }
    below = body("CSV", values=everything | {"Tid": ["(-n+8)"]})
    assert requests.post(f"{steady.url}/data", data=below.encode(), timeout=120).status_code == 200


def test_the_limit_message_is_the_recorded_one(recordings: Path) -> None:
    from varro_assets.simulator.problems import too_many_cells

    recorded = json.loads((recordings / "errors" / "real_error_payloads.json").read_text("utf-8"))["errors"]
    messages = {error["id"]: error["body"]["message"] for error in recorded if error["id"].startswith("cell_limit")}
    assert messages["cell_limit_jsonstat_folk1a_all"] == too_many_cells(85_210_650, 1_000_000, "da").message
    assert messages["cell_limit_csv_fv22tota"] == too_many_cells(6_224_652, 1_000_000, "da").message


def test_a_dropped_period_is_an_unknown_value(simulator: Simulator) -> None:
    simulator.universe.drop_period("FT", "1769")
    answer = requests.get(f"{simulator.url}/data/FT/BULK?HOVEDDELE=000&Tid=1769", timeout=120)
    assert answer.json()["message"] == "Kan ikke finde værdien: 1769 (Tid)"


def test_several_non_eliminable_variables_need_values(steady: Simulator) -> None:
    answer = requests.get(f"{steady.url}/data/KORN2/CSV?AKT%C3%98R=1", timeout=120)
    assert answer.json()["message"] == "Der skal vælges værdier for variabel: AFGRØDE"
