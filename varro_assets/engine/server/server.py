"""The embedded Postgres: found or started for whoever needs it, stopped by the last one out.

What belongs here: who may start, use, keep and stop the server, and the proof that it lives. How the process
is run is told in `postmaster.py`; roles and databases in `provision.py`. Never touched when the user has a
server of their own.

Three locks in the server's folder, all given back by the kernel when their holder dies:

- ``change.lock``: exclusive, while somebody starts or stops the server; everything below happens under it.
- ``users.lock``: shared, by each use of the server for as long as it lasts. The last one out gets it
  exclusively.
- ``alive.lock``: exclusive, by the server's own processes, which inherit it. Free means that none of them is
  left (nor an initdb whose starter was killed): no guess from a process id, which may be a zombie's, a
  stranger's or another container's. Held does not yet mean that the server answers: that is proved by a
  connection.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NoReturn

import psycopg2

from varro_assets.engine.server import postmaster
from varro_assets.engine.server.postmaster import SUPERUSER, named_errors
from varro_assets.engine.server.server_folder import Endpoint, note_user, read_record, users_of, write_record
from varro_assets.engine.server.server_locks import FileLock
from varro_assets.errors import EmbeddedServerError

__all__ = ["EmbeddedServer", "Endpoint", "ServerStatus"]

START_LIMIT_SECONDS = 300.0
"""Longest wait for a server to answer. Recovery replays at most ``max_wal_size``: a minute or two."""
STOP_LIMIT_SECONDS = 120.0
_POLL_SECONDS = 0.02
_PORT_ATTEMPTS = 3


@dataclass(frozen=True)
class ServerStatus:
    """What `varro db status` shows."""

    state: Literal["absent", "stopped", "running"]
    port: int | None = None
    pid: int | None = None
    version: str | None = None
    users: tuple[int, ...] = ()
    """Process ids that use the server now, as far as they can be seen from here."""
    in_use: bool = False
    kept: bool = False


@dataclass(frozen=True)
class _Answer:
    """What came of asking the port: an endpoint and the server's version, or the reason why not."""

    text: str
    endpoint: Endpoint | None = None
    refused: bool = False
    """It will not take our password, now or later."""


