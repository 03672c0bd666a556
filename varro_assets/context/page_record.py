"""Page record: what the documents that speak of many tables were made of, and where they were written.

What belongs here: reading and writing `meta.shared_document`. A run that dies before it has written them leaves an old
record, so that the next one knows what is owed; a subject that got another name is found again by its ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.statbank.catalog import Place

_READ = "SELECT about, path, inputs_hash FROM meta.shared_document"
_REMEMBER = """
INSERT INTO meta.shared_document (about, path, inputs_hash) VALUES (%s, %s, %s)
ON CONFLICT (about) DO UPDATE SET (path, inputs_hash, written_at) = (EXCLUDED.path, EXCLUDED.inputs_hash, now())
"""
_FORGET = "DELETE FROM meta.shared_document WHERE path = ANY(%s)"


@dataclass(frozen=True)
class Written:
    """A document that was written.

    Attributes:
        path: below the folder of documents.
        inputs: hash of what it was made of.
    """

    path: str
    inputs: str


CODE_LISTS = "code lists"
"""What the dimensions made of code lists go by, all of them together."""


def about_subject(place: Place) -> str:
    """What a subject's page goes by; its titles may change."""
    return f"subject {'/'.join(place.ids)}"


def about_dimension(name: str) -> str:
    """What a dimension's document goes by."""
    return f"dim {name}"


def read(connection: Connection) -> dict[str, Written]:
    """All of them, by what they are about."""
    with postgres.transaction(connection, "read which pages are written") as cursor:
        cursor.execute(_READ)
        return {about: Written(path, inputs) for about, path, inputs in cursor.fetchall()}


def remember(connection: Connection, about: str, written: Written) -> None:
    """Record what a document was made of; to be called once it is on the disk."""
    with postgres.transaction(connection, "remember what was written of", on=about) as cursor:
        cursor.execute(_REMEMBER, (about, written.path, written.inputs))


def forget(connection: Connection, paths: Iterable[str]) -> None:
    """Forget documents that were removed."""
    with postgres.transaction(connection, "forget pages") as cursor:
        cursor.execute(_FORGET, (list(paths),))
