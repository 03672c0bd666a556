"""`varro psql`: Ctrl-C is psql's, and the session goes on."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import make_url

from varro_assets.cli import database
from varro_assets_tests.postgres_fixture import PATIENCE

# stands for psql: an interrupt ends what it does, not itself
CHILD = """
import signal, sys
try:
    # from here on an interrupt finds us
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
    signal.pause()
except KeyboardInterrupt:
    print("cancelled", flush=True)
print("read", sys.stdin.readline(), end="", flush=True)
sys.exit(7)
"""
COMMAND = """
import os, signal, sys
from varro_assets.cli import database
# a test run in the background ignores Ctrl-C, and what it starts does too
signal.signal(signal.SIGINT, signal.default_int_handler)
code = database._in_front([sys.executable, "-c", sys.argv[1]], os.environ)
print("ours again:", signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
sys.exit(code)
"""


def test_an_interrupt_is_the_programs_and_the_exit_code_ours() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"  # an interrupt ends it: it is not ignored

    os.killpg(process.pid, signal.SIGINT)  # as the terminal does: to everybody who is in front

    assert process.stdout.readline() == "cancelled\n"
    out, _ = process.communicate("still here\n", timeout=PATIENCE)
    assert out == "read still here\nours again: True\n"
    assert process.returncode == 7


def test_an_interrupt_while_the_program_begins_ends_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = subprocess.Popen

    def interrupted(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        signal.raise_signal(signal.SIGINT)
        process: subprocess.Popen[bytes] = begin(*arguments, **options)  # type: ignore[call-overload]
        signal.raise_signal(signal.SIGINT)
        return process

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", interrupted)
        try:
            assert database._in_front([sys.executable, "-c", "raise SystemExit(3)"], os.environ) == 3
        except KeyboardInterrupt:  # which would end pytest
            pytest.fail("an interrupt came through")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_program_that_is_killed_gives_the_shells_code() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert database._in_front([sys.executable, "-c", code], os.environ) == 128 + signal.SIGKILL


@pytest.mark.slow
def test_ctrl_c_in_psql_cancels_the_query_and_the_session_goes_on(tmp_path: Path, warehouse_url: str) -> None:
    (tmp_path / "varro.toml").write_text("[tables]\nfollow = []\n", encoding="utf-8")
    ours, theirs = pty.openpty()
    ours_alone = {"DATABASE_URL": warehouse_url, "DAGSTER_DATABASE_URL": warehouse_url, "VARRO_HOME": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", "from varro_assets.cli.app import main; main()", "psql", "--owner"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **ours_alone, "TERM": "dumb", "PAGER": "cat"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    said = bytearray()

    def shown(words: bytes) -> bool:
        if select.select([ours], [], [], 0.05)[0]:
            try:
                said.extend(os.read(ours, 65536))
            except OSError:  # nobody holds the other end
                pytest.fail(said.decode(errors="replace"))
        return words in said

    try:
        _until(lambda: shown(b"=> "), said)
        os.write(ours, b"select pg_sleep(300);\n")
        _until(lambda: shown(b"") and _sleeps(warehouse_url), said)

        os.write(ours, b"\x03")

        _until(lambda: shown(b"canceling statement due to user request"), said)
        os.write(ours, b"select 'still' || 'here';\n")
        _until(lambda: shown(b"stillhere"), said)
        os.write(ours, b"\\q\n")
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait(PATIENCE)
        os.close(ours)


def _until(reached: Callable[[], bool], said: bytearray) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, said.decode(errors="replace")


def _sleeps(url: str) -> bool:
    connection = psycopg2.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event = 'PgSleep' AND query LIKE 'select pg_sleep%'"
            )
            return cursor.fetchone() == (1,)
    finally:
        connection.close()
