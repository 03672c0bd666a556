"""What the embedded server keeps on disk beside its data: passwords, its port, who uses it.

What belongs here: reading and writing these small files. Whether the server lives is decided in `server.py`.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from pydantic import SecretStr

from varro_assets.engine.server.postmaster import HOST, SUPERUSER, named_errors


@dataclass(frozen=True)
class Endpoint:
    """Where a running server answers. Holds no password: those stay in the folder's files (0600)."""

    port: int
    folder: Path
    host: str = HOST

    def password(self, role: str) -> SecretStr:
        """The role's password, as stored."""
        path = self.folder / f"password.{role}"
        with named_errors("read the database password", path):
            return SecretStr(path.read_text(encoding="utf-8").strip())

    def make_password(self, role: str) -> SecretStr:
        """The role's password, made up and stored if there is none; callers keep out of each other's way."""
        path = self.folder / f"password.{role}"
        with named_errors("store the database password", path):
            if not path.exists():
                _write_private(path, secrets.token_urlsafe(24))
        return self.password(role)

    def url(self, database: str, role: str = SUPERUSER) -> SecretStr:
        """The address in SQLAlchemy's form, with the password."""
        secret = quote(self.password(role).get_secret_value(), safe="")
        return SecretStr(f"postgresql+psycopg2://{role}:{secret}@{self.host}:{self.port}/{quote(database, safe='')}")

    def connect(self, database: str = "postgres", role: str = SUPERUSER) -> Connection:
        """A psycopg2 connection, not shielded: psycopg2's own errors come out."""
        return psycopg2.connect(
            host=self.host,
            port=self.port,
            dbname=database,
            user=role,
            password=self.password(role).get_secret_value(),
            connect_timeout=20,
            sslmode="disable",  # the wheel is built without; a PGSSLMODE of the user's would refuse it
            gssencmode="disable",
        )


@dataclass(frozen=True)
class Record:
    """`server.json`: what must survive the process that decided it."""

    port: int | None = None
    kept: bool = False


def read_record(folder: Path) -> Record:
    """What `server.json` says."""
    try:
        known = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        return Record(port=known["port"], kept=known["kept"])
    except (OSError, ValueError, KeyError, TypeError):
        return Record()  # never started, or damaged: a new port is found


def write_record(folder: Path, record: Record) -> None:
    """Store it, if it says anything new."""
    if record != read_record(folder):
        _write_private(folder / "server.json", json.dumps(asdict(record)) + "\n")


def users_of(folder: Path) -> tuple[int, ...]:
    """Process ids noted in users.lock that still exist: for people; the lock itself is the truth."""
    try:
        noted = (folder / "users.lock").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return ()
    return tuple(int(pid) for pid in noted if pid.isdigit() and _exists(int(pid)))


def note_user(folder: Path, *, add: int | None = None, remove: int | None = None) -> None:
    """Write a process down as a user, or strike it out."""
    pids = list(users_of(folder))
    if add is not None:
        pids.append(add)
    if remove in pids:
        pids.remove(remove)
    (folder / "users.lock").write_text("".join(f"{pid}\n" for pid in pids), encoding="utf-8")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write_private(path: Path, text: str) -> None:
    """Write a file of ours, whole or not at all, readable by nobody else (mkstemp: 0600)."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
