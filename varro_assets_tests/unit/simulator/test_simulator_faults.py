"""Every fault, as a client meets it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import requests

from varro_assets.simulator import Fault, Simulator, Universe, UnknownFault, faults
from varro_assets.simulator.server import Server


def bodies(simulator: Simulator, ask, kind: str, **fields) -> tuple[bytes, bytes]:
    """A good body and the one that a fault leaves of it."""
    good = ask("VAN5").content
    simulator.fault(kind, path="data", **fields)
    return good, ask("VAN5").content


def test_too_many_requests(simulator: Simulator, ask_anew) -> None:
    simulator.fault("too_many_requests", retry_after=3, count=2)
    answers = [ask_anew("FT") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "3"


@pytest.mark.parametrize(
    ("kind", "status"), [("server_error", 500), ("server_error", 502), ("maintenance", 503), ("maintenance", 200)]
)
def test_statuses_with_html(simulator: Simulator, ask_anew, kind: str, status: int) -> None:
    simulator.fault(kind, status=status)
    answer = ask_anew("FT")
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_fault_waits_for_its_table_path_and_turn(simulator: Simulator, ask_anew) -> None:
    simulator.fault("server_error", table="ft", path="data", nth=2)
    assert requests.get(f"{simulator.url}/tableinfo/FT", timeout=120).ok
    assert [ask_anew(table).status_code for table in ("BIL10", "FT", "BIL10", "FT", "FT")] == [200, 200, 200, 500, 200]


def test_a_lasting_fault_ends_when_cleared(simulator: Simulator, ask_anew) -> None:
    simulator.fault("server_error", count=None)
    assert [ask_anew("FT").status_code for _ in range(3)] == [500, 500, 500]
    requests.delete(f"{simulator.control_url}/faults", timeout=120)
    assert ask_anew("FT").ok


def test_timeout(simulator: Simulator) -> None:
    simulator.fault("timeout", seconds=120)
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{simulator.url}/tables", timeout=0.2)


def test_reset(simulator: Simulator, ask_anew) -> None:
    simulator.fault("reset")
    with pytest.raises(requests.ConnectionError):
        ask_anew("FT")
    assert ask_anew("FT").ok
    assert [line.status for line in simulator.requests] == [0, 200]


@pytest.mark.parametrize("size", [0, 10, 5_000, 10_000_000])
def test_cut_always_breaks_the_stream(simulator: Simulator, ask_anew, size: int) -> None:
    simulator.fault("cut", path="data", bytes=size)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask_anew("VAN5")
    assert ask_anew("VAN5").ok


def test_cut_keeps_the_bytes_before_it(simulator: Simulator, ask_anew) -> None:
    good = ask_anew("FT").content
    simulator.fault("cut", bytes=50)
    connection = http.client.HTTPConnection(urlsplit(simulator.root).netloc)
    connection.request("GET", "/v1/data/FT/BULK?HOVEDDELE=*&Tid=*&valuePresentation=Code")
    with closing(connection), pytest.raises(http.client.IncompleteRead) as broken:
        connection.getresponse().read()
    assert good.startswith(broken.value.partial)
    assert 0 < len(broken.value.partial) <= 50


def test_cut_of_metadata_misses_its_length(simulator: Simulator) -> None:
    simulator.fault("cut", bytes=50)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="more expected"):
        requests.get(f"{simulator.url}/tables", timeout=120)


def test_truncated(simulator: Simulator, ask_anew) -> None:
    good, bad = bodies(simulator, ask_anew, "truncated")
    assert good.startswith(bad)
    assert len(bad) == len(good) - 4
    assert not bad.endswith(b"\n")


def test_short(simulator: Simulator, ask_anew) -> None:
    good, bad = bodies(simulator, ask_anew, "short", keep=0.5)
    lines = good.splitlines()
    assert bad.endswith(b"\r\n")
    assert set(bad.splitlines()) < set(lines)
    assert bad.splitlines()[0] == lines[0]
    assert len(bad.splitlines()) - 1 == (len(lines) - 1) // 2


def test_garbage(simulator: Simulator, ask_anew) -> None:
    good, bad = bodies(simulator, ask_anew, "garbage")
    different = [(a, b) for a, b in zip(good.splitlines(), bad.splitlines(), strict=True) if a != b]
    assert len(different) == 1
    assert different[0][1] == different[0][0].rpartition(b";")[0] + b";abc"


def test_duplicate(simulator: Simulator, ask_anew) -> None:
    good, bad = bodies(simulator, ask_anew, "duplicate")
    header, first, *rest = good.splitlines()
    assert bad.splitlines() == [header, first, first, *rest]


@pytest.mark.parametrize("kind", ["short", "garbage", "duplicate", "truncated"])
def test_changes_of_rows_leave_an_empty_period_readable(simulator: Simulator, ask_anew, kind: str) -> None:
    simulator.fault(kind, path="data")
    text = ask_anew("FT", values={"HOVEDDELE": ["*"], "Tid": ["1834"]}).text
    assert text == ("HOVEDDELE;TID;INDHO" if kind == "truncated" else "HOVEDDELE;TID;INDHOLD\r\n")


def test_wrong_header(simulator: Simulator, ask_anew) -> None:
    good, bad = bodies(simulator, ask_anew, "wrong_header")
    assert bad.splitlines()[0].endswith(b";VALUE")
    assert bad.splitlines()[1:] == good.splitlines()[1:]


def test_html_and_error_with_status_200(simulator: Simulator, ask_anew) -> None:
    simulator.fault("html")
    simulator.fault("error_200", nth=2)
    html, error = ask_anew("FT"), ask_anew("FT")
    assert (html.status_code, html.text[:9]) == (200, "<!DOCTYPE")
    assert (error.status_code, error.json()["errorTypeCode"]) == (200, "EXTRACT-FAILED")


def test_slow(simulator: Simulator, ask_anew, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is slept between the pieces: how long all of it takes depends on the machine as well."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(faults, "time", SimpleNamespace(sleep=sleep))
    good = ask_anew("FT").content
    assert slept == []
    simulator.fault("slow", rate=len(good) * 2)
    start = time.monotonic()
    assert ask_anew("FT").content == good
    assert time.monotonic() - start > 0.4
    assert sum(slept) == pytest.approx(0.5)
    assert max(slept) < 0.1


def test_oversized_is_about_rows_and_lasts(simulator: Simulator, ask_anew) -> None:
    simulator.fault("oversized", count=None, rows=200)
    values = {"OMRÅDE": ["*"], "KØN": ["*"], "INDVLAND": ["*"]}
    one, all_ = (ask_anew("VAN5", values=values | {"Tid": tid}).status_code for tid in (["2024"], ["*"]))
    assert (one, all_) == (200, 500)
    assert ask_anew("VAN5", "CSV").status_code == 200


def test_unknown_faults_are_refused(simulator: Simulator) -> None:
    with pytest.raises(UnknownFault):
        Fault("earthquake")
    with pytest.raises(UnknownFault):
        simulator.fault("publish")
    url = f"{simulator.control_url}/faults"
    assert requests.post(url, json={"kind": "cut", "colour": "red"}, timeout=120).status_code == 400
    assert requests.post(url, json={"kind": "cut", "bytes": 9}, timeout=120).json()["bytes"] == 9
    assert [fault["kind"] for fault in requests.get(url, timeout=120).json()] == ["cut"]


def test_the_log_has_what_was_asked(simulator: Simulator, ask_anew) -> None:
    requests.get(f"{simulator.url}/tables?lang=en", timeout=120, headers={"User-Agent": "tester/1"})
    ask_anew("FT")
    simulator.fault("server_error")
    requests.get(f"{simulator.url}/tableinfo/FT", timeout=120)
    tables, data, info = requests.get(f"{simulator.control_url}/requests", timeout=120).json()
    assert (tables["path"], tables["status"], tables["user_agent"]) == ("/v1/tables?lang=en", 200, "tester/1")
    assert (data["method"], data["function"], data["table"]) == ("POST", "data", "FT")
    assert '"BULK"' in data["body"]
    assert info["status"] == 500
    assert tables["time"] <= data["time"] <= info["time"]


def test_many_at_once(simulator: Simulator, ask_anew) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda table: ask_anew(table).content, ["FT", "VAN5", "BIL10", "KORN2"] * 10))
    assert len(set(answers)) == 4


def test_a_stopped_simulator_is_gone_even_for_open_connections_and_returns_at_its_address() -> None:
    simulator = Simulator(Universe.demo())
    with pytest.raises(RuntimeError):
        _ = simulator.url
    url = simulator.start().url
    with requests.Session() as session:
        assert session.get(f"{url}/tables", timeout=120).ok
        simulator.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(f"{url}/tables", timeout=120)
        assert simulator.start().url == url
        assert session.get(f"{url}/tables", timeout=120).ok
    simulator.stop()


def test_only_loopback() -> None:
    with pytest.raises(ValueError, match="this machine only"):
        Simulator(Universe.demo(), host="0.0.0.0")


def test_a_connection_whose_turn_had_not_come_is_not_served_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted, stopped, serve = threading.Event(), threading.Event(), Server.finish_request

    def late(self: Server, request: object, client_address: object) -> None:
        accepted.set()
        stopped.wait(120)
        serve(self, request, client_address)

    with Simulator(Universe.demo()) as simulator, socket.socket() as line:
        monkeypatch.setattr(Server, "finish_request", late)
        line.connect(("127.0.0.1", int(simulator.root.rpartition(":")[2])))
        line.settimeout(120)
        line.sendall(b"GET /v1/tables HTTP/1.1\r\nHost: here\r\n\r\n")
        assert accepted.wait(120)
        simulator.stop()
        stopped.set()
        with contextlib.suppress(ConnectionResetError):
            assert line.recv(100) == b""
