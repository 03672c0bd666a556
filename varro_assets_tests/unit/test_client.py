"""The client: what it sends, and what it makes of every shape of reply."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from varro_assets.engine.http import Pace, Session
from varro_assets.errors import (
    BrokenStream,
    InvalidTableId,
    MaintenancePage,
    SourceRefused,
    SourceUnavailable,
    UnexpectedResponse,
    UnknownTable,
    VarroError,
)
from varro_assets.simulator import Simulator, Universe
from varro_assets.statbank import bulk_lines
from varro_assets.statbank.client import REQUEST_ID_HEADER, StatBank
from varro_assets_tests.scripted_server import HTML_TYPE, REQUEST_ID, Reply, ScriptedServer, json_reply
from varro_assets_tests.table_bodies import body, entry, info, variable

PAGE = Reply(200, b"<!DOCTYPE html><html>Lukket</html>", content_type=HTML_TYPE)
REFUSAL = {"errorTypeCode": "EXTRACT-NOTALLOWED", "message": "Der skal vælges værdier for variabel: OMRÅDE"}
NOT_FOUND = {"errorTypeCode": "EXTRACT-NOTFOUND", "message": "Tabel findes ikke: FOLK1A"}


def client_of(url: str, tmp_path: Path, **options: Any) -> StatBank:
    fields: dict[str, Any] = {"timeout": 120.0, "attempts": 2, "backoff": 0.0, "request_id_header": REQUEST_ID_HEADER}
    return StatBank(Session(Pace(tmp_path / "pace", url, 0), **fields | options), url)


@pytest.fixture(scope="module")
def steady() -> Iterator[Simulator]:
    """One simulator for the tests that only read."""
    with Simulator(Universe.demo()) as running:
        yield running


def described(tmp_path: Path, *script: Reply) -> tuple[Any, ScriptedServer]:
    with ScriptedServer(list(script)).running() as server:
        return client_of(server.url, tmp_path).tableinfo("FOLK1A"), server


def refused(tmp_path: Path, kind: type[VarroError], *script: Reply, requests: int = 1) -> Any:
    """The error that ``tableinfo`` makes of a reply; it names what was tried, on what, and the request."""
    with ScriptedServer(list(script)).running() as server:
        client = client_of(server.url, tmp_path)
        with pytest.raises(VarroError) as caught:
            client.tableinfo("FOLK1A")
        assert len(server.requests) == client.request_count == requests
    assert type(caught.value) is kind
    told = str(caught.value)
    assert "fetch the description of table FOLK1A" in told
    assert REQUEST_ID in told
    assert caught.value.todo
    return caught.value


def rows(tmp_path: Path, *script: Reply, read: bool = True) -> bytes:
    with ScriptedServer(list(script)).running() as server:
        client = client_of(server.url, tmp_path)
        with client.bulk(info(), ["2024K1"]) as chunks:
            return b"".join(chunks) if read else next(chunks)


# -- what is sent ------------------------------------------------------------------------------------------------------


def test_the_request_for_data_names_every_code(tmp_path: Path) -> None:
    table = info(dimensions={"OMRÅDE": ("000", "084"), "KØN": ("M", "K", "TOT")}, tids=("2024K1", "2024K2", "2024K3"))
    with ScriptedServer([Reply(200, b"x\r\n")]).running() as server:
        with client_of(server.url + "/", tmp_path).bulk(table, ["2024K3", "2024K1"]) as chunks:
            assert b"".join(chunks) == b"x\r\n"
        assert server.requests == [
            (
                "/v1/data",
                {
                    "table": "FOLK1A",
                    "format": "BULK",
                    "lang": "da",
                    "valuePresentation": "Code",
                    "variables": [
                        {"code": "OMRÅDE", "values": ["000", "084"]},
                        {"code": "KØN", "values": ["M", "K", "TOT"]},
                        {"code": "Tid", "values": ["2024K3", "2024K1"]},
                    ],
                },
            )
        ]


def test_the_requests_for_descriptions(tmp_path: Path) -> None:
    script = [json_reply([entry("FOLK1A")]), json_reply([{"id": "1", "description": "Borgere"}]), json_reply(body())]
    with ScriptedServer(script).running() as server:
        client = client_of(server.url, tmp_path)
        assert [line.id for line in client.tables()] == ["FOLK1A"]
        assert [node.id for node in client.subjects()] == ["1"]
        made, raw = client.tableinfo(" folk1a ")
        assert (made.id, raw) == ("FOLK1A", body())
        assert server.requests == [
            ("/v1/tables", {"lang": "da"}),
            ("/v1/subjects", {"lang": "da", "recursive": True, "includeTables": True}),
            ("/v1/tableinfo", {"table": "FOLK1A", "lang": "da"}),
        ]
        assert client.request_count == 3


@pytest.mark.parametrize("table", ["", "a", "FOLK'1A", 'FOLK"1A', "FOLK/1A", "../FOLK", "FOLK1A;DROP", "ENSTOR123"])
def test_a_table_id_that_cannot_be_one_is_not_asked_for(tmp_path: Path, table: str) -> None:
    with ScriptedServer([json_reply(body())]).running() as server:
        with pytest.raises(InvalidTableId):
            client_of(server.url, tmp_path).tableinfo(table)
        assert server.requests == []


def test_everything_the_simulator_publishes_is_understood(steady: Simulator, tmp_path: Path) -> None:
    client = client_of(steady.url, tmp_path)
    ids = [line.id for line in client.tables()]
    assert sorted(ids) == sorted(table.id for table in steady.universe.tables() if table.active)
    assert client.server.startswith("varro-simulator")
    assert {table.id for root in client.subjects() for path in root.walk() for table in path[-1].tables} >= set(ids)
    for table in ids[:4]:
        made, raw = client.tableinfo(table.lower())
        assert made.id == raw["id"] == table
        with client.bulk(made, made.tids[-1:]) as chunks:
            header, _, _ = b"".join(chunks).decode().partition("\r\n")
        assert header == ";".join(made.columns)


def test_a_table_nobody_has(steady: Simulator, tmp_path: Path) -> None:
    with pytest.raises(UnknownTable) as caught:
        client_of(steady.url, tmp_path).tableinfo("NOSUCH1")
    assert "NOSUCH1" in str(caught.value)
    assert "varro search" in str(caught.value)
    assert isinstance(caught.value.__cause__, SourceRefused)


def test_a_period_that_has_disappeared(steady: Simulator, tmp_path: Path) -> None:
    client = client_of(steady.url, tmp_path)
    made, _ = client.tableinfo(steady.universe.tables()[0].id)
    with pytest.raises(SourceRefused) as caught, client.bulk(made, [*made.tids[-1:], "1066"]):
        pytest.fail("the request was answered")
    assert (caught.value.code, caught.value.status) == ("EXTRACT-NOTFOUND", 400)
    assert "1066" in str(caught.value)


# -- descriptions of the wrong shape -----------------------------------------------------------------------------------


def test_a_page_in_place_of_a_description_is_maintenance(tmp_path: Path) -> None:
    error = refused(tmp_path, MaintenancePage, PAGE)
    assert error.transient


def test_a_page_with_status_503_is_asked_again(tmp_path: Path) -> None:
    busy = Reply(503, PAGE.body, content_type=HTML_TYPE)
    error = refused(tmp_path, SourceUnavailable, busy, requests=2)
    assert error.status == 503
    (made, _), _ = described(tmp_path, busy, json_reply(body()))
    assert made.id == "FOLK1A"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_a_page_with_a_status_of_4xx_is_no_maintenance(tmp_path: Path, status: int) -> None:
    """A wrong address answers with a page for ever; as transient it would be asked for ever."""
    error = refused(tmp_path, UnexpectedResponse, Reply(status, PAGE.body, content_type=HTML_TYPE))
    assert f"HTTP {status}" in str(error)
    assert "DST_API_URL" in str(error)
    assert not error.transient


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", [HTML_TYPE, "text/plain"])
def test_a_redirection_is_refused_with_its_target(tmp_path: Path, status: int, kind: str) -> None:
    target = "https://api.statbank.dk/v1/tableinfo"
    moved = Reply(status, b"<html>Moved</html>", headers={"Location": target}, content_type=kind)
    error = refused(tmp_path, UnexpectedResponse, moved)
    assert target in str(error)
    assert "set DST_API_URL" in str(error)
    assert not error.transient


@pytest.mark.parametrize("status", [200, 400])
def test_an_error_body(tmp_path: Path, status: int) -> None:
    error = refused(tmp_path, SourceRefused, json_reply(REFUSAL, status))
    assert (error.code, error.status) == ("EXTRACT-NOTALLOWED", status)
    assert REFUSAL["message"] in str(error)


@pytest.mark.parametrize("status", [200, 400])
def test_an_unknown_table(tmp_path: Path, status: int) -> None:
    refused(tmp_path, UnknownTable, json_reply(NOT_FOUND, status))


@pytest.mark.parametrize("message", [None, ""])
def test_an_error_body_without_a_message(tmp_path: Path, message: str | None) -> None:
    error = refused(tmp_path, SourceRefused, json_reply({"errorTypeCode": "REQUEST-LANGUAGE", "message": message}, 400))
    assert "REQUEST-LANGUAGE: no message" in str(error)


two_times = [variable("T1", ["1"], time=True), variable("T2", ["1"], time=True)]
without_variables = {key: value for key, value in body().items() if key != "variables"}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (json_reply(without_variables), "variables is not as documented"),
        (json_reply(body(variables=[])), "variables is not as documented"),
        (json_reply(body(variables=[variable("A", ["1"])])), "none"),
        (json_reply(body(variables=two_times)), "['T1', 'T2']"),
        (json_reply(body(dimensions={"A": ()})), "no codes for A"),
        (json_reply(body(dimensions={"A": ("1", "1")})), "A is declared twice"),
        (json_reply(body("FOLK1B")), "the description of FOLK1B"),
        (json_reply([body()]), "JSON list instead of an object"),
        (json_reply(None), "JSON NoneType instead of an object"),
        (json_reply("FOLK1A"), "JSON str instead of an object"),
        (json_reply({}), "not as documented"),
        (Reply(200, b"{'id': 'FOLK1A'}"), "not JSON: \"{'id'"),
        (Reply(200, json.dumps(body()).encode()[:-10]), "not JSON"),
        (Reply(200, b""), "an empty body"),
        (Reply(200, b"\xff\xfe\x00"), "not JSON"),
        (Reply(200, b"[" * 100_000), "not JSON"),
        (Reply(204, b""), "HTTP 204"),
        (Reply(404, b"nothing here"), "HTTP 404 without an error code: 'nothing here'"),
        (Reply(400, b'{"error": "of another kind"}'), "HTTP 400 without an error code"),
        (Reply(405, b""), "HTTP 405 without an error code: an empty body"),
    ],
)
def test_a_reply_of_the_wrong_shape(tmp_path: Path, reply: Reply, words: str) -> None:
    error = refused(tmp_path, UnexpectedResponse, reply)
    assert words in str(error)
    assert len(str(error)) < 1000


def test_a_description_that_breaks_off(tmp_path: Path) -> None:
    whole = json.dumps(body()).encode()
    error = refused(tmp_path, BrokenStream, Reply(200, whole[:50], length=len(whole)))
    assert error.transient


def test_a_compressed_or_marked_reply_is_read(tmp_path: Path) -> None:
    whole = json.dumps(body(), ensure_ascii=False).encode()
    (made, raw), _ = described(tmp_path, Reply(200, gzip.compress(whole), headers={"Content-Encoding": "gzip"}))
    assert (made.id, raw) == ("FOLK1A", body())
    (made, raw), _ = described(tmp_path, Reply(200, b"\xef\xbb\xbf" + whole))
    assert raw == body()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (json_reply([]), "no list with entries"),
        (json_reply({"tables": []}), "no list with entries"),
        (json_reply(None), "no list with entries"),
        (json_reply([entry("FOLK1A"), entry("../x")]), "(entry 2 of 2): a reply whose id"),
        (json_reply([entry("FOLK1A"), {"id": "BIL10"}]), "(entry 2 of 2)"),
        (json_reply(["FOLK1A"]), "(entry 1 of 1)"),
    ],
)
def test_a_catalogue_of_the_wrong_shape(tmp_path: Path, reply: Reply, words: str) -> None:
    with ScriptedServer([reply]).running() as server, pytest.raises(UnexpectedResponse) as caught:
        client_of(server.url, tmp_path).tables()
    assert words in str(caught.value)
    assert REQUEST_ID in str(caught.value)


def test_metadata_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("varro_assets.statbank.client.LARGEST_METADATA", 1 << 20)
    refused(tmp_path, UnexpectedResponse, Reply(200, b" " * (2 << 20)))


# -- data --------------------------------------------------------------------------------------------------------------


def test_rows_come_as_sent(tmp_path: Path) -> None:
    content = "OMRÅDE;KØN;TID;INDHOLD\r\n000;M;2024K1;1,5\r\n".encode() * 50_000
    assert rows(tmp_path, Reply(200, content, content_type="text/csv; charset=utf-8")) == content


def test_rows_that_break_off(tmp_path: Path) -> None:
    with pytest.raises(BrokenStream) as caught:
        rows(tmp_path, Reply(200, b"OMR", length=1000, content_type="text/csv"))
    for part in ("fetch data of FOLK1A, 2024K1", REQUEST_ID, "Nothing of it was stored"):
        assert part in str(caught.value)


@pytest.mark.parametrize("kind", ["cut", "reset", "timeout"])
def test_faults_of_the_wire(tmp_path: Path, simulator: Simulator, kind: str) -> None:
    made, _ = client_of(simulator.url, tmp_path).tableinfo(simulator.universe.tables()[0].id)
    simulator.fault(kind, path="data", bytes=20, seconds=120, count=None)
    expected = BrokenStream if kind == "cut" else SourceUnavailable
    # where an answer is expected, however slowly it comes, there is time for it
    client = client_of(simulator.url, tmp_path, **({"timeout": 0.3} if kind == "timeout" else {}))
    with pytest.raises(expected), client.bulk(made, made.tids[-2:]) as chunks:
        b"".join(chunks)


def test_a_page_or_an_error_in_place_of_rows(tmp_path: Path) -> None:
    with pytest.raises(MaintenancePage, match=REQUEST_ID):
        rows(tmp_path, PAGE)
    with pytest.raises(SourceRefused, match="EXTRACT-NOTALLOWED"):
        rows(tmp_path, json_reply(REFUSAL, 400))
    # with status 200 it is the reader of the rows that looks at the first byte
    with pytest.raises(SourceRefused, match="EXTRACT-NOTALLOWED"):
        bulk_lines.header_and_blocks([rows(tmp_path, json_reply(REFUSAL))], "FOLK1A", 1 << 16)


def test_fewer_attempts_where_the_answer_may_be_too_large(tmp_path: Path) -> None:
    for status, attempts in ((500, 1), (502, 1), (504, 1), (503, 4), (429, 4)):
        with ScriptedServer([Reply(status)]).running() as server:
            client = client_of(server.url, tmp_path, attempts=4)
            with pytest.raises(SourceUnavailable), client.bulk(info(), ["2024K1"], attempts_if_oversized=1):
                pytest.fail("the request was answered")
            assert len(server.requests) == attempts, status


def test_many_periods_are_told_in_few_words(tmp_path: Path) -> None:
    with ScriptedServer([Reply(400)]).running() as server:
        periods = [str(year) for year in range(1900, 2000)]
        with (
            pytest.raises(UnexpectedResponse, match=r"FOLK1A, 100 periods \(1900, 1901, 1902, \.\.\.\)"),
            client_of(server.url, tmp_path).bulk(info(tids=periods), periods),
        ):
            pytest.fail("the request was answered")


def test_an_error_of_the_reader_closes_the_stream(tmp_path: Path) -> None:
    with ScriptedServer([Reply(200, b"x" * (4 << 20), length=8 << 20), json_reply(body())]).running() as server:
        client = client_of(server.url, tmp_path)

        def read_badly() -> None:
            with client.bulk(info(), ["2024K1"]) as chunks:
                next(chunks)
                raise KeyError

        with pytest.raises(KeyError):
            read_badly()
        assert client.tableinfo("FOLK1A")[0].id == "FOLK1A"
