"""Locks: one writer per table over threads and processes; the lock dies with its holder, and with its connection."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from varro_assets.engine import locks, postgres
from varro_assets.engine.locks import TableLock, held, holder, shared_lock, short_lock, table_lock
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.period_table import PeriodTables
from varro_assets.engine.planning import Scope
from varro_assets.errors import DatabaseUnavailable, TableBusy
from varro_assets.statbank.fetching import BatchSize
from varro_assets.statbank.sync import load_table, sync_table
from varro_assets_tests.conftest import PROJECT, Recorder
from varro_assets_tests.oracle import World
from varro_assets_tests.postgres_fixture import PATIENCE

FULL = Scope(full=True)
SYNC_ONCE = "varro_assets_tests.e2e.sync_once"
# with a time-out it waits until the process is really gone, and its locks with it
_END = "SELECT pg_terminate_backend(%s, 120000)"


@pytest.fixture
def url(warehouse_url: str) -> SecretStr:
    return SecretStr(warehouse_url)


class TestLock:
    def test_the_second_is_told_who_holds_it(self, url: SecretStr) -> None:
        with table_lock(url, "FOLK1A"):
            with pytest.raises(TableBusy) as caught, table_lock(url, "FOLK1A"):
                pytest.fail("held twice")
            assert f"varro lock FOLK1A pid {os.getpid()}" in str(caught.value)
            assert caught.value.transient
            assert f"pid {os.getpid()}" in (holder(url, "FOLK1A") or "")
            with table_lock(url, "FT"):
                pass
        assert holder(url, "FOLK1A") is None
        with table_lock(url, "FOLK1A"):
            pass

    def test_it_is_free_after_an_error(self, url: SecretStr) -> None:
        with pytest.raises(ValueError, match="boom"), table_lock(url, "FOLK1A"):
            raise ValueError("boom")
        assert holder(url, "FOLK1A") is None

    def test_one_on_a_connection_that_works_as_well(self, url: SecretStr) -> None:
        with contextlib.closing(postgres.connect(url, "works")) as connection:
            with short_lock(connection, "FOLK1A"):
                with postgres.transaction(connection, "work") as cursor:
                    cursor.execute("SELECT 1")
                with pytest.raises(TableBusy, match="varro works"), table_lock(url, "FOLK1A"):
                    pytest.fail("held twice")
            assert holder(url, "FOLK1A") is None
            with table_lock(url, "FOLK1A"), pytest.raises(TableBusy), short_lock(connection, "FOLK1A"):
                pytest.fail("held twice")
            with pytest.raises(ValueError, match="boom"), short_lock(connection, "FOLK1A"):
                raise ValueError("boom")
            assert holder(url, "FOLK1A") is None

    def test_one_on_a_connection_that_was_lost_is_free(self, url: SecretStr) -> None:
        with contextlib.closing(postgres.connect(url, "works")) as connection:

            def work() -> None:
                with short_lock(connection, "FOLK1A"):
                    with contextlib.closing(postgres.connect(url, "kills")) as other, other.cursor() as cursor:
                        cursor.execute(_END, (connection.info.backend_pid,))
                        assert cursor.fetchone() == (True,)
                    with postgres.transaction(connection, "work") as cursor:
                        cursor.execute("SELECT 1")

            with pytest.raises(DatabaseUnavailable, match="work"):
                work()
            assert holder(url, "FOLK1A") is None

    def test_waiting_ends_when_it_is_free(self, url: SecretStr, monkeypatch: pytest.MonkeyPatch) -> None:
        held = table_lock(url, "FOLK1A")
        held.__enter__()
        polls: list[float] = []

        def let_go(seconds: float) -> None:
            polls.append(seconds)
            if len(polls) == 3:
                held.__exit__(None, None, None)

        # its own name for it: other threads of this process sleep as well
        monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=time.monotonic, sleep=let_go))
        with table_lock(url, "FOLK1A", wait=PATIENCE):
            assert len(polls) == 3

    def test_waiting_has_an_end(self, url: SecretStr) -> None:
        with table_lock(url, "FOLK1A"), pytest.raises(TableBusy), table_lock(url, "FOLK1A", wait=0.01):
            pytest.fail("held twice")

    def test_losing_the_connection_is_noticed(self, url: SecretStr) -> None:
        with table_lock(url, "FOLK1A") as lock:
            lock.check()
            _terminate(url, "varro lock FOLK1A%")
            with pytest.raises(DatabaseUnavailable):
                lock.check()
        assert holder(url, "FOLK1A") is None

    def test_one_that_is_shared_is_held_until_the_last_lets_go(self, url: SecretStr) -> None:
        with contextlib.closing(postgres.connect(url, "looks")) as connection:
            with shared_lock(url, "run:1"):
                with shared_lock(url, "run:1"):
                    assert held(connection, ["run:1", "run:2"]) == {"run:1"}
                assert held(connection, ["run:1"]) == {"run:1"}
                with pytest.raises(TableBusy), table_lock(url, "run:1"):
                    pytest.fail("held alone beside another")
            assert held(connection, ["run:1"]) == set()
            with table_lock(url, "run:1"), pytest.raises(TableBusy), shared_lock(url, "run:1"):
                pytest.fail("shared with one who has it alone")

    def test_names_that_would_be_patterns_or_sql_are_names(self, url: SecretStr) -> None:
        for name in ("cli:FOLK1A", "a'b", "a%b", "æøå"):
            with table_lock(url, name):
                assert holder(url, name)
                assert holder(url, name + "x") is None


class TestTwoSyncs:
    def test_in_two_threads_one_is_refused(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        with _held_up(world, monkeypatch) as let_go:
            with pytest.raises(TableBusy) as caught:
                sync_table(world.sources, "KORD1", Recorder())
            assert f"pid {os.getpid()}" in str(caught.value)
            with pytest.raises(TableBusy):
                load_table(world.sources, "KORD1", Recorder())
            let_go()
        world.check("KORD1")

    def test_in_two_threads_the_one_that_waits_finds_nothing_to_do(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reports = []
        with _held_up(world, monkeypatch) as let_go:
            waiting = threading.Thread(
                target=lambda: reports.append(sync_table(world.sources, "KORD1", Recorder(), wait=PATIENCE))
            )
            waiting.start()
            let_go()
            waiting.join(PATIENCE)
        # the other one has read all of this publication
        assert [report.outcomes for report in reports] == [{}]
        assert reports[0].updated == world.universe.table("KORD1").updated
        assert reports[0].rows_written == 0
        world.check("KORD1")

    def test_of_different_tables_do_not_meet(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        with _held_up(world, monkeypatch) as let_go:
            sync_table(world.sources, "IDRTIL01", Recorder())
            let_go()
        world.check("IDRTIL01")
        world.check("KORD1")

    def test_in_two_processes_one_waits(self, world: World) -> None:
        world.simulator.fault("slow", table="KORD1", path="data", rate=4000)
        command = [sys.executable, "-m", SYNC_ONCE, "KORD1", "--wait", str(PATIENCE)]
        both = [
            subprocess.Popen(command, env=world.environment(), cwd=PROJECT, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        out = [process.communicate(timeout=PATIENCE)[0].split() for process in both]
        assert [process.returncode for process in both] == [0, 0]
        written = world.universe.table("KORD1").row_count()
        assert sorted(int(words[-1]) for words in out) == [0, written]
        world.check("KORD1")


def test_the_lock_of_a_killed_process_is_free(world: World) -> None:
    world.simulator.fault("timeout", table="KORD1", path="data", seconds=600.0)
    process = subprocess.Popen(
        [sys.executable, "-m", SYNC_ONCE, "KORD1"], env=world.environment(), cwd=PROJECT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        # the lock is taken before the first request for data, which hangs
        _until(lambda: "KORD1" in {fault["table"] for fault in world.simulator.faults.listed() if fault["seen"]})
        assert f"pid {process.pid}" in (holder(world.sources.warehouse, "KORD1") or "")
        with pytest.raises(TableBusy) as caught:
            world.sync("KORD1")
        assert f"pid {process.pid}" in str(caught.value)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
        process.stdout.close()
    world.simulator.faults.clear()
    # the server learns of the death a moment later
    world.sync("KORD1", wait=PATIENCE)
    world.check("KORD1")


class TestLostLock:
    """Somebody ends the lock's connection; from then on another process may write."""

    @pytest.mark.parametrize("when", ["while reading", "before the files are replaced", "before the load"])
    def test_nothing_is_written_after_it(self, world: World, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
        world.sync("KORD1")
        files, versions = world.files("KORD1"), world.versions("KORD1")
        records = world.query("SELECT * FROM meta.table_sync")
        world.universe.restate("KORD1")
        owner, name = {
            "while reading": ("varro_assets.statbank.fetching._fetch_batch", None),
            "before the files are replaced": ("varro_assets.statbank.client.StatBank.tableinfo", 2),
            "before the load": ("varro_assets.statbank.manifest.write", None),
        }[when]
        with monkeypatch.context() as patch:
            _terminating(patch, owner, name or 1, world)
            with pytest.raises(DatabaseUnavailable):
                world.sync("KORD1", scope=FULL)
        assert world.versions("KORD1") == versions
        assert world.query("SELECT * FROM meta.table_sync") == records
        if when != "before the load":
            assert world.files("KORD1") == files
        world.sync("KORD1", scope=FULL)
        world.check("KORD1")

    def test_a_first_load_stops(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(BatchSize, "periods", lambda _self: 1)
        with monkeypatch.context() as patch:
            _terminating(patch, "varro_assets.statbank.fetching._fetch_batch", 3, world)
            with pytest.raises(DatabaseUnavailable):
                world.sync("KORD1")
        assert [row[0].year for row in world.query("SELECT DISTINCT tid FROM fact.kord1 ORDER BY 1")] == [2023, 2024]
        world.sync("KORD1")
        world.check("KORD1")

    def test_files_swept_away_by_the_next_holder_are_a_lost_lock(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.sync("KORD1")
        world.universe.restate("KORD1")
        write = PartitionStore.promote_all

        def swept(self: PartitionStore, staged: Any) -> Any:
            _terminate(world.sources.warehouse, "varro lock KORD1%")
            PartitionStore(self.folder, self.dataset).sweep()
            return write(self, staged)

        with monkeypatch.context() as patch:
            patch.setattr(PartitionStore, "promote_all", swept)
            with pytest.raises(DatabaseUnavailable):
                world.sync("KORD1", scope=FULL)
        world.sync("KORD1", scope=FULL)
        world.check("KORD1")

    def test_two_writers_at_once_leave_no_row_twice(self, world: World) -> None:
        """The last net below the lock: the transactions themselves wait for each other."""
        world.sync("STRAF42")
        world.query("UPDATE meta.period_load SET content_hash = 'stale'")
        barrier = threading.Barrier(2, timeout=30)
        copy, errors = PeriodTables._copy, []

        def meeting(self: PeriodTables, *arguments: Any) -> int:
            # both have deleted the old rows by now, or the second waits outside for the first
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait(0.5)
            return copy(self, *arguments)

        def write() -> None:
            try:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr("varro_assets.statbank.sync.table_lock", _no_lock)
                    load_table(world.sources, "STRAF42", Recorder(), only=["2020", "2021"])
            except Exception as error:  # noqa: BLE001 - whatever it is, the test fails by it
                errors.append(error)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PeriodTables, "_copy", meeting)
            patch.setattr("varro_assets.statbank.sync.table_lock", _no_lock)
            threads = [threading.Thread(target=write) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in threads)
        assert errors == []
        world.check("STRAF42")


@contextlib.contextmanager
def _no_lock(url: SecretStr, name: str, *, wait: float = 0.0) -> Iterator[TableLock]:
    with contextlib.closing(postgres.connect(url, f"lock {name}")) as connection:
        yield TableLock(name, connection)


@contextlib.contextmanager
def _held_up(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A first sync of KORD1 in another thread, stopped in its first request for data until it is let go."""
    arrived, go_on = threading.Event(), threading.Event()
    bulk = world.sources.client.bulk

    def stopping(info: Any, periods: Any, **options: Any) -> Any:
        if info.id == "KORD1" and not arrived.is_set():
            arrived.set()
            assert go_on.wait(PATIENCE)
        return bulk(info, periods, **options)

    monkeypatch.setattr(world.sources.client, "bulk", stopping)
    thread = threading.Thread(target=lambda: sync_table(world.sources, "KORD1", Recorder()))
    thread.start()
    try:
        assert arrived.wait(PATIENCE)
        yield go_on.set
    finally:
        go_on.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()


def _terminating(patch: pytest.MonkeyPatch, owner: str, call: int, world: World) -> None:
    """End the lock's connection after the n-th call."""
    module, _, name = owner.rpartition(".")
    target = pytest.importorskip(module) if "StatBank" not in module else type(world.sources.client)
    original, seen = getattr(target, name), []

    def calling(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        seen.append(name)
        if len(seen) == call:
            _terminate(world.sources.warehouse, "varro lock KORD1%")
        return result

    patch.setattr(target, name, calling)


def _terminate(url: SecretStr, application: str) -> None:
    with contextlib.closing(postgres.connect(url, "test")) as connection, connection.cursor() as cursor:
        connection.autocommit = True  # in a transaction the server would show the same moment again and again

        def there() -> list[tuple[int]]:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s", (application,))
            return cursor.fetchall()

        found = there()
        assert found, "nobody of that name"
        for pid in found:
            cursor.execute(_END, pid)
        _until(lambda: not there())


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def test_many_locks_are_looked_at_in_one_query(url: SecretStr) -> None:
    names = [f"T{number}" for number in range(300)]
    with contextlib.closing(postgres.connect(url, "test")) as connection:
        assert held(connection, names) == set()
        with table_lock(url, "T7"), table_lock(url, "T299"), table_lock(url, "other"):
            assert held(connection, names) == {"T7", "T299"}
            assert held(connection, []) == set()
        assert held(connection, names) == set()
