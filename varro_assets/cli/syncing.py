"""Plan, sync, rebuild: the commands that bring tables up to date, and the one that says what they would do.

What belongs here: the commands' texts and their order of steps. Deciding, fetching and storing are the family's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape

from varro_assets.cli.progress import counted
from varro_assets.cli.session import Session, session
from varro_assets.cli.wish import Wish
from varro_assets.engine import periods, postgres
from varro_assets.errors import DamagedPartition, InvalidPeriod, VarroError
from varro_assets.follow import read as read_follow_file
from varro_assets.settings import Settings
from varro_assets.statbank import catalog, manifest
from varro_assets.statbank import sync as syncs
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps import due
from varro_assets.statbank.sweeps.due import State

_Tables = Annotated[list[str] | None, typer.Argument(help="Table ids; none = every followed table.", metavar="TABLE")]
_Full = Annotated[bool, typer.Option("--full", help="Fetch every published period again.")]
_Since = Annotated[str | None, typer.Option(help="Also fetch every period from this one on, such as 2020K1.")]


def plan(
    context: typer.Context,
    tables: _Tables = None,
    full: _Full = False,
    since: _Since = None,
) -> None:
    """Say what a sync would fetch, and why. Asks for descriptions, never for data."""
    here = session(context)
    wish = _wish(full, since)
    if follows_nothing(here) and not tables:
        say_how_to_begin(here)
        return
    with here.sources() as (settings, _warehouse, sources):
        _catalogue, states = _states(here, sources, tables or [])
        for table, state in states.items():
            if state in {State.CURRENT, State.REFILL, State.GONE} and not (wish.insists and state is not State.GONE):
                here.say(f"[bold]{table}[/]  {state}")
                continue
            try:
                _describe(sources, [table], _catalogue)
                text = _plan_text(settings, sources, table, wish)
            except VarroError as error:
                here.say(f"[bold]{table}[/]  [red]{escape(str(error))}[/]")
                continue
            here.say(f"[bold]{table}[/]  {state}: {text}")


def sync(
    context: typer.Context,
    tables: _Tables = None,
    full: _Full = False,
    since: _Since = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The same as varro plan.")] = False,
    accept_shrink: Annotated[
        bool, typer.Option("--accept-shrink", help="Believe periods that come back with far fewer rows than are held.")
    ] = False,
) -> None:
    """Bring tables up to date: new periods and those that may have been revised, newest first.

    Exit code 1 if anything that was due did not come in.
    """
    if dry_run:
        plan(context, tables, full, since)
        return
    here = session(context)
    wish = _wish(full, since, accept_shrink)
    if follows_nothing(here) and not tables:
        say_how_to_begin(here)
        return
    with here.sources() as (settings, warehouse, sources):
        catalogue, states = _states(here, sources, tables or [])
        gone = [table for table, state in states.items() if state is State.GONE]
        if gone:
            here.say(f"[yellow]Followed, but not in the catalogue: {', '.join(gone)}[/]")
        work = {
            table: state
            for table, state in states.items()
            if state is not State.GONE and (state is not State.CURRENT or wish.insists)
        }
        if not work:
            say_nothing_due(here, states, sources)
            if gone and tables:
                raise typer.Exit(1)
            return
        # imported here: Dagster takes seconds to import, and most calls find nothing to do
        from varro_assets.cli.running import run_all

        with here.dagster_environment(settings, warehouse):
            failed = run_all(here, settings, warehouse, sources, catalogue, work, wish)
    if failed or (gone and tables):
        raise typer.Exit(1)


def rebuild(
    context: typer.Context,
    tables: Annotated[list[str], typer.Argument(help="Table ids.", metavar="TABLE")],
) -> None:
    """Fill fact tables from the parquet files, without the API: after a drop, a restore, or in a new database."""
    here = session(context)
    from varro_assets.cli.running import run_all

    with here.sources() as (settings, warehouse, sources):
        catalogue = here.catalogue(sources)
        chosen = here.chosen(catalogue, tables)
        for table in chosen:
            if manifest.read(sources.store(table).folder) is None:
                raise DamagedPartition(
                    "rebuild table",
                    on=table,
                    got="no sync of it was ever complete",
                    todo=f"{here.command} sync {table}",
                )
        with here.dagster_environment(settings, warehouse):
            failed = run_all(here, settings, warehouse, sources, catalogue, dict.fromkeys(chosen, State.REFILL), Wish())
    if failed:
        raise typer.Exit(1)


# -- steps shared by the commands ----------------------------------------------------------------------------------


def _wish(full: bool, since: str | None, accept_shrink: bool = False) -> Wish:
    if since is not None and periods.parse(since).start is None:
        raise InvalidPeriod(
            "begin at the period",
            on=repr(since),
            got="it does not say when it begins",
            todo="Known forms: 2024, 2024H1, 2024K1, 2024M03, 2024U07, 2024M03D01, 1840:1849, 2006/2007.",
        )
    return Wish(full, since, accept_shrink)


def _states(here: Session, sources: Sources, tables: Sequence[str]) -> tuple[Catalogue, dict[str, State]]:
    """Poll, and compare with what is held: one request, one query."""
    poll = catalog.poll(sources.client, sources.catalogue)
    chosen = here.chosen(poll.catalogue, list(tables))
    with contextlib.closing(postgres.connect(sources.warehouse, "look what is due")) as connection:
        held = due.synced(connection)
    return poll.catalogue, due.states(chosen, poll.catalogue, held, sources.tables_dir)


def _describe(sources: Sources, tables: Sequence[str], catalogue: Catalogue) -> None:
    catalog.describe(sources.client, sources.catalogue, tables, catalogue)


def _plan_text(settings: Settings, sources: Sources, table: str, wish: Wish) -> str:
    info = sources.catalogue.tableinfo(table)
    if info is None:
        info, raw = sources.client.tableinfo(table)
        sources.catalogue.write_tableinfo(table, raw)
    scope = wish.scope(read_follow_file(settings.follow_file).options(table))
    standing = syncs.standing_now(sources, info, syncs.held_periods(sources, table))
    made = standing.plan(scope)
    newest = list(made.fetch)
    reasons = ", ".join(f"{count} {reason}" for reason, count in made.count().items()) or "nothing to fetch"
    span = f" ({newest[0]})" if len(newest) == 1 else f" ({newest[-1]} to {newest[0]})" if newest else ""
    kept = f"; {len(made.vanished)} kept that are no longer published" if made.vanished else ""
    unread = f"; {len(made.unread)} held and not read again" if made.unread else ""
    policy = f"; policy: {standing.policy(scope)}" if standing.complete else ""
    return f"{len(made.fetch)} of {len(info.tids)} periods{span}: {reasons}{unread}{kept}{policy}"


def follows_nothing(here: Session) -> bool:
    """Whether `varro.toml` names no table at all; needs neither catalogue nor database."""
    return not read_follow_file(here.settings.follow_file).tables.follow


def say_how_to_begin(here: Session) -> None:
    """What to do where no table is followed."""
    here.say(
        f"No table is followed. Find one with [bold]{here.command} search WORD[/], then"
        f" [bold]{here.command} follow TABLE[/] and [bold]{here.command} sync[/]."
    )


def say_nothing_due(here: Session, states: dict[str, State], sources: Sources) -> None:
    """What there is to say when every followed table is held as published."""
    if not states:
        say_how_to_begin(here)
        return
    current = sum(1 for state in states.values() if state is State.CURRENT)
    asked = f"{counted(sources.client.request_count, 'request')}, nothing fetched"
    if not current:
        here.say(f"Nothing to do ({asked}).")
        return
    here.say(f"[green]Everything is up to date[/]: {counted(current, 'table')} as published ({asked}).")
