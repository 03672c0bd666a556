"""The database commands: the embedded server, and a way in for psql and other tools.

What belongs here: `varro db ...` and `varro psql`. The server itself is the engine's (`server`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.markup import escape

from varro_assets.cli.session import Session, session
from varro_assets.engine import database_url
from varro_assets.engine.server import postmaster
from varro_assets.engine.server.provision import Warehouse
from varro_assets.engine.server.server import EmbeddedServer
from varro_assets.errors import DatabaseRefused
from varro_assets.warehouse import open_warehouse

app = typer.Typer(help="The embedded Postgres: start, stop, where it is.", no_args_is_help=True)
_Owner = Annotated[bool, typer.Option("--owner", help="As the owner, who may write; the default is the reader.")]


@app.command()
def start(context: typer.Context) -> None:
    """Start the embedded server and leave it running, for psql and other tools."""
    here = session(context)
    if _is_external(here):
        return
    with open_warehouse(here.settings):
        EmbeddedServer(here.settings.postgres_dir).keep()
    here.say(f"Running, and stays so until [bold]{here.command} db stop[/]. Connect with: {here.command} psql")


@app.command()
def stop(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Even if other processes use it.")] = False,
) -> None:
    """Stop the embedded server."""
    here = session(context)
    if _is_external(here):
        return
    stopped = EmbeddedServer(here.settings.postgres_dir).stop(force=force)
    here.say("Stopped." if stopped else "It was not running.")


@app.command()
def status(context: typer.Context) -> None:
    """Say whether the embedded server runs, where, and who uses it."""
    here = session(context)
    if _is_external(here):
        return
    found = EmbeddedServer(here.settings.postgres_dir).status()
    here.say(f"{found.state}, folder {escape(str(here.settings.postgres_dir))}", whole=True)
    if found.port and found.version:
        users = len(found.users)
        here.say(
            f"127.0.0.1:{found.port}, Postgres {found.version},"
            f" used by {users} process{'es' * (users != 1)}{', kept running' if found.kept else ''}"
        )


@app.command()
def url(context: typer.Context, owner: _Owner = False) -> None:
    """Print the address for other tools. It holds the password."""
    here = session(context)
    with open_warehouse(here.settings) as warehouse:
        typer.echo(_libpq_url(warehouse, owner=owner))


def psql(
    context: typer.Context,
    owner: _Owner = False,
    command: Annotated[str | None, typer.Option("--command", "-c", help="Run this and end.")] = None,
) -> None:
    """Open psql on the warehouse, as the read-only role unless told otherwise."""
    here = session(context)
    with open_warehouse(here.settings) as warehouse:
        target = database_url.parse(_libpq_url(warehouse, owner=owner))
        # the password goes by the environment: a command line can be read by everybody on the machine
        environment = {**os.environ, "PGPASSWORD": target.password or ""}
        shown = type(target).create("postgresql", target.username, None, target.host, target.port, target.database)
        arguments = [
            str(postmaster.binary("psql")),
            "--no-psqlrc",
            shown.render_as_string(),
            *(["-c", command] if command else []),
        ]
        code = _in_front(arguments, environment)
    sys.exit(code)


def _in_front(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program that has the terminal, Ctrl-C included; returns its exit code as a shell gives it.

    The terminal sends an interrupt to us as well: it is the program's to deal with, and it may go on.
    """
    # before there is a program, so that no interrupt ends us beside it; handled, not ignored: what is ignored stays so
    # in the child
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        code = subprocess.run(command, env=environment, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


def _libpq_url(warehouse: Warehouse, *, owner: bool) -> str:
    chosen = warehouse.url if owner else warehouse.reader_url
    if chosen is None:
        raise DatabaseRefused(
            "connect as the reader",
            on="varro_reader",
            got="its password on your own server is yours to set",
            todo="Use --owner, or connect with your own client.",
        )
    address = database_url.parse(chosen.get_secret_value()).set(drivername="postgresql")
    return address.render_as_string(hide_password=False)


def _is_external(here: Session) -> bool:
    if here.settings.database_url is None:
        return False
    here.say("DATABASE_URL is set: the embedded server is not used.")
    return True
