"""Tries: the followed tables that are due, and what became of their last sync.

What belongs here: asking the warehouse, the catalogue and Dagster's memory for it, and the words. When the next try is
made, the sensor's own reckoning says. Imports dagster by way of `runs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape

from varro_assets.cli.progress import counted
from varro_assets.cli.session import Session
from varro_assets.defs.unattended import attempts
from varro_assets.engine import clock
from varro_assets.engine.postgres import Connection
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps import due
from varro_assets.statbank.sweeps.due import State, Synced
from varro_assets.statbank.sweeps.sweep import Attempts

MOST_NAMES = 10


def due_tables(
    tables: Sequence[str], catalogue: Catalogue, sources: Sources, connection: Connection
) -> dict[str, Synced | None]:
    """The tables that are not held as published -> their last complete sync."""
    held = due.synced(connection)
    states = due.states(tables, catalogue, held, sources.tables_dir)
    return {table: held.get(table) for table, state in states.items() if state not in {State.CURRENT, State.GONE}}


def failing(instance: Any, catalogue: Catalogue, tables: Mapping[str, Synced | None]) -> dict[str, Attempts]:
    """Those of the due tables whose newest sync failed, and that nobody is at now."""
    now = clock.now()
    updated = {table: catalogue.entries[table].updated for table in tables}
    since = {table: row.ended for table, row in tables.items() if row is not None}
    tried = attempts.of_tables(instance, updated, since, now)
    return {table: one.attempts for table, one in tried.items() if one.attempts.run_id and not one.under_way}


def say_failing(here: Session, instance: Any, failed: Mapping[str, Attempts]) -> None:
    """A line for each of them: the error, and when it is tried again."""
    now = clock.now()
    for table, one in failed.items():
        until = one.wait_until(now)
        again = f"after {until:%Y-%m-%d %H:%M} UTC" if until else "at once"
        error = attempts.error_of(instance, one.run_id) or "nothing says why"
        here.say(
            f"[bold]{table}[/]  its last sync failed: {escape(error)}."
            f" [dim]({here.command} up tries again by itself, {again}; now: {here.command} sync {table})[/]",
            whole=True,
        )


def sentence(here: Session, tables: Sequence[str], failed: Sequence[str]) -> str:
    """How many tables are due, and of how many the last sync failed."""
    errors = f"({here.command} runs --errors --all)"
    if not failed:
        return f"{_are(len(tables))} due: {_names(tables)} ({here.command} sync)."
    if len(failed) == len(tables):
        of = "its last sync" if len(tables) == 1 else "the last sync of each"
        return f"{_are(len(tables))} due, and {of} failed: {_names(failed)} {errors}."
    return f"{_are(len(tables))} due, and the last sync of {len(failed)} of them failed: {_names(failed)} {errors}."


def _are(number: int) -> str:
    return f"{counted(number, 'table')} {'is' if number == 1 else 'are'}"


def _names(tables: Sequence[str]) -> str:
    more = f" and {len(tables) - MOST_NAMES} more" if len(tables) > MOST_NAMES else ""
    return ", ".join(tables[:MOST_NAMES]) + more
