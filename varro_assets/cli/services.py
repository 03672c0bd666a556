"""Demo and up: the two commands a newcomer types first.

What belongs here: starting things together. Each thing itself is elsewhere.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from varro_assets.cli import dims, documenting, foreground, progress, syncing, tether
from varro_assets.cli.session import Session, session
from varro_assets.cli.watching import Watch
from varro_assets.cli.wish import Wish
from varro_assets.context.sources import open_context
from varro_assets.engine import database_url, postgres
from varro_assets.engine.server.provision import Warehouse
from varro_assets.engine.server.server import EmbeddedServer
from varro_assets.engine.server.server_locks import FileLock
from varro_assets.errors import ConfigurationError
from varro_assets.settings import SIMULATOR, Settings
from varro_assets.statbank import catalog
from varro_assets.statbank.sweeps import due
from varro_assets.warehouse import open_warehouse

UI_PORT = 3000
SAMPLE_TITLE = "Population of the five regions in the newest quarter"
SAMPLE_SQL = """\
SELECT d.titel AS region, f.tid AS quarter, f.indhold AS persons
  FROM fact.folk1a f
  JOIN dim.nuts d ON d.kode = f.omrade AND d.niveau = 1
 WHERE f.tid = (SELECT max(tid) FROM fact.folk1a)
   AND (f.kon, f.alder, f.civilstand) = ('TOT', 'IALT', 'TOT')
 ORDER BY persons DESC"""


def demo(context: typer.Context) -> None:
    """Sync a small simulated StatBank into a database of its own, and show what came of it.

    Needs no network. The values are invented; structure and oddities are the real ones.
    """
    here = Session(home=session(context).home, demo=True, debug=session(context).debug)
    here.say("[bold]varro demo[/]: a simulated StatBank (real structure, invented values), in")
    here.say(f"{escape(str(here.settings.home))}\n", whole=True)
    with here.sources() as (settings, warehouse, sources):
        poll = catalog.poll(sources.client, sources.catalogue)
        followed = here.followed(poll.catalogue)
        with contextlib.closing(postgres.connect(sources.warehouse, "demo")) as connection:
            states = due.states(followed, poll.catalogue, due.synced(connection), sources.tables_dir)
        work = {table: state for table, state in states.items() if state is not due.State.CURRENT}
        context_sources = open_context(settings, warehouse.url)
        if not context_sources.library.store.names() and dims.sync_classifications(
            here, context_sources, sorted(dims.simulated())
        ):
            raise typer.Exit(1)
        if work:
            from varro_assets.cli.running import run_all
            from varro_assets.cli.runs import report_documents

            here.say()
            with here.dagster_environment(settings, warehouse):
                failed = run_all(here, settings, warehouse, sources, poll.catalogue, work, Wish())
                if failed or documenting.make_layers(here, context_sources):
                    raise typer.Exit(1)
                report_documents(context_sources)
        else:
            syncing.say_nothing_due(here, states, sources)
        _say_sample(here, warehouse)
    _say_next(here)


def up(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port of the UI on 127.0.0.1.")] = UI_PORT,
) -> None:
    """Run Postgres and Dagster (UI, schedules, sensors, backfills) until Ctrl-C."""
    here = session(context)
    with _alone(here.settings):
        code = _serve(here, port)
    raise typer.Exit(code)


def _serve(here: Session, port: int) -> int:
    _refuse_taken(port)
    with here.publisher() as found, open_warehouse(found) as warehouse:
        url = f"http://127.0.0.1:{port}"
        settings = served_at(found, url)
        if settings.dst_api_url != here.settings.dst_api_url and here.settings.dst_api_url == SIMULATOR:
            here.say(f"Simulated StatBank at {settings.dst_api_url}")
        here.say(f"Dagster at [bold]{url}[/] (Ctrl-C ends it)")
        with here.dagster_environment(settings, warehouse) as environment:
            arguments = ["dev", *_target(here), "-h", "127.0.0.1", "-p", str(port)]
            command = [sys.executable, "-m", tether.__name__, foreground.LIFE_LINE, "dagster", *arguments]
            # its own folder: `dagster dev` writes to the working directory
            service = foreground.Service(command, environment, settings.dagster_home)
            server = EmbeddedServer(settings.postgres_dir) if settings.database_url is None else None
            at = database_url.parse(warehouse.url.get_secret_value()).port
            with Watch(url, server, at, service, lambda text: here.errors.print(escape(text))) as watch:
                return service.run(watch.begin_again)


def served_at(found: Settings, url: str) -> Settings:
    """The settings for Dagster whose web server is at this address.

    The sensor has that very server load tables that are followed meanwhile, also where people reach it by another.
    """
    people = {} if "varro_ui_url" in found.model_fields_set else {"varro_ui_url": url}
    return found.model_copy(update={"varro_reload_url": url, **people})


def _target(here: Session) -> list[str]:
    """The project's workspace.yaml; without one, the module it names."""
    workspace = here.project.home / "workspace.yaml"
    return ["-w", str(workspace)] if workspace.is_file() else ["-m", "varro_assets.definitions"]


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Only one of a home at a time: of two daemons each would do all that is due.

    The port tells of another only when its web server has begun, seconds later, and may be another one.
    """
    lock = FileLock(settings.data_dir / "up.lock")
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        got_it = lock.acquire()
    except OSError as error:
        raise ConfigurationError(
            "open",
            on=str(lock.path),
            got=(error.strerror or str(error)).lower(),
            todo="Check who owns the folder and that this account may write there.",
        ) from None
    try:
        if not got_it:
            raise ConfigurationError(
                "run varro up of the home",
                on=str(settings.home),
                got="it runs already",
                todo="Use the one that runs, or end it first. The demo's home and the real one are two.",
            )
        yield
    finally:
        lock.release()


def _refuse_taken(port: int) -> None:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(
                "serve the UI at port",
                on=str(port),
                got=(error.strerror or str(error)).lower(),
                todo="Choose another with --port.",
            ) from None


def _say_sample(here: Session, warehouse: Warehouse) -> None:
    reader = warehouse.reader_url or warehouse.url
    with (
        contextlib.closing(postgres.connect(reader, "demo")) as connection,
        postgres.transaction(connection, "run the sample query") as cursor,
    ):
        cursor.execute(SAMPLE_SQL)
        names = [column.name for column in cursor.description or ()]
        rows = cursor.fetchall()
    here.say(f"\n[bold]{SAMPLE_TITLE}[/]\n\n[dim]{escape(SAMPLE_SQL)}[/]\n", whole=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right" if name == "persons" else "left")
    for row in rows:
        table.add_row(*(progress.number(value) if isinstance(value, float) else str(value) for value in row))
    here.console.print(table)


def _say_next(here: Session) -> None:
    here.say("\n[bold]Next[/]")
    varro = _typed()
    lines = (
        (f"{varro} --demo up", f"the Dagster UI on http://127.0.0.1:{UI_PORT}"),
        (f"{varro} --demo docs FOLK1A", "what to know before writing SQL"),
        (f"{varro} --demo psql", "ask your own questions, read-only"),
        (f"{varro} search befolkning", "the real StatBank; then varro follow, varro sync"),
    )
    longest = max(len(command) for command, _what in lines)
    for command, what in lines:
        # text, not markup: in the demo's mouth a `varro search` of markup becomes the demo's own
        line = Text.assemble("  ", (command.ljust(longest), "bold"), "  ", what)
        here.console.print(line, soft_wrap=True)
    here.say(f"\nParquet:   {escape(str(here.settings.tables_dir))}", whole=True)
    here.say(f"Documents: {escape(str(here.settings.context_dir))}", whole=True)


def _typed() -> str:
    """What to type for this very `varro`: its path, where the shell would find none by its name or another."""
    ours = Path(sys.executable).with_name("varro")
    found = shutil.which("varro")
    if not ours.is_file() or (found is not None and ours.samefile(found)):
        return "varro"
    return shlex.quote(str(ours.relative_to(Path.cwd()) if ours.is_relative_to(Path.cwd()) else ours))
