"""Backup file: a tar that proves its contents: every file with its hash, and a manifest that must end it.

What belongs here: writing one as a stream, verifying one without writing anything, taking files out. What is backed up,
and where it goes, is the caller's.

The manifest comes last because nothing is known of a file before it was read; so a file that ends without one broke
off, and a reader reads twice: once to believe it, once to take out what it then knows.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from varro_assets.engine.disk import fsync, space_for
from varro_assets.errors import ConfigurationError, DamagedBackup, StorageFull

FORMAT = "varro-backup-1"
MANIFEST = "MANIFEST.json"
_CHUNK = 1 << 20
_LARGEST_MANIFEST = 1 << 30
_BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
_GZIP = b"\x1f\x8b"
_NAMES = {"encoding": "utf-8", "errors": "surrogateescape"}
"""How names are written: any bytes that a file system takes for a name come back as they were."""


@dataclass(frozen=True)
class Entry:
    """One file: its size in bytes and the SHA-256 of its content."""

    size: int
    sha256: str


@dataclass
class Backup:
    """What a backup file holds.

    Attributes:
        about: what its maker said of it.
        entries: name -> entry; names are relative, with slashes.
    """

    about: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(entry.size for entry in self.entries.values())


class Writer:
    """Takes files, one after another."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar, self.made = tar, Backup()

    def add(self, name: str, path: Path) -> None:
        """Add a file as it is when it is opened: files of ours are replaced whole, never changed.

        Raises:
            FileNotFoundError: it is gone.
        """
        with path.open("rb") as stream:
            stream.seek(0, io.SEEK_END)
            size = stream.tell()
            stream.seek(0)
            self._add(name, stream, size)

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add a file with this content."""
        self._add(name, io.BytesIO(content), len(content))

    def _add(self, name: str, stream: IO[bytes], size: int) -> None:
        if not _lies_below(name):
            todo = "Nothing was written. Give the file another name."
            raise ConfigurationError("put into a backup", on=repr(name), got="no backup holds such a name", todo=todo)
        info = tarfile.TarInfo(name)
        info.size = size
        reader = _Hashing(stream)
        self._tar.addfile(info, reader)
        self.made.entries[name] = Entry(size, reader.hexdigest())

    def finish(self) -> None:
        """Write the manifest."""
        body = {
            "format": FORMAT,
            "about": self.made.about,
            "files": {name: [entry.size, entry.sha256] for name, entry in self.made.entries.items()},
        }
        # in ASCII, which holds any name: one that is not UTF-8 has signs that no encoding takes
        content = json.dumps(body).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(content)
        self._tar.addfile(info, io.BytesIO(content))


class _Hashing:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._hash = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write a backup; the file is there when the block ended well, and is whole then.

    Args:
        path: a new file; compressed if its name ends in ``.gz`` or ``.tgz``.

    Raises:
        ConfigurationError: there is a file of that name, or no folder for it; or one came meanwhile, and the backup
            lies beside it.
        StorageFull: the disk is full.
    """
    there = os.path.lexists(path)
    if there or not path.parent.is_dir():
        got = "there is a file of that name" if there else "there is no such folder"
        raise ConfigurationError("write a backup to", on=str(path), got=got, todo="Name another file.")
    _sweep(path)
    mode = "w|gz" if path.suffix in {".gz", ".tgz"} else "w|"
    with space_for(path.name, path.parent), _staging(path) as stream:
        with tarfile.open(fileobj=stream, mode=mode, format=tarfile.PAX_FORMAT, **_NAMES) as tar:  # type: ignore[call-overload]
            writer = Writer(tar)
            yield writer
            writer.finish()
        stream.flush()
        os.fsync(stream.fileno())
        _take_name(Path(stream.name), path)
        fsync(path.parent)


@contextlib.contextmanager
def _staging(path: Path) -> Iterator[IO[bytes]]:
    """A hidden file beside it, locked while it is written, so that it is known for a dead process's otherwise."""
    with contextlib.ExitStack() as undo:
        while True:
            staged = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
            undo.callback(staged.unlink, missing_ok=True)
            stream = undo.enter_context(staged.open("xb"))
            # where files cannot be locked, nothing is swept either
            with contextlib.suppress(OSError):
                fcntl.flock(stream, fcntl.LOCK_EX)
            # before it was locked, another backup may have swept it
            if staged.exists():
                break
        yield stream


