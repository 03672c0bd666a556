"""Interruption: whatever tells a command to end, it ends in order, and nobody else is needed to clean up."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from varro_assets.engine.server.server import EmbeddedServer
from varro_assets_tests.postgres_fixture import PATIENCE

SENT = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
PRELUDE = """
import os, signal, sys, time
from varro_assets.cli import interruption
def tell(*signals):
    for number in signals: os.kill(os.getpid(), number)
def say(*words): print(*words, flush=True)
"""
WAITS = """
with interruption.orderly():
    try:
        say("ready")
        time.sleep(600)
    finally:
        say("in order")
"""
TWICE = """
with interruption.orderly():
    try:
        tell(signal.SIGHUP)
    finally:
        tell(signal.SIGHUP, signal.SIGTERM)
        say("in order")
"""
IN_DAGSTER = """
import dagster
from varro_assets.cli.runs import _interrupted
@dagster.op
def work(): tell(signal.SIGHUP)
@dagster.job
def runs(): work()
with interruption.orderly():
    try:
        if _interrupted(runs.execute_in_process(raise_on_error=False)):
            raise KeyboardInterrupt
    finally:
        # Dagster has had this one for a while
        tell(signal.SIGTERM)
        say("in order")
"""
VARRO = """
from varro_assets.cli import app, database
def stand_still(*_, **__):
    say("ready")
    time.sleep(600)
database._libpq_url = stand_still
sys.argv = ["varro", "--home", sys.argv[1], "db", "url"]
app.main()
"""


def _start(script: str, *arguments: str, prepare: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    def alike() -> None:
        # whatever started the tests may have us ignore some
        for number in SENT:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        if prepare:
            prepare()

    command = [sys.executable, "-c", PRELUDE + script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=alike)


def _ended(process: subprocess.Popen[str]) -> tuple[str, int]:
    out, _ = process.communicate(timeout=PATIENCE)
    return out, process.returncode


@pytest.mark.parametrize("sent", SENT)
def test_a_command_ends_in_order_and_says_by_what(sent: signal.Signals) -> None:
    process = _start(WAITS)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(sent)
    assert _ended(process) == ("in order\n", 128 + sent)


def test_what_is_said_twice_does_not_cut_the_end_short() -> None:
    """The shell and then its terminal send SIGHUP; `timeout` sends SIGTERM to the command and to its group."""
    assert _ended(_start(TWICE)) == ("in order\n", 128 + signal.SIGHUP)


def test_what_nohup_has_us_ignore_stays_ignored() -> None:
    process = _start(WAITS, prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN) and None)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert _ended(process) == ("in order\n", 128 + signal.SIGTERM)


def test_what_was_there_is_put_back() -> None:
    script = """
try:
    with interruption.orderly():
        tell(signal.SIGTERM)
except SystemExit:
    say(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGTERM))
"""
    assert _ended(_start(script)) == (f"True {signal.SIG_DFL}\n", 0)


@pytest.mark.slow
def test_dagster_ends_its_run_in_order() -> None:
    assert _ended(_start(IN_DAGSTER)) == ("in order\n", 128 + signal.SIGHUP)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_no_postgres_is_left_behind(
    sent: signal.Signals, reachable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "DATA_DIR", "VARRO_HOME"):
        monkeypatch.delenv(name, raising=False)
    process = _start(VARRO, str(reachable_folder))
    server = EmbeddedServer(reachable_folder / "data" / "postgres")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(sent)
        assert _ended(process) == ("", 128 + sent)
        assert (server.status().state, server.status().in_use) == ("stopped", False)
    finally:
        process.kill()
        process.communicate()
        server.stop(force=True)
