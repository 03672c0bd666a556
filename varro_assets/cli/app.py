"""The `varro` command itself: global options, the list of commands, and how errors reach people.

What belongs here: putting the commands together. Each lives in the module named for what it is about.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from varro_assets.cli import (
    backing,
    browsing,
    database,
    dims,
    documenting,
    examining,
    following,
    forgetting,
    interruption,
    links,
    lookup,
    migrating,
    reporting,
    revising,
    services,
    simulator,
    syncing,
    verifying,
)
from varro_assets.cli.session import Session
from varro_assets.errors import VarroError

app = typer.Typer(
    name="varro",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Statistics Denmark's StatBank at home: every table a Dagster asset partitioned by period, with typed Postgres"
    " facts and parquet below it.\n\n"
    "First steps: [bold]varro demo[/] (invented data, no network), then [bold]varro search[/], [bold]varro follow[/],"
    " [bold]varro sync[/] and [bold]varro up[/] for the real StatBank.",
    epilog="Data: Statistics Denmark, CC BY 4.0. Settings are read from .env, followed tables from varro.toml.",
)


@app.callback()
def options(
    context: typer.Context,
    demo: Annotated[bool, typer.Option("--demo", help="Work in the demo: own database, simulated StatBank.")] = False,
    home: Annotated[
        Path | None, typer.Option(help="The project folder, if not the one above the working directory.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    """Take the global options."""
    context.obj = Session(home=home, demo=demo, debug=debug)


_TABLES, _DATA, _UPKEEP, _MEANING, _SERVICES = "Tables", "Data", "Upkeep", "Meaning", "Services"
app.command(rich_help_panel=_TABLES)(browsing.search)
app.command(rich_help_panel=_TABLES)(browsing.show)
app.command(rich_help_panel=_TABLES)(following.follow)
app.command(rich_help_panel=_TABLES)(following.unfollow)
app.command(rich_help_panel=_DATA)(syncing.plan)
app.command(rich_help_panel=_DATA)(syncing.sync)
app.command("verify", rich_help_panel=_DATA)(verifying.verify_command)
app.command(rich_help_panel=_DATA)(revising.revisions)
app.command(rich_help_panel=_UPKEEP)(reporting.runs)
app.command(rich_help_panel=_UPKEEP)(examining.doctor)
app.command(rich_help_panel=_UPKEEP)(backing.backup)
app.command(rich_help_panel=_UPKEEP)(backing.restore)
app.command(rich_help_panel=_UPKEEP)(syncing.rebuild)
app.command(rich_help_panel=_UPKEEP)(forgetting.forget)
app.command(rich_help_panel=_UPKEEP)(migrating.migrate_legacy)
app.add_typer(dims.app, name="dims", rich_help_panel=_MEANING)
app.add_typer(links.app, name="links", rich_help_panel=_MEANING)
app.command(rich_help_panel=_MEANING)(documenting.document)
app.command(rich_help_panel=_MEANING)(lookup.docs)
app.command(rich_help_panel=_MEANING)(lookup.values)
app.command(rich_help_panel=_MEANING)(lookup.sql)
app.command(rich_help_panel=_SERVICES)(services.demo)
app.command(rich_help_panel=_SERVICES)(services.up)
app.command(rich_help_panel=_SERVICES)(database.psql)
app.add_typer(database.app, name="db", rich_help_panel=_SERVICES)
app.add_typer(simulator.app, name="simulator", rich_help_panel=_SERVICES)


def main() -> None:
    """Entry point: named errors become a message and exit code 1, and only ``--debug`` shows the stack."""
    with interruption.orderly():
        try:
            app(prog_name="varro", standalone_mode=True)
        except Exception as error:
            if "--debug" in sys.argv:
                raise
            problem, todo = _in_words(error)
            console = Session(demo="--demo" in sys.argv).errors
            console.print(f"[bold red]{escape(problem)}[/]", soft_wrap=True)
            if todo:
                console.print(escape(todo), soft_wrap=True)
            sys.exit(1)


def _in_words(error: Exception) -> tuple[str, str]:
    """What went wrong, and what to do next."""
    if isinstance(error, VarroError):
        return error.problem, error.todo
    return (
        f"Unexpected {type(error).__name__}: {error}",
        "This is a mistake in varro itself. Run the same with --debug for the whole of it, and report that.",
    )
