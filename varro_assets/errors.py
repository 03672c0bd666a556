"""Every error a user can meet, by name.

What belongs here: exception classes only. An error says four things: what was tried, on what, what came back and what
to do next. Two kinds matter to callers: *transient* (the same call may work later; the HTTP session and Dagster's run
retries act on it) and *permanent* (asking again is useless until somebody changes something).
"""

from __future__ import annotations

import copyreg
from typing import Any, ClassVar


class VarroError(Exception):
    """Base of all named errors; raise one of its kinds, never this class.

    Args:
        tried: what was being done, as an infinitive ("fetch tableinfo").
        on: the thing it was done to ("FOLK1A").
        got: what came back or was found.
        todo: what the reader should do now.
    """

    transient: ClassVar[bool] = False

    def __init__(self, tried: str, *, on: str = "", got: str = "", todo: str = "") -> None:
        self.tried, self.on, self.got, self.todo = tried, on, got, todo
        super().__init__(tried, on, got, todo)

    def __reduce__(self) -> tuple[Any, ...]:
        # an exception is copied by calling its class with `args`, which keyword arguments do not survive
        return (copyreg.__newobj__, (type(self), *self.args), self.__dict__)  # type: ignore[attr-defined]

    @property
    def problem(self) -> str:
        """The error without its advice: one sentence."""
        subject = f"{self.tried} {self.on}".strip()
        return f"Could not {subject}: {self.got.rstrip('.')}." if self.got else f"Could not {subject}."

    def __str__(self) -> str:
        return f"{self.problem} {self.todo}".strip()


class TransientError(VarroError):
    """The same call may succeed later."""

    transient = True


class PermanentError(VarroError):
    """The same call will fail again until something is changed."""


# -- configuration and input ---------------------------------------------------------------------------------------


class ConfigurationError(PermanentError):
    """`.env` or `varro.toml` holds something that cannot be used."""


class UnknownTable(PermanentError):
    """No table of that id in the publisher's catalogue."""


class InvalidTableId(PermanentError):
    """A table id that is not 2-8 characters of A-Z and 0-9 (statbank-api: /tables)."""


class InvalidPeriod(PermanentError):
    """A period code that cannot be a partition key, a file name or a point in time."""


class ForeignSource(PermanentError):
    """A data directory that holds material of another source (say, the simulator's) than the one now asked."""


class UnknownColumn(PermanentError):
    """No column of that name in the table, or none that has what was asked for."""


class UnknownDocument(PermanentError):
    """No document was written for that table or dimension."""


class UnknownRun(PermanentError):
    """No run of that id is remembered, or several are whose ids begin so."""


class QueryRefused(PermanentError):
    """A query that `varro sql` does not send: several statements, no plain SELECT, out of the readable schemas."""


class QueryFailed(PermanentError):
    """Postgres did not take a query that was allowed: an unknown column, a division by zero."""


class QueryStopped(PermanentError):
    """A query that ran out of its time and was cancelled."""


# -- the publisher -------------------------------------------------------------------------------------------------


class SourceUnavailable(TransientError):
    """The service did not answer, or answered 408, 429 or 5xx, until the attempts ran out.

    Attributes:
        status: the last HTTP status; 0 when there was no answer at all.
        retry_after: seconds after which the service wants to be asked again, if it said so.
    """

    def __init__(
        self,
        tried: str,
        *,
        on: str = "",
        got: str = "",
        todo: str = "",
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(tried, on=on, got=got, todo=todo)
        self.status, self.retry_after = status, retry_after


class SourceRefused(PermanentError):
    """The service understood the request and refused it (an error body with a code).

    Attributes:
        code: the publisher's own error code, such as ``EXTRACT-NOTFOUND``; empty when it sent none.
        status: the HTTP status.
    """

    def __init__(
        self, tried: str, *, on: str = "", got: str = "", todo: str = "", code: str = "", status: int = 0
    ) -> None:
        super().__init__(tried, on=on, got=got, todo=todo)
        self.code, self.status = code, status


class UnexpectedResponse(PermanentError):
    """A reply that is well delivered but not of the documented shape."""


class MaintenancePage(TransientError):
    """A page for people (HTML) where data was due: the service is closed for a while."""


class BrokenStream(TransientError):
    """A data stream that broke off, or did not end the way a complete one ends."""


class PublisherChanged(TransientError):
    """The publisher changed the table while it was being read."""


class DuplicateKeys(PermanentError):
    """Two rows of one response share all their codes."""


class InvalidValue(PermanentError):
    """A value column holds something that is neither a number nor the mark for missing."""


class UndeclaredCode(PermanentError):
    """A response holds a code (or a period) that was not asked for."""


class ColumnCollision(PermanentError):
    """Two variables of one table fold to the same column name."""


class InvalidBoundaries(PermanentError):
    """A map layer that cannot be used: no GeoJSON, shapes without codes, or a place that is not Denmark."""


class InvalidHierarchy(PermanentError):
    """A classification whose lines form no tree: a level is skipped, or a code or title is blank or repeated."""


class UnknownDimension(PermanentError):
    """A dimension that the registry does not have, or that is not held."""


class InvalidLink(PermanentError):
    """A link file, or a link in it, that cannot be used: broken JSON, an unknown column, dimension or join."""


# -- our own storage -----------------------------------------------------------------------------------------------


class DamagedPartition(PermanentError):
    """A parquet file of ours that cannot be read or does not hold what it states."""


class UnknownVintage(PermanentError):
    """A table as it was at a moment that the ledger of revisions does not reach back to."""


class DamagedBackup(PermanentError):
    """A backup file that broke off, was altered, or holds what no backup holds."""


class StorageFull(PermanentError):
    """The disk is full (or over quota)."""


class DatabaseUnavailable(TransientError):
    """The Postgres server could not be reached, or went away in the middle."""


class DatabaseRefused(PermanentError):
    """The Postgres server refused: missing right, wrong password, wrong version."""


class WebServerUnavailable(TransientError):
    """Dagster's web server did not answer, or not as it does."""


class TableBusy(TransientError):
    """Another process holds the table's lock."""


class LoadMismatch(PermanentError):
    """After a load the warehouse did not hold the rows of the parquet file; the transaction was rolled back."""


class EmbeddedServerError(PermanentError):
    """The embedded Postgres server could not be initialised, started or stopped."""


class HandEdited(PermanentError):
    """A document whose generated part was changed by hand, or whose structure no longer shows where the notes begin."""


class NotesConflict(PermanentError):
    """A document stands in two places with different notes."""


class ExampleFailed(PermanentError):
    """A query meant for a document does not run; the document is not written."""