def _sweep(path: Path) -> None:
    """Remove what backups of that name left that were killed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 32}.tmp"):
        # one that is being written, or swept by another, or is not ours to take, stays
        with contextlib.suppress(OSError), left.open("r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _take_name(staged: Path, path: Path) -> None:
    """Give a complete file its name, unless somebody else has it by now."""
    try:
        try:
            os.link(staged, path)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError:
            # a file system without hard links: an empty file holds the name until the rename
            path.touch(exist_ok=False)
            staged.replace(path)
    except FileExistsError:
        kept = path.with_name(f"{uuid.uuid4().hex[:8]}-{path.name}")
        staged.replace(kept)
        fsync(path.parent)
        got, todo = "a file of that name came meanwhile", f"The backup is complete: it lies at {kept}. Rename it."
        raise ConfigurationError("write a backup to", on=str(path), got=got, todo=todo) from None


def verified(path: Path) -> Backup:
    """Read all of it and believe it, or not; nothing is written.

    Raises:
        DamagedBackup: no tar, broken off, altered, or with anything in it but plain files below it.
    """
    found: dict[str, Entry] = {}
    body: Any = None
    with _members(path) as members:
        for member, stream in members:
            if body is not None:
                raise _damaged(path, f"{member.name} stands behind the end")
            _check_member(path, member, found)
            if member.name == MANIFEST:
                if member.size > _LARGEST_MANIFEST:
                    raise _damaged(path, "its manifest is too large")
                body = _manifest(path, stream.read())
            else:
                found[member.name] = Entry(member.size, _hash_of(stream))
    if body is None:
        raise _damaged(path, "it ends without its manifest, so it broke off")
    stated = Backup(body["about"], {name: Entry(*entry) for name, entry in body["files"].items()})
    differing = [name for name in found.keys() | stated.entries if found.get(name) != stated.entries.get(name)]
    if differing:
        got = f"{len(differing)} files are not as its manifest states, the first {min(differing)}"
        raise _damaged(path, got)
    return stated


def take_out(path: Path, backup: Backup, place: Callable[[str], Path | None], folder: Path) -> None:
    """Write files of a verified backup; each is checked once more as it is written.

    Args:
        path: the backup.
        backup: what `verified` said of it.
        place: where a name goes; None leaves it out.
        folder: where the space is needed.

    Raises:
        ConfigurationError: what was written did not stay.
        DamagedBackup: it is no longer what was verified.
        StorageFull: the disk is full, or would be.
    """
    wanted = {name: target for name in backup.entries if (target := place(name)) is not None}
    needed = sum(backup.entries[name].size for name in wanted)
    if needed > (free := shutil.disk_usage(folder).free):
        raise StorageFull(
            "restore into", on=str(folder), got=f"{needed:,} bytes are needed, {free:,} are free",
            todo="Nothing was changed. Free some space and run again.",
        )  # fmt: skip
    left = dict(wanted)
    with _members(path) as members:
        for member, stream in members:
            target = left.pop(member.name, None)
            if target is None:
                continue
            entry = backup.entries[member.name]
            with space_for(member.name, folder):
                digest = _write(target, stream)
            if (member.size, digest) != (entry.size, entry.sha256):
                raise _damaged(path, f"{member.name} changed since it was verified")
    if left:
        raise _damaged(path, f"{min(left)} is gone since it was verified")
    if gone := [target for target in wanted.values() if not target.is_file()]:
        got = f"{len(gone)} files went after they were written, the first {min(gone)}"
        todo = "Nothing took its place. See who removes files there, then run again."
        raise ConfigurationError("restore into", on=str(folder), got=got, todo=todo)


def contents(path: Path, backup: Backup, names: Callable[[str], bool]) -> dict[str, bytes]:
    """Small files of a verified backup, in memory.

    Raises:
        DamagedBackup: it is no longer what was verified.
    """
    found = {}
    with _members(path) as members:
        for member, stream in members:
            if member.name in backup.entries and names(member.name):
                found[member.name] = stream.read()
                if hashlib.sha256(found[member.name]).hexdigest() != backup.entries[member.name].sha256:
                    raise _damaged(path, f"{member.name} changed since it was verified")
    return found


@contextlib.contextmanager
def _members(path: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """The members one after another, each to be read before the next; what breaks off in the block is named."""
    try:
        with path.open("rb") as stream:
            mode = "r|gz" if stream.read(2) == _GZIP else "r|"
            stream.seek(0)
            with tarfile.open(fileobj=stream, mode=mode, **_NAMES) as tar:  # type: ignore[call-overload]
                yield ((member, _opened(tar, member)) for member in tar)
    except FileNotFoundError:
        raise ConfigurationError("read the backup", on=str(path), got="there is no such file") from None
    except _BROKEN as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _opened(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    # a link would be followed within the archive
    return (tar.extractfile(member) if member.isreg() else None) or io.BytesIO()


def _check_member(path: Path, member: tarfile.TarInfo, found: dict[str, Entry]) -> None:
    if not member.isreg() or member.issparse():
        raise _damaged(path, f"{member.name} is no plain file")
    if not _lies_below(member.name):
        raise _damaged(path, f"{member.name!r} does not lie below it")
    if member.name in found:
        raise _damaged(path, f"{member.name} is there twice")


def _lies_below(name: str) -> bool:
    """Whether it is a relative name that leads nowhere else, on whatever system it is taken out."""
    pure = PurePosixPath(name)
    odd = pure.is_absolute() or not pure.parts or set(pure.parts) & {"..", "."} or pure.as_posix() != name
    return not odd and "\\" not in name and "\0" not in name


def _manifest(path: Path, content: bytes) -> Any:
    try:
        body = json.loads(content)
        known, about = body["format"] == FORMAT, body["about"]
        entries = [(name, size, digest) for name, (size, digest) in body["files"].items()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"its manifest cannot be read ({error})") from error
    if not known:
        raise _damaged(path, f"it is of format {body['format']!r}, this program reads {FORMAT!r}")
    if not isinstance(about, dict) or not all(isinstance(size, int) for _name, size, _digest in entries):
        raise _damaged(path, "its manifest is not as one is written")
    return body


def _write(target: Path, stream: IO[bytes]) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    reader = _Hashing(stream)
    with target.open("xb") as out:
        while chunk := reader.read(_CHUNK):
            out.write(chunk)
    fsync(target)
    return reader.hexdigest()


def _hash_of(stream: IO[bytes]) -> str:
    reader = _Hashing(stream)
    while reader.read(_CHUNK):
        pass
    return reader.hexdigest()


def _damaged(path: Path, got: str) -> DamagedBackup:
    return DamagedBackup("use the backup", on=str(path), got=got, todo="Nothing was changed. Use another copy of it.")