class EmbeddedServer:
    """The server in one folder. Cheap to make: nothing is touched until it is used.

    Args:
        folder: holds ``data/``, ``server.log``, ``password.<role>``, ``server.json`` and the locks.
        settings: Postgres settings over `postmaster.SETTINGS`, taken up at the next start.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = Path(os.path.realpath(folder))
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self._settings = {**postmaster.SETTINGS, **(settings or {})}

    @property
    def port(self) -> int | None:
        """Where it was last started, by whomever; None when that is not known."""
        return read_record(self.folder).port

    # -- using it --------------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[Endpoint]:
        """The live server, for as long as the block lasts; the last one out stops it unless it is kept.

        Raises:
            EmbeddedServerError: it could not be initialised, started or reached.
            StorageFull: no space for it.
        """
        use = FileLock(self.folder / "users.lock")
        with self._changing():
            try:
                with named_errors("note the use of", self.folder):
                    use.acquire(shared=True, wait=START_LIMIT_SECONDS)
                endpoint = self._ensure_live()
                note_user(self.folder, add=os.getpid())
            except BaseException:
                use.release()
                raise
        try:
            yield endpoint
        finally:
            if use.is_open:  # else this is a forked child leaving its parent's block
                self._leave(use)

    def _leave(self, use: FileLock) -> None:
        try:
            with self._changing():
                note_user(self.folder, remove=os.getpid())
                # safe although an upgrade lets go in between: newcomers wait for change.lock
                if use.acquire() and not read_record(self.folder).kept:
                    # its last checkpoint may take long: no reason to call what the command did a failure
                    self._stop_process(insist=False)
        finally:
            use.release()

    def start(self) -> Endpoint:
        """Start it if need be and keep it running until `stop`."""
        with self._changing():
            endpoint = self._ensure_live()
            write_record(self.folder, replace(read_record(self.folder), kept=True))
            return endpoint

    def keep(self) -> None:
        """Let the server outlive its users, until `stop`."""
        with self._changing():
            write_record(self.folder, replace(read_record(self.folder), kept=True))

    def revive(self, wanted: Callable[[], bool]) -> Endpoint | None:
        """Start the server again if all its processes are gone; where it then answers, None if there was no need.

        For one who uses it (`running`) and for whom it is to live on. After a crash the port is the old one, unless
        somebody else took it in between.

        Args:
            wanted: whether the use still lasts, asked when it can no longer be left unseen.

        Raises:
            EmbeddedServerError, StorageFull: it does not come up.
        """
        with self._changing():
            if not wanted():
                return None
            alive = FileLock(self.folder / "alive.lock")
            try:
                if not alive.acquire():
                    return None  # it lives, or its last processes have yet to notice that it does not
            finally:
                alive.forget()
            return None if self._probe().endpoint else self._ensure_live()

    def stop(self, *, force: bool = False) -> bool:
        """Stop the server (fast shutdown: open transactions are rolled back); False when it was not running.

        Raises:
            EmbeddedServerError: it is in use (and ``force`` is not given), or did not end in time.
        """
        if not self.folder.exists():
            return False
        with self._changing():
            use = FileLock(self.folder / "users.lock")
            try:
                if not use.acquire() and not force:
                    pids = ", ".join(str(pid) for pid in users_of(self.folder))
                    raise EmbeddedServerError(
                        "stop the embedded Postgres",
                        on=str(self.folder),
                        got=f"it is in use by process {pids or '(of another container or user)'}",
                        todo="Wait for it to end, or stop with --force: what is not committed is rolled back.",
                    )
            finally:
                use.release()
            write_record(self.folder, replace(read_record(self.folder), kept=False))
            return self._stop_process()

    def status(self) -> ServerStatus:
        """What is known without starting anything; running means that it answered."""
        if not (self.data / "PG_VERSION").is_file():
            return ServerStatus("absent")
        record, users = read_record(self.folder), users_of(self.folder)
        found = ServerStatus(
            "stopped",
            port=record.port,
            users=users,
            in_use=self._is_used(default=bool(users)),
            kept=record.kept,
        )
        answer = self._probe()
        if answer.endpoint is None:
            return found
        return replace(found, state="running", version=answer.text, pid=postmaster.pid_of(self.data))

    # -- starting and stopping, under change.lock ------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[None]:
        lock = FileLock(self.folder / "change.lock")
        with named_errors("open the embedded Postgres", self.folder):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another process may be making it at this very moment
                self.folder.mkdir()
                # root's server runs as another account, which must pass through; the secrets inside are 0600
                self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
            got_it = lock.acquire(wait=START_LIMIT_SECONDS + STOP_LIMIT_SECONDS)
        if not got_it:
            lock.forget()
            raise EmbeddedServerError(
                "open the embedded Postgres",
                on=str(self.folder),
                got="another process has been starting or stopping it for minutes",
                todo=f"See {self.log} and end that process.",
            )
        try:
            with named_errors("run the embedded Postgres", self.folder):
                yield
        finally:
            lock.release()

    def _ensure_live(self) -> Endpoint:
        alive = FileLock(self.folder / "alive.lock")
        deadline = time.monotonic() + START_LIMIT_SECONDS
        try:
            pause = _POLL_SECONDS
            while not alive.acquire():
                answer = self._probe()
                if answer.endpoint:
                    return answer.endpoint
                if answer.refused:
                    self._give_up(answer)
                if time.monotonic() > deadline:
                    raise self._slow_error(answer.text)
                time.sleep(pause)
                pause = min(2 * pause, 0.5)  # each look at a server in recovery is a line in its log
            if postmaster.pid_of(self.data) and (endpoint := self._probe().endpoint):
                return (
                    # lock free, yet alive: started by hand, or on a file system that does not hand locks on
                    endpoint
                )
            return self._start(alive, deadline)
        finally:
            alive.forget()

    def _start(self, alive: FileLock, deadline: float) -> Endpoint:
        account = postmaster.account_for(self.data)
        if not (self.data / "PG_VERSION").is_file():
            self._initialise(account, alive)
        if not (self.folder / f"password.{SUPERUSER}").is_file():
            raise EmbeddedServerError(
                "open the embedded Postgres",
                on=str(self.data),
                got=f"the file password.{SUPERUSER} beside it is gone",
                todo="Restore it, or move the data away and refill the warehouse from the parquet files.",
            )
        postmaster.refuse_other_major(self.data)
        # none of its processes is left, so this one is stale; Postgres itself would heed it if the process id
        # is taken by a zombie or, after a restart of the machine, by a stranger
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        began = self.log.stat().st_size if self.log.exists() else 0
        for _ in range(_PORT_ATTEMPTS):
            port = postmaster.free_port(read_record(self.folder).port)
            write_record(self.folder, replace(read_record(self.folder), port=port))
            process = postmaster.spawn(self.data, self.log, port, account, self._settings, alive.fileno())
            if endpoint := self._await(process, began, deadline):
                return endpoint
            if postmaster.free_port(port) == port:
                break  # it ended, and not because somebody was quicker to take the port
        raise self._start_error("it ended at once", began)

    def _await(self, process: subprocess.Popen[bytes], began: int, deadline: float) -> Endpoint | None:
        """The endpoint once it answers; None when the process ended instead.

        One that merely takes long is left to go on, for whoever comes next: its recovery would begin anew each time.
        """
        try:
            while process.poll() is None:
                # its own word first, because a look that comes too early leaves a line in the log
                ready = postmaster.says_ready(self.data, process.pid)
                answer = self._probe() if ready else _Answer("not ready")
                if answer.endpoint:
                    return answer.endpoint
                over = time.monotonic() > deadline
                if over and not ready:
                    break
                if over or answer.refused:
                    self._give_up(answer, began)
                time.sleep(_POLL_SECONDS)
        except BaseException:
            if process.poll() is None:
                process.terminate()  # nobody would know about it
            raise
        if process.poll() is None:
            raise self._slow_error("not ready", began)
        return None

    def _give_up(self, answer: _Answer, began: int = 0) -> NoReturn:
        raise self._start_error(f"its processes are there, but: {answer.text}", began)

    def _initialise(self, account: postmaster.Account, alive: FileLock) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            raise EmbeddedServerError(
                "initialise the embedded Postgres",
                on=str(self.data),
                got="the folder holds files, but no PG_VERSION",
                todo="Move it away, or restore what is missing.",
            )
        password = Endpoint(0, self.folder).make_password(SUPERUSER).get_secret_value()
        sync = self._settings.get("fsync") != "off"
        postmaster.initialise(self.data, account, password, alive.fileno(), sync=sync)

    def _stop_process(self, *, insist: bool = True) -> bool:
        """Stop it and wait; without ``insist``, one that has heard us and still goes on is left to end by itself."""
        alive = FileLock(self.folder / "alive.lock")
        deadline = time.monotonic() + STOP_LIMIT_SECONDS
        asked = False
        try:
            while not alive.acquire(wait=0 if not asked else 0.5):
                # asked again and again only until the message got through: a second one changes nothing
                asked = asked or postmaster.ask_to_stop(self.data)
                if time.monotonic() > deadline:
                    if asked and not insist:
                        return True
                    raise self._stop_error(asked=asked)
                if not asked:
                    time.sleep(_POLL_SECONDS)
        finally:
            alive.release()
        return asked

    # -- what is known ---------------------------------------------------------------------------------------

    def _probe(self) -> _Answer:
        """Ask the stored port; the endpoint only if it is *our* server that answers."""
        port = read_record(self.folder).port
        if port is None or not (self.folder / f"password.{SUPERUSER}").exists():
            return _Answer("it was never started")
        endpoint = Endpoint(port, self.folder)
        try:
            connection = endpoint.connect()
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT current_setting('data_directory'), current_setting('server_version')")
                    place, version = cursor.fetchone() or ("", "")
            finally:
                connection.close()
        except psycopg2.Error as error:
            text = " ".join(str(error).split())
            return _Answer(text, refused="password authentication failed" in text)
        # a copy of the folder has the same port and the same password as its original
        if os.path.realpath(place) != str(self.data):
            return _Answer(f"port {port} is served from {place}")
        return _Answer(version, endpoint)

    def _is_used(self, *, default: bool) -> bool:
        """Whether anybody holds users.lock; ``default`` while a start or stop is going on."""
        change, use = FileLock(self.folder / "change.lock"), FileLock(self.folder / "users.lock")
        try:
            # without change.lock our look could be taken for a user by somebody about to leave
            return not use.acquire() if change.acquire(wait=0.5) else default
        except OSError:
            return default
        finally:
            use.release()
            change.release()

    def _start_error(self, got: str, since: int) -> Exception:
        lines = postmaster.log_tail(self.log, since)
        return postmaster.start_error("start the embedded Postgres", self.data, f"{got}; the log ends with\n{lines}")

    def _slow_error(self, answer: str, since: int = 0) -> EmbeddedServerError:
        lines = postmaster.log_tail(self.log, since)
        return EmbeddedServerError(
            "start the embedded Postgres",
            on=str(self.data),
            got=f"its processes are there, but for {START_LIMIT_SECONDS:.0f} s: {answer}; the log ends with\n{lines}",
            todo="It may be recovering from a crash, which goes on by itself: run again in some minutes.",
        )

    def _stop_error(self, *, asked: bool) -> EmbeddedServerError:
        got = "it did not end in time" if asked else "its process cannot be seen from here (another container?)"
        return EmbeddedServerError(
            "stop the embedded Postgres",
            on=str(self.data),
            got=f"{got}; the log ends with\n{postmaster.log_tail(self.log)}",
            todo="Stop it where it was started, or end the process named in postmaster.pid.",
        )
