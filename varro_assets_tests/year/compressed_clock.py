"""Compressed clock: a year that passes in minutes, alike for the program, Dagster and Postgres.

What belongs here: everything that asks for the time is given the same shifted one. Between two jumps the clock runs as
the real one does. Time stamps of files stay real, and so do the time-outs of sockets.
"""

from __future__ import annotations

import contextlib
import unittest.mock
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster._core.test_utils import get_freezable_log_manager

from varro_assets.engine import clock, http, postgres
from varro_assets.engine.postgres import Connection

# `now()` without a schema is looked up along the search path, in which the catalogue's own then stands last
_PREPARE = """
CREATE SCHEMA year_clock;
CREATE TABLE year_clock.shift (by interval NOT NULL);
INSERT INTO year_clock.shift VALUES ('0');
CREATE FUNCTION year_clock.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.now() + by FROM year_clock.shift';
GRANT USAGE ON SCHEMA year_clock TO PUBLIC;
GRANT SELECT ON year_clock.shift TO PUBLIC;
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = year_clock, public, pg_catalog', current_database());
END $$;
"""


@dataclass
class CompressedClock:
    """A clock that can be set.

    Args:
        connection: to the warehouse's database, by autocommit.
    """

    connection: Connection
    _shift: timedelta = field(default=timedelta(0), init=False)

    def __post_init__(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(_PREPARE)

    def now(self) -> datetime:
        """The compressed present, UTC."""
        return datetime.now(UTC) + self._shift

    def _stamp(self) -> float:
        return self.now().timestamp()

    def jump(self, by: timedelta) -> None:
        """Let time pass at once; a negative time turns the clock back."""
        self._shift += by
        if self.connection.closed:
            return
        with self.connection.cursor() as cursor:
            cursor.execute("UPDATE year_clock.shift SET by = %s", (self._shift,))

    def until(self, moment: datetime) -> None:
        """Let time pass until then; a moment that is past changes nothing."""
        self.jump(max(timedelta(0), moment - self.now()))

    def set(self, moment: datetime) -> None:
        """Begin then."""
        self.jump(moment - self.now())

    @contextlib.contextmanager
    def everywhere(self) -> Iterator[None]:
        """Give this time to the program and to Dagster; whoever waits before trying again only lets it pass."""

        def pass_instead(session: http.Session, state: Any) -> float:
            asked = http._error_of(state).retry_after
            self.jump(timedelta(seconds=1.0 if asked is None else asked))
            return 0.0

        dagster = "dagster._time._mockable_get_current_"
        with (
            unittest.mock.patch.object(clock, "now", self.now),
            unittest.mock.patch(f"{dagster}datetime", self.now),
            unittest.mock.patch(f"{dagster}timestamp", self._stamp),
            unittest.mock.patch("dagster._core.log_manager.DagsterLogManager", new=get_freezable_log_manager()),
            unittest.mock.patch.object(http.Session, "_wait", pass_instead),
        ):
            yield


def connect(url: Any) -> Connection:
    """A connection by autocommit that the year's own trouble does not cut."""
    connection = postgres.connect(url, "year clock")
    connection.autocommit = True
    return connection
