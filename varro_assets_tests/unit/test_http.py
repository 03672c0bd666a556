"""The HTTP session: its pace over processes, what it repeats and what it does not, and what its errors say."""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from varro_assets.engine import http
from varro_assets.engine.http import LONGEST_WAIT, Pace, Session, host_of, is_transient
from varro_assets.errors import ConfigurationError, SourceUnavailable
from varro_assets_tests.scripted_server import REQUEST_ID, Reply, ScriptedServer, json_reply

OK = json_reply({"fine": True})
SLACK = 0.02
"""Seconds; sleeping goes by another clock than the one in the pace file."""
HOPELESS = 120.0
"""Seconds; ends only what would never end: a busy machine may hold anybody up for long."""


@dataclass
class Clock:
    """Stands in for `time` in the session's module: goes on by sleeping alone, so that no load changes what is slept.

    Only the name in that module is replaced: other threads of this process go by the real clock.
    """

    now: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the pace and of Retry-After."""
    made = Clock()
    monkeypatch.setattr(http, "time", made)
    return made


def session(tmp_path: Path, server: ScriptedServer, **options: Any) -> Session:
    pace = Pace(tmp_path / "pace", server.url, 0)
    fields: dict[str, Any] = {"timeout": HOPELESS, "backoff": 0.0, "request_id_header": "StatbankAPI-Request-Id"}
    return Session(pace, **fields | options)


def ask(asking: Session, url: str, **options: Any) -> tuple[int, bytes]:
    with asking.post(f"{url}/data", {"table": "T1"}, what="fetch data of", on="T1", **options) as response:
        return response.status_code, response.content


def claims_of(folder: str, url: str, gap: float, requests: int, results: Any) -> None:
    """Claim some starts; what is reported is the time the pace itself notes, under its lock."""
    write = http.write_text

    def noting(path: Path, text: str) -> None:
        write(path, text)
        results.put(float(text))

    http.write_text = noting
    pace = Pace(Path(folder), url, gap)
    for _ in range(requests):
        pace.wait()


# -- pace --------------------------------------------------------------------------------------------------------------


def assert_apart(claims: list[float], gap: float) -> None:
    claims.sort()
    assert all(later - earlier >= gap - SLACK for earlier, later in itertools.pairwise(claims))


def test_the_pace_holds_over_processes(tmp_path: Path) -> None:
    gap, context = 0.15, multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [
        context.Process(target=claims_of, args=(str(tmp_path), "https://api.example.org/v1", gap, 3, results))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    claims = [results.get(timeout=HOPELESS) for _ in range(9)]
    for process in processes:
        process.join(HOPELESS)
        assert process.exitcode == 0
    assert_apart(claims, gap)


def test_the_pace_holds_over_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results: queue.Queue[float] = queue.Queue()
    monkeypatch.setattr(http, "write_text", http.write_text)  # put back afterwards
    pace_arguments = (str(tmp_path), "https://api.example.org", 0.05, 1, results)
    claims_of(*pace_arguments)
    pace = Pace(tmp_path, "https://api.example.org", 0.05)
    threads = [threading.Thread(target=pace.wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HOPELESS)
    claims = [results.get_nowait() for _ in range(5)]
    assert results.empty()
    assert_apart(claims, 0.05)


def test_no_pace_leaves_no_file(tmp_path: Path) -> None:
    assert Pace(tmp_path / "pace", "https://api.example.org", 0).wait() == 0.0
    assert not (tmp_path / "pace").exists()


def pace_file(tmp_path: Path) -> Path:
    return tmp_path / "api.example.org_8080.pace"


def a_pace(tmp_path: Path, seconds: float = 0.05) -> Pace:
    return Pace(tmp_path, "https://user:secret@API.example.org:8080/v1", seconds)


def test_no_password_in_the_name_of_the_pace_file(tmp_path: Path) -> None:
    a_pace(tmp_path).wait()
    assert pace_file(tmp_path).is_file()
    assert not [path for path in tmp_path.iterdir() if "secret" in path.name]
    assert host_of("https://user:secret@API.example.org:8080/v1") == "api.example.org:8080"


def test_a_clock_set_back_makes_nobody_wait_for_hours(tmp_path: Path) -> None:
    pace_file(tmp_path).write_text(str(time.time() + 7200))
    assert a_pace(tmp_path).wait() == 0.05
    assert float(pace_file(tmp_path).read_text()) <= time.time()


@pytest.mark.parametrize("content", [b"", b"not a number", b"\xff\xfe", b"nan", b"-inf", b"{}", b"0"])
def test_a_damaged_pace_file_is_written_anew(tmp_path: Path, content: bytes, clock: Clock) -> None:
    pace_file(tmp_path).write_bytes(content)
    assert a_pace(tmp_path, 8.0).wait() == 0.0
    assert float(pace_file(tmp_path).read_text()) == clock.now
    clock.now += 5.0
    assert a_pace(tmp_path, 8.0).wait() == 3.0
    assert clock.slept == [0.0, 3.0]


def test_an_infinite_last_request_costs_one_gap(tmp_path: Path) -> None:
    pace_file(tmp_path).write_text("inf")
    assert a_pace(tmp_path).wait() == 0.05
    assert math.isfinite(float(pace_file(tmp_path).read_text()))


def test_every_attempt_is_paced(tmp_path: Path, clock: Clock) -> None:
    """By what is slept before each: the server may see the first request late and the last at once."""
    with ScriptedServer([Reply(500), Reply(503), OK]).running() as server:
        asking = Session(Pace(tmp_path, server.url, 8.0), backoff=0.0)
        assert ask(asking, server.url)[0] == 200
    assert len(server.requests) == 3
    assert clock.slept == [0.0, 8.0, 8.0]


# -- attempts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
def test_transient_answers_are_asked_again(tmp_path: Path, status: int) -> None:
    told: list[str] = []
    with ScriptedServer([Reply(status), Reply(status), OK]).running() as server:
        asking = session(tmp_path, server, on_retry=told.append)
        assert ask(asking, server.url) == (200, OK.body)
    assert asking.requests == len(server.requests) == 3
    assert len(told) == 2
    assert all(f"HTTP {status}" in line and REQUEST_ID in line and "Trying again" in line for line in told)


def patch_naps(monkeypatch: pytest.MonkeyPatch, sleep: Callable[[float], object]) -> None:
    """Of tenacity alone: `time.sleep` itself is called by other threads of this process as well."""
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=sleep))


@pytest.mark.parametrize(("seconds", "wait"), [(0, "in less than a second."), (0.6, "in less than a second."),
                                                (2.4, "in 2 s.")])  # fmt: skip
def test_how_long_is_waited_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, wait: str) -> None:
    told: list[str] = []
    patch_naps(monkeypatch, lambda _seconds: None)
    monkeypatch.setattr(Session, "_wait", lambda *_: seconds)
    with ScriptedServer([Reply(500), OK]).running() as server:
        ask(session(tmp_path, server, on_retry=told.append), server.url)
    assert told[0].endswith(f" Trying again {wait}")


def test_a_name_that_cannot_be_resolved_is_no_closure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = socket.getaddrinfo

    def unknown(host: Any, *more: Any, **options: Any) -> Any:
        if host != "nowhere.invalid":
            return known(host, *more, **options)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    asking = Session(Pace(tmp_path, "http://nowhere.invalid", 0), attempts=2, backoff=0.0)
    with pytest.raises(SourceUnavailable) as caught:
        ask(asking, "http://nowhere.invalid")
    assert "Name or service not known" in caught.value.got
    assert caught.value.todo.startswith("Is this machine on the internet (DNS, proxy)?")
    assert "closure" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 405, 410, 422])
def test_other_answers_are_not(tmp_path: Path, status: int) -> None:
    assert not is_transient(status)
    with ScriptedServer([Reply(status, headers={"Location": "/elsewhere"})]).running() as server:
        asking = session(tmp_path, server)
        assert ask(asking, server.url)[0] == status
    assert asking.requests == len(server.requests) == 1


def test_the_body_is_sent_as_json_each_time(tmp_path: Path) -> None:
    with ScriptedServer([Reply(500), OK]).running() as server:
        ask(session(tmp_path, server), server.url)
    assert server.requests == [("/v1/data", {"table": "T1"})] * 2


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_attempts_run_out(tmp_path: Path, attempts: int) -> None:
    with ScriptedServer([Reply(503)]).running() as server:
        asking = session(tmp_path, server, attempts=attempts)
        with pytest.raises(SourceUnavailable) as caught:
            ask(asking, server.url)
    assert len(server.requests) == asking.requests == attempts
    assert caught.value.status == 503
    assert caught.value.retry_after is None
    for part in ("fetch data of T1", "HTTP 503", f"{server.url}/data", REQUEST_ID, "Try again later"):
        assert part in str(caught.value)


def test_fewer_attempts_at_one_status(tmp_path: Path) -> None:
    with ScriptedServer([Reply(500)]).running() as server:
        with pytest.raises(SourceUnavailable):
            ask(session(tmp_path, server), server.url, attempts_at={500: 2})
        assert len(server.requests) == 2
    with ScriptedServer([Reply(503), Reply(503), Reply(503), Reply(500), OK]).running() as server:
        # the fourth answer is the first of that status, and the attempts are used up for it
        with pytest.raises(SourceUnavailable) as caught:
            ask(session(tmp_path, server), server.url, attempts_at={500: 2})
        assert caught.value.status == 500
        assert len(server.requests) == 4


# -- Retry-After -------------------------------------------------------------------------------------------------------


def slept(tmp_path: Path, header: str, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    sleeps: list[float] = []
    patch_naps(monkeypatch, sleeps.append)
    with ScriptedServer([Reply(429, headers={"Retry-After": header}), OK]).running() as server:
        assert ask(session(tmp_path, server), server.url)[0] == 200
    return sleeps


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0", 0.0), (" 12 ", 12.0), ("300", 300.0)])
def test_retry_after_in_seconds(tmp_path: Path, header: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    assert slept(tmp_path, header, monkeypatch) == [seconds]


@pytest.mark.parametrize("zone", [" GMT", " +0000", ""])
def test_retry_after_as_a_date(tmp_path: Path, zone: str, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        moment = datetime.fromtimestamp(clock.now + 60, UTC)
        header = format_datetime(moment, usegmt=True).removesuffix(" GMT") + zone
        assert slept(tmp_path, header, monkeypatch) == [60.0]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_retry_after_in_the_past_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert slept(tmp_path, "Wed, 21 Oct 2015 07:28:00 GMT", monkeypatch) == [0.0]


@pytest.mark.parametrize(
    "header", ["soon", "-5", "\xb2", "1.5", "", "Wed, 99 Foo 2015", "Mon, 01 Jan 99999 00:00:00 GMT"]
)
def test_a_retry_after_that_says_nothing_leaves_our_own_backoff(
    tmp_path: Path, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slept(tmp_path, header, monkeypatch) == [0.0]


@pytest.mark.parametrize("header", [str(int(LONGEST_WAIT) + 1), "3600", "9" * 400])
def test_a_retry_after_beyond_the_longest_wait_is_reported_at_once(tmp_path: Path, header: str) -> None:
    with ScriptedServer([Reply(503, headers={"Retry-After": header})]).running() as server:
        with pytest.raises(SourceUnavailable) as caught:
            ask(session(tmp_path, server), server.url)
        assert len(server.requests) == 1
    assert caught.value.retry_after == float(header)
    assert "to be asked again in" in str(caught.value)


def test_a_retry_after_date_beyond_the_longest_wait(tmp_path: Path, clock: Clock) -> None:
    header = format_datetime(datetime.fromtimestamp(clock.now, UTC) + timedelta(hours=3), usegmt=True)
    with ScriptedServer([Reply(503, headers={"Retry-After": header})]).running() as server:
        with pytest.raises(SourceUnavailable) as caught:
            ask(session(tmp_path, server), server.url)
        assert len(server.requests) == 1
    assert caught.value.retry_after == 3 * 3600


# -- the wire ----------------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_asked_again(tmp_path: Path) -> None:
    # bound and not listening: it refuses, and nobody else can get the port meanwhile
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        asking = Session(Pace(tmp_path, "", 0), backoff=0.0, attempts=3)
        with pytest.raises(SourceUnavailable) as caught:
            ask(asking, f"http://127.0.0.1:{port}/v1")
    assert asking.requests == 3
    assert caught.value.status == 0
    assert "refused" in str(caught.value).lower()
    assert f"127.0.0.1:{port}" in str(caught.value)


def test_a_reset_connection_is_asked_again(tmp_path: Path) -> None:
    with ScriptedServer([Reply(reset=True), Reply(reset=True), OK]).running() as server:
        asking = session(tmp_path, server)
        assert ask(asking, server.url)[0] == 200
    assert asking.requests == 3


def until_seen(server: ScriptedServer, requests: int) -> None:
    """A request that was given up may reach the server's thread only afterwards."""
    deadline = time.monotonic() + HOPELESS
    while len(server.requests) < requests and time.monotonic() < deadline:
        time.sleep(0.01)


