"""The demo's publisher, shared: one at a time, at an address that outlives the command that served first."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from varro_assets.cli import simulator_lease
from varro_assets.simulator import Universe
from varro_assets_tests.postgres_fixture import PATIENCE

OWNER = """
import signal, subprocess, sys
from pathlib import Path
from varro_assets.cli import simulator_lease
# a test run in the background ignores Ctrl-C, and what it starts does too
signal.signal(signal.SIGINT, signal.default_int_handler)
with simulator_lease.running(Path(sys.argv[1]), print) as url:
    # what a command starts does not keep the locks, however it ends itself
    subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdout=subprocess.DEVNULL)
    print(url, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "simulator"


def entered(stack: ExitStack, folder: Path, told: Callable[[str], None] = pytest.fail) -> str:
    return stack.enter_context(simulator_lease.running(folder, told))


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/subjects", timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def heirs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "simulator-heir"]


def test_the_address_outlives_the_command_that_served_first(folder: Path) -> None:
    with ExitStack() as first, ExitStack() as second, ExitStack() as third:
        url = entered(first, folder)
        assert entered(second, folder) == url
        first.close()
        until(lambda: answers(url))
        # one that comes now meets the same publisher, and can go on with it in turn
        assert entered(third, folder) == url
        second.close()
        until(lambda: answers(url))
        assert (folder / "address").read_text(encoding="utf-8") == url
    assert not answers(url)
    assert not heirs()
    assert not (folder / "address").exists()


def test_what_was_published_stays_published(folder: Path) -> None:
    with ExitStack() as first, ExitStack() as second:
        url = entered(first, folder)
        entered(second, folder)
        control = url.removesuffix("/v1") + "/_simulator"
        periods = len(_periods(url))
        body = {"kind": "publish_period", "table": "FOLK1A"}
        assert requests.post(f"{control}/publish", json=body, timeout=PATIENCE).ok
        first.close()
        until(lambda: answers(url))
        assert len(_periods(url)) == periods + 1


def _periods(url: str) -> list[object]:
    found = requests.get(f"{url}/tableinfo/FOLK1A", params={"format": "JSON"}, timeout=PATIENCE).json()
    return next(variable["values"] for variable in found["variables"] if variable["time"])


def test_one_that_comes_before_the_borrower_goes_on_serves_where_the_borrower_asks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    inherit = simulator_lease._Lease._inherit

    def stalled(borrower: simulator_lease._Lease) -> None:
        released.wait(PATIENCE)
        inherit(borrower)

    with ExitStack() as first, ExitStack() as second, ExitStack() as third:
        url = entered(first, folder)
        monkeypatch.setattr(simulator_lease._Lease, "_inherit", stalled)
        assert entered(second, folder) == url
        first.close()
        assert not answers(url)
        assert entered(third, folder) == url
        assert answers(url)
        released.set()
        third.close()
        until(lambda: answers(url))


def test_two_at_once_have_one_publisher(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, looks = Universe.demo, threading.Event()
    answering = simulator_lease._answering

    def slowly() -> Universe:
        """The first stands still, before it has said where it serves, until the second has looked."""
        assert looks.wait(PATIENCE)
        return made()

    def looked(address: Path) -> str | None:
        found = answering(address)
        looks.set()
        return found

    urls: list[str] = []
    over = threading.Barrier(2)

    def command() -> None:
        with ExitStack() as stack:
            urls.append(entered(stack, folder, told=lambda _text: None))
            over.wait(PATIENCE)

    monkeypatch.setattr(Universe, "demo", slowly)
    monkeypatch.setattr(simulator_lease, "_answering", looked)
    threads = [threading.Thread(target=command) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(urls) == 2
    assert len(set(urls)) == 1
    assert not (folder / "address").exists()


def test_a_port_that_is_taken_for_a_moment_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = threading.Event()
    served = simulator_lease._Lease._served

    def tried(borrower: simulator_lease._Lease) -> object:
        found = served(borrower)
        if found is None and stolen:
            refused.set()
        return found

    stolen: list[socket.socket] = []
    with ExitStack() as first, ExitStack() as second:
        url = entered(first, folder)
        with monkeypatch.context() as patch:
            patch.setattr(simulator_lease._Lease, "_inherit", lambda _borrower: None)
            entered(second, folder)
        first.close()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", urlsplit(url).port))
            other.listen()
            stolen.append(other)
            monkeypatch.setattr(simulator_lease._Lease, "_served", tried)
            monkeypatch.setattr(simulator_lease, "_answering", lambda _address: None)
            told: list[str] = []
            urls: list[str] = []
            monkeypatch.setattr(simulator_lease, "SILENT_SECONDS", -1)
            third = threading.Thread(target=_enter_and_leave, args=(folder, told.append, urls.append))
            third.start()
            assert refused.wait(PATIENCE)
            until(lambda: bool(told))
        third.join(PATIENCE)
        assert not third.is_alive()
    assert urls == [url]
    assert len(told) == 1
    assert "does not answer" in told[0]


def _enter_and_leave(folder: Path, told: Callable[[str], None], got: Callable[[str], None]) -> None:
    with simulator_lease.running(folder, told) as url:
        got(url)


def test_a_failed_beginning_leaves_the_lock(folder: Path) -> None:
    folder.mkdir()
    (folder / "publications.jsonl").write_text("{", encoding="utf-8")
    for _again in range(2):
        with pytest.raises(ValueError, match="damaged"), ExitStack() as stack:
            entered(stack, folder)
    (folder / "publications.jsonl").unlink()
    with ExitStack() as stack:
        assert answers(entered(stack, folder))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("borrowed", [True, False])
def test_another_process_that_is_killed_leaves_its_address_to_who_borrows(
    folder: Path, end: signal.Signals, borrowed: bool
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    url = owner.stdout.readline().strip()
    with ExitStack() as stack:
        if borrowed:
            assert entered(stack, folder) == url
        os.kill(owner.pid, end)
        owner.wait(PATIENCE)
        if borrowed:
            until(lambda: answers(url))
        else:
            # nobody knows the old address any more: it is as if none had been left
            assert (folder / "address").exists() == (end == signal.SIGKILL)
            assert answers(entered(stack, folder))
    assert not (folder / "address").exists()
    owner.communicate(timeout=PATIENCE)
