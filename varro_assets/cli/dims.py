"""Dims: the commands about dimensions: which there are, bringing them in, adding one, looking at one.

What belongs here: texts and the order of steps. Fetching and loading are the family's.
"""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from varro_assets.cli.documenting import refresh
from varro_assets.cli.progress import counted, number
from varro_assets.cli.session import Session, session
from varro_assets.context import dimension_documents
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.dimensions import registry
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.dimensions.models import Dimension, Member, dimension_name
from varro_assets.engine import postgres
from varro_assets.errors import ConfigurationError, UnknownDimension, VarroError
from varro_assets.simulator.universe import Universe
from varro_assets.warehouse import open_warehouse

app = typer.Typer(
    help="Dimensions: classifications of Statistics Denmark as tables [bold]dim.<name>[/].", no_args_is_help=True
)
_Names = Annotated[list[str] | None, typer.Argument(help="Names; none = those that are held.", metavar="NAME")]
_Name = Annotated[str, typer.Argument(help="Name, such as nuts.", metavar="NAME")]


@app.command("list")
def list_all(context: typer.Context) -> None:
    """List the dimensions that are held, and the classifications whose address is known."""
    here = session(context)
    with open_warehouse(here.settings) as warehouse:
        sources = open_context(here.settings, warehouse.url)
        held = sources.library.all()
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("dimension", "title", "levels", "members", "source"):
            table.add_column(heading, justify="right" if heading in {"levels", "members"} else "left")
        for name, dimension in sorted(held.items()):
            title, source = escape(dimension.title[:60]), escape(dimension.source)
            table.add_row(name, title, str(len(dimension.levels)), number(len(dimension.members)), source)
        if held:
            here.console.print(table)
        for name, problem in sources.library.problems.items():
            here.say(f"[red]{name}[/]  {escape(problem)}")
        others = [name for name in _known(here, sources) if name not in held]
        if others:
            here.say(f"\nKnown, not held: {', '.join(others)}")
            here.say(f"Fetch them: [bold]{here.command} dims sync NAME ...[/], or [bold]--all[/]", whole=True)


@app.command()
def sync(
    context: typer.Context,
    names: _Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Every classification whose address is known.")] = False,
) -> None:
    """Fetch classifications, load them, and link and document the tables anew that they concern.

    What is no hierarchy is refused, and what is held stays. Exit code 1 if any could not be had.
    """
    here = session(context)
    with here.publisher() as settings, open_warehouse(settings) as warehouse:
        sources = open_context(settings, warehouse.url, on_retry=here.errors.print)
        wanted = [dimension_name(name) for name in names or ()]
        wanted = wanted or (_known(here, sources) if everything else sources.library.store.names())
        if not wanted:
            here.say(f"No dimension is held yet. Known are: {', '.join(_known(here, sources))}")
            here.say(
                f"Fetch some, or all: [bold]{here.command} dims sync nuts[/], [bold]{here.command} dims sync --all[/]"
            )
            return
        failed = sync_classifications(here, sources, wanted)
        refresh(here, settings, warehouse, sources)
    raise typer.Exit(1 if failed else 0)


def sync_classifications(here: Session, sources: ContextSources, names: list[str]) -> list[str]:
    """Fetch and load classifications, saying a line for each; returns those that could not be had."""
    failed = []
    with contextlib.closing(postgres.connect(sources.warehouse, "dims sync")) as connection:
        tables = DimTables(connection)
        for name in names:
            try:
                changed = dimension_documents.fetch(sources, connection, name)
                dimension = held(here, sources, name)
                loaded = tables.load(dimension)
            except VarroError as error:
                here.say(f"{name:<16}[red]{escape(str(error))}[/]", whole=True)
                failed.append(name)
                continue
            what = "changed" if changed else "loaded" if loaded else "unchanged"
            here.say(
                f"{name:<16}{what}, {counted(len(dimension.members), 'member')} on"
                f" {counted(len(dimension.levels), 'level')}: {escape(dimension.title)}"
            )
    return failed


@app.command()
def show(context: typer.Context, name: _Name, depth: Annotated[int, typer.Option(help="Levels to show.")] = 2) -> None:
    """Show a dimension as a tree."""
    here = session(context)
    with open_warehouse(here.settings) as warehouse:
        sources = open_context(here.settings, warehouse.url)
        dimension = held(here, sources, dimension_name(name))
    here.say(f"[bold]{escape(dimension.title)}[/]  dim.{dimension.name}")
    here.say(f"{escape(dimension.source)}\n", whole=True)
    for member in dimension.members:
        if member.niveau <= depth:
            here.say(_line(member), whole=True)
    hidden = sum(member.niveau > depth for member in dimension.members)
    if hidden:
        here.say(f"\n{counted(hidden, 'member')} below level {depth}: [bold]--depth {dimension.levels[-1]}[/]")


def _line(member: Member) -> str:
    return f"{'  ' * (member.niveau - 1)}{escape(member.kode)}  {escape(member.titel)}"


@app.command()
def add(
    context: typer.Context,
    name: _Name,
    page: Annotated[str, typer.Option(help="Address of its page; it links to the CSV files.")] = "",
    csv: Annotated[str, typer.Option(help="Address of its CSV file, or a file on this machine.")] = "",
    skip_blank: Annotated[bool, typer.Option("--skip-blank", help="Leave out lines without a code.")] = False,
) -> None:
    """Add a classification of your own; it is kept in classifications.toml."""
    here = session(context)
    if not (page or csv):
        raise ConfigurationError("add the dimension", on=name, got="no address", todo="Give --page URL or --csv FILE.")
    path = here.settings.home / registry.FILE_NAME
    source = registry.add(path, name, page=page, csv=csv, skip_blank=skip_blank)
    here.say(f"Added {source.name} to {escape(str(path))}", whole=True)
    here.say(f"Fetch it: [bold]{here.command} dims sync {source.name}[/]")


@app.command()
def remove(context: typer.Context, name: _Name) -> None:
    """Remove a dimension: its table, its files, and what classifications.toml says of it."""
    here = session(context)
    name = dimension_name(name)
    with open_warehouse(here.settings) as warehouse:
        sources = open_context(here.settings, warehouse.url)
        with contextlib.closing(postgres.connect(sources.warehouse, "dims remove")) as connection:
            dropped = DimTables(connection).drop(name)
        forgotten = sources.library.store.remove(name)
        known = registry.remove(here.settings.home / registry.FILE_NAME, name)
        if not (dropped or forgotten or known):
            raise _unknown(here, sources, name)
        here.say(f"Removed {name}.")
        refresh(here, here.settings, warehouse, sources)


def held(here: Session, sources: ContextSources, name: str) -> Dimension:
    """The dimension.

    Raises:
        UnknownDimension: it is not held.
    """
    dimension = sources.library.dimension(name)
    if dimension is None:
        raise _unknown(here, sources, name)
    return dimension


def _unknown(here: Session, sources: ContextSources, name: str) -> UnknownDimension:
    known = name in sources.library.sources
    return UnknownDimension(
        "find the dimension",
        on=name,
        got="it is not held" if known else "there is no such classification",
        todo=f"{here.command} dims sync {name}" if known else f"See what there is: {here.command} dims list",
    )


def _known(here: Session, sources: ContextSources) -> list[str]:
    """Names whose address is known; the demo's publisher has some of them."""
    known = set(sources.library.sources)
    return sorted(known & simulated() if here.demo else known)


def simulated() -> set[str]:
    """Names of the classifications that the simulator publishes."""
    return {dimension_name(classification.name) for classification in Universe.demo().classifications()}