def test_silence_is_asked_again(tmp_path: Path) -> None:
    with ScriptedServer([Reply(hang=HOPELESS), OK]).running() as server:

        def be_patient(_told: str) -> None:
            # the second answer comes, however slowly; and it is the second of the script
            until_seen(server, 1)
            asking._timeout = HOPELESS

        asking = session(tmp_path, server, timeout=0.2, on_retry=be_patient)
        assert ask(asking, server.url) == (200, OK.body)
        assert len(server.requests) == 2
    assert asking.requests == 2


def test_silence_that_lasts(tmp_path: Path) -> None:
    with ScriptedServer([Reply(hang=HOPELESS)]).running() as server:
        asking = session(tmp_path, server, timeout=0.1, attempts=2)
        with pytest.raises(SourceUnavailable, match=r"(?i)timed out|timeout") as caught:
            ask(asking, server.url)
        until_seen(server, 2)
        assert len(server.requests) == asking.requests == 2
    assert caught.value.status == 0


def test_a_redirection_is_not_followed(tmp_path: Path) -> None:
    with ScriptedServer([OK]).running() as target:
        moved = Reply(301, headers={"Location": f"{target.url}/data"})
        with ScriptedServer([moved]).running() as server:
            assert ask(session(tmp_path, server), server.url)[0] == 301
        assert target.requests == []


@pytest.mark.parametrize("url", ["http://", "ftp://example.org", "http://[::1", "nothing"])
def test_an_address_that_cannot_be_used(tmp_path: Path, url: str) -> None:
    asking = Session(Pace(tmp_path, "", 0), backoff=0.0)
    with pytest.raises(ConfigurationError, match="fetch data of T1"):
        ask(asking, url)
    assert asking.requests == 1


def test_close_is_final_for_open_connections_only(tmp_path: Path) -> None:
    with ScriptedServer([OK]).running() as server:
        asking = session(tmp_path, server)
        ask(asking, server.url)
        asking.close()
        assert json.loads(ask(asking, server.url)[1]) == {"fine": True}
