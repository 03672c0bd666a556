"""Follow: which tables the user keeps, and how; read from and written to `varro.toml`.

What belongs here: the file's grammar and the choice of tables by id, glob, subject or ``*``. The catalogue and the
subject tree come in as plain mappings.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tomlkit.exceptions import TOMLKitError

from varro_assets.engine.files import write_text
from varro_assets.errors import ConfigurationError

SUBJECT = "subject:"
EMPTY = (
    '# The tables that are kept in sync: ids, globs ("BIL*"), "subject:<id or path>", or "*".\n[tables]\nfollow = []\n'
)


class TableOptions(BaseModel):
    """``[table.<ID>]``: what differs from the default for one table.

    Attributes:
        trailing: how many of the newest periods each sync reads again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trailing: Annotated[int, Field(ge=0, le=100_000)] | None = None


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
        """What `varro.toml` says of one table."""
        return self.table.get(table, TableOptions())

    def resolve(self, tables: Collection[str], subjects: Mapping[str, Collection[str]]) -> list[str]:
        """The followed tables, in catalogue order, and after them the ones named that the catalogue lacks.

        Args:
            tables: ids in the catalogue.
            subjects: subject id, and path of titles (``Borgere/Befolkning``), lower case -> ids of the tables below.
        """
        wanted = _select(self.tables.follow, tables, subjects) - _select(self.tables.exclude, tables, subjects)
        listed = [table for table in tables if table in wanted]
        return [*listed, *sorted(wanted.difference(listed))]


def _select(patterns: Iterable[str], tables: Collection[str], subjects: Mapping[str, Collection[str]]) -> set[str]:
    chosen: set[str] = set()
    for pattern in patterns:
        if pattern.lower().startswith(SUBJECT):
            chosen.update(subjects.get(pattern[len(SUBJECT) :].strip().strip("/").lower(), ()))
        elif any(mark in pattern for mark in "*?["):
            chosen.update(fnmatch.filter(tables, pattern.upper()))
        else:
            chosen.add(pattern.strip().upper())
    return chosen


def read(path: Path) -> FollowFile:
    """Read `varro.toml`; a missing file follows nothing.

    Raises:
        ConfigurationError: not TOML, or a key or value that means nothing; names file and key.
    """
    try:
        return FollowFile.model_validate(_document(path).unwrap())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError("read", on=str(path), got=f"{key}: {first['msg']}", todo="Correct the file.") from None


def change(path: Path, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Add and remove entries of ``[tables] follow``, everything else in the file kept as it is.

    Returns:
        The entries that were really added, and really removed.
    """
    document = _document(path)
    if "tables" not in document:
        document["tables"] = tomlkit.table()
    tables = document["tables"]
    if "follow" not in tables:
        tables["follow"] = tomlkit.array()
    entries = tables["follow"]
    present = [str(entry) for entry in entries]
    added = [entry for entry in dict.fromkeys(add) if entry not in present]
    removed = [entry for entry in dict.fromkeys(remove) if entry in present]
    for entry in added:
        entries.append(entry)
    for entry in removed:
        entries.remove(entry)
    if added or removed:
        write_text(path, tomlkit.dumps(document))
    return added, removed


def _document(path: Path) -> tomlkit.TOMLDocument:
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else EMPTY
        return tomlkit.parse(text)
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigurationError("read", on=str(path), got=str(error), todo="Correct the file.") from None
