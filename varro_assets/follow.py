"""Follow: which tables the user keeps, and how; read from and written to `varro.toml`.

What belongs here: the file's grammar and the choice of tables by id, glob, subject or ``*``. The catalogue and the
subject tree come in as plain mappings.
"""

from __future__ import annotations

import fcntl
import fnmatch
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tomlkit.exceptions import TOMLKitError

from varro_assets.engine.files import write_text
from varro_assets.engine.planning import Refresh
from varro_assets.errors import ConfigurationError

SUBJECT = "subject:"
_TABLE_ID = re.compile(r"[A-Za-z0-9]{2,8}", re.ASCII)
EMPTY = (
    '# The tables that are kept in sync: ids, globs ("BIL*"), "subject:<id or path>", or "*".\n[tables]\nfollow = []\n'
)


class TableOptions(BaseModel):
    """``[table.<ID>]``: what differs from the default for one table.

    Attributes:
        trailing: how many of the newest periods each sync reads again.
        refresh: how much a sync reads again.
        revisions: whether the ledger keeps what was revised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trailing: Annotated[int, Field(strict=True, ge=0, le=100_000)] | None = None
    refresh: Refresh = Refresh.AUTO
    revisions: bool = True


class _Tables(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    follow: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class FollowFile(BaseModel):
    """The whole of `varro.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tables: _Tables = _Tables()
    table: Mapping[str, TableOptions] = {}

    def options(self, table: str) -> TableOptions:
        """What `varro.toml` says of one table, in whatever case it spells the id."""
        return next((options for key, options in self.table.items() if key.upper() == table), TableOptions())

    def resolve(self, tables: Collection[str], subjects: Mapping[str, Collection[str]]) -> list[str]:
        """The followed tables, in catalogue order, and after them the ones named that the catalogue lacks.

        Args:
            tables: ids in the catalogue.
            subjects: subject id, and path of titles (``borgere/befolkning``), lower case and without blanks around the
                slashes -> ids of the tables below.
        """
        wanted = _select(self.tables.follow, tables, subjects) - _select(self.tables.exclude, tables, subjects)
        listed = [table for table in tables if table in wanted]
        return [*listed, *sorted(wanted.difference(listed))]


def _select(patterns: Iterable[str], tables: Collection[str], subjects: Mapping[str, Collection[str]]) -> set[str]:
    chosen: set[str] = set()
    for pattern in map(str.strip, patterns):
        if _is_subject(pattern):
            chosen.update(subjects.get(_subject_key(pattern[len(SUBJECT) :]), ()))
        elif _is_glob(pattern):
            chosen.update(fnmatch.filter(tables, pattern.upper()))
        else:
            chosen.add(pattern.upper())
    return chosen


def _subject_key(text: str) -> str:
    """Lower case, no blanks around the slashes: some of the publisher's titles end in one."""
    return "/".join(part.strip() for part in text.strip().strip("/").split("/")).lower()


def _is_subject(entry: str) -> bool:
    return entry.lower().startswith(SUBJECT)


def _is_glob(entry: str) -> bool:
    return any(mark in entry for mark in "*?[")


def read(path: Path) -> FollowFile:
    """Read `varro.toml`; a missing file follows nothing.

    Raises:
        ConfigurationError: not TOML, or a key or value that means nothing; names file and key.
    """
    return _checked(path, _document(path))


def change(path: Path, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Add and remove entries of ``[tables] follow``, everything else in the file kept as it is.

    Two entries that differ only in case are the same entry.

    Returns:
        The entries that were really added, and really removed, as the caller spelled them.

    Raises:
        ConfigurationError: the file cannot be used, or could not be any more; it is left as it was.
    """
    with _alone(path):
        return _change(path, _by_key(add), _by_key(remove))


def begin(path: Path, text: str) -> None:
    """Write the first `varro.toml`; one that is there stays.

    Raises:
        StorageFull: the disk is full.
    """
    with _alone(path):
        if not path.is_file():
            write_text(path, text)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from changing it between our reading and our writing.

    The folder is locked: the file itself is replaced by each change, and a file for the lock would lie about in the
    user's project.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _change(path: Path, add: Mapping[str, str], remove: Mapping[str, str]) -> tuple[list[str], list[str]]:
    document = _document(path)
    _checked(path, document)
    if "tables" not in document:
        document["tables"] = tomlkit.table()
    tables = document["tables"]
    if "follow" not in tables:
        tables["follow"] = tomlkit.array()
    entries = tables["follow"]
    present = {_key(str(entry)) for entry in entries}
    added = [entry for key, entry in add.items() if key not in present]
    removed = [entry for key, entry in remove.items() if key in present]
    gone = {_key(entry) for entry in removed}
    for index in reversed(range(len(entries))):
        if _key(str(entries[index])) in gone:
            del entries[index]
    for entry in added:
        entries.append(entry)
    if added or removed:
        text = tomlkit.dumps(document)
        _checked(path, tomlkit.parse(text))
        write_text(path, text)
    return added, removed


def _key(entry: str) -> str:
    return entry.strip().casefold()


def _by_key(entries: Iterable[str]) -> dict[str, str]:
    spelled: dict[str, str] = {}
    for entry in entries:
        spelled.setdefault(_key(entry), entry)
    return spelled


def _document(path: Path) -> tomlkit.TOMLDocument:
    try:
        # bytes, so that line ends stay as they are; an editor's BOM is not the user's doing
        text = path.read_bytes().decode("utf-8-sig") if path.is_file() else EMPTY
        return tomlkit.parse(text)
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigurationError("read", on=str(path), got=str(error), todo="Correct the file.") from None


def _checked(path: Path, document: tomlkit.TOMLDocument) -> FollowFile:
    try:
        file = FollowFile.model_validate(document.unwrap())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _meaningless(path, ".".join(str(part) for part in first["loc"]), first["msg"]) from None
    for key, entries in (("follow", file.tables.follow), ("exclude", file.tables.exclude)):
        for entry in map(str.strip, entries):
            if not (_is_subject(entry) or _is_glob(entry) or _TABLE_ID.fullmatch(entry)):
                raise _meaningless(path, f"tables.{key}", f"{entry!r} is no table id, glob or {SUBJECT}...")
    for table in file.table:
        if not _TABLE_ID.fullmatch(table):
            raise _meaningless(path, f"table.{table}", "no table id")
    return file


def _meaningless(path: Path, key: str, got: str) -> ConfigurationError:
    return ConfigurationError("read", on=str(path), got=f"{key}: {got}", todo="Correct the file.")
