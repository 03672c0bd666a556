"""Every error body the real API was seen to send, served with its status: the right error, with the API's code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from varro_assets.engine.http import Pace, Session
from varro_assets.errors import SourceRefused, UnknownTable
from varro_assets.statbank.client import REQUEST_ID_HEADER, StatBank
from varro_assets_tests.scripted_server import REQUEST_ID, Reply, ScriptedServer
from varro_assets_tests.table_bodies import info

MADE_UP = [
    ("data", 400, {"errorTypeCode": "EXTRACT-NOTFOUND", "message": "Tabel findes ikke: X1"}),
    ("data", 400, {"errorTypeCode": "EXTRACT-NOTFOUND", "message": "Kan ikke finde værdien: 2024K9 (Tid)"}),
    ("data", 400, {"errorTypeCode": "EXTRACT-NOTALLOWED", "message": "Der skal vælges værdier for variabel: A"}),
    ("data", 400, {"errorTypeCode": "REQUEST-LIMIT", "message": "Forespørgslen på op mod 85.210.650 celler er ..."}),
    ("data", 400, {"errorTypeCode": "REQUEST-EMPTY", "message": "Medsend gyldigt JSON-objekt."}),
    ("other", 404, {"errorTypeCode": "REQUEST-NOTFOUND", "message": "Siden kan ikke findes. / Page not found."}),
    ("subjects", 400, {"errorTypeCode": "REQUEST-LANGUAGE", "message": None}),
]
Refusal = tuple[str, int, dict[str, Any]]


def ask(client: StatBank, function: str) -> None:
    match function:
        case "data":
            with client.bulk(info(), ["2024K1"]):
                pytest.fail("the request was answered")
        case "subjects":
            client.subjects()
        case "tableinfo":
            client.tableinfo("FOLK1A")
        case _:
            client.tables()


@pytest.fixture(params=["made up", "recorded"])
def refusals(request: pytest.FixtureRequest) -> list[Refusal]:
    if request.param == "made up":
        return MADE_UP
    folder: Path = request.getfixturevalue("recorded")
    errors = json.loads((folder / "errors" / "real_error_payloads.json").read_text("utf-8"))["errors"]
    assert len(errors) >= 19
    return [(error["endpoint"], error["status"], error["body"]) for error in errors]


@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_refusal_has_its_class_and_code(refusals: list[Refusal], tmp_path: Path, ascii_only: bool) -> None:
    for function, status, body in refusals:
        content = json.dumps(body, ensure_ascii=ascii_only).encode()
        with ScriptedServer([Reply(status, content)]).running() as server:
            session = Session(Pace(tmp_path, server.url, 0), backoff=0.0, request_id_header=REQUEST_ID_HEADER)
            client = StatBank(session, server.url)
            with pytest.raises(SourceRefused) as caught:
                ask(client, function)
            assert client.request_count == len(server.requests) == 1, "what is refused is not asked again"
            assert type(caught.value) is SourceRefused
            assert (caught.value.code, caught.value.status) == (body["errorTypeCode"], status)
            assert not caught.value.transient
            assert (body["message"] or "no message") in str(caught.value)
            assert REQUEST_ID in str(caught.value)
            if body["errorTypeCode"].endswith("-NOTFOUND"):
                with pytest.raises(UnknownTable, match="FOLK1A"):
                    ask(client, "tableinfo")
            else:
                with pytest.raises(SourceRefused):
                    ask(client, "tableinfo")
