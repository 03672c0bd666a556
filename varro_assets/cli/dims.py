"""Dims: the commands about dimensions: which there are, bringing them in, adding one, looking at one.

What belongs here: texts and the order of steps. Fetching and loading are the family's.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.markup import escape

from varro_assets.cli.documenting import refresh
from varro_assets.cli.lookup import print_table
from varro_assets.cli.progress import counted, number
from varro_assets.cli.session import Session, session
from varro_assets.context import dimension_documents
from varro_assets.context.asking import likeness
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.dimensions.classifications import csv_file, hierarchy, registry
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.dimensions.links import link_file
from varro_assets.dimensions.models import Dimension, MadeBy, Member, dimension_name
from varro_assets.engine import postgres
from varro_assets.engine.server.provision import Warehouse
from varro_assets.errors import ConfigurationError, InvalidLink, UnknownDimension, VarroError
from varro_assets.settings import SIMULATOR, Settings
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
        rows = [
            [name, one.title, str(len(one.levels)), number(len(one.members)), _from(one)]
            for name, one in sorted(held.items())
        ]
        if rows:
            print_table(here, ("dimension", "title", "levels", "members", "from"), rows, right=("levels", "members"))
        for name, problem in sources.library.problems.items():
            here.errors.print(f"[red]{name}[/]  {escape(problem)}", soft_wrap=True)
        others = [name for name in _known(here, sources) if name not in held]
        if others:
            here.errors.print(f"\nKnown, not held: {', '.join(others)}", soft_wrap=not here.errors.is_terminal)
            here.errors.print(
                f"Fetch them: [bold]{here.command} dims sync NAME ...[/], or [bold]--all[/]", soft_wrap=True
            )


def _from(dimension: Dimension) -> str:
    """The site, or what else it was made of; the whole address is in `show`."""
    return urlsplit(dimension.source).hostname or dimension.source


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
        problems = _follow_up(here, settings, warehouse, sources)
    raise typer.Exit(1 if failed or problems else 0)


def _follow_up(here: Session, settings: Settings, warehouse: Warehouse, sources: ContextSources) -> bool:
    """Link and document anew what joins the dimensions; returns whether anything could not be written."""
    if sources.catalogue.read() is None:
        here.say(f"No table is held yet; links and documents come with: [bold]{here.command} sync[/]")
        return False
    return bool(refresh(here, settings, warehouse, sources).problems)


def sync_classifications(here: Session, sources: ContextSources, names: list[str]) -> list[str]:
    """Fetch and load classifications, saying a line for each; returns those that could not be had."""
    failed = []
    with contextlib.closing(postgres.connect(sources.warehouse, "dims sync")) as connection:
        tables = DimTables(connection)
        for name in names:
            # those of the one before: what is made of code lists is not asked of the publisher
            sources.publisher.remarks.clear()
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
            for remark in sources.publisher.remarks:
                here.say(f"{'':<16}[yellow]{escape(remark)}[/]", whole=True)
    return failed


@app.command()
def show(context: typer.Context, name: _Name, depth: Annotated[int, typer.Option(help="Levels to show.")] = 2) -> None:
    """Show a dimension as a tree."""
    here = session(context)
    with open_warehouse(here.settings) as warehouse:
        sources = open_context(here.settings, warehouse.url)
        dimension = held(here, sources, dimension_name(name))
    here.say(f"[bold]{escape(dimension.title)}[/]  dim.{dimension.name}")
    here.say(escape(dimension.source), whole=True)
    if dimension.page:
        here.say(escape(dimension.page), whole=True)
    here.say()
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
    name, file = dimension_name(name), Path(csv)
    if csv and not urlsplit(csv).scheme and file.is_file():
        # a file that is here can be judged at once
        rows = csv_file.parse(file.read_bytes(), on=f"{name} ({file})")
        hierarchy.dimension(name, name, rows, source=str(file), skip_blank=skip_blank)
    path = here.settings.home / registry.FILE_NAME
    source = registry.add(path, name, page=page, csv=csv, skip_blank=skip_blank)
    here.say(f"Added {source.name} to {escape(str(path))}", whole=True)
    if name in registry.BUILT_IN:
        here.say(f"It is a built-in name: this address goes before it until [bold]{here.command} dims remove {name}[/]")
    here.say(f"Fetch it: [bold]{here.command} dims sync {source.name}[/]")


@app.command()
def remove(context: typer.Context, name: _Name) -> None:
    """Remove a dimension: its table, its files, and what classifications.toml says of it."""
    here = session(context)
    name = dimension_name(name)
    with open_warehouse(here.settings) as warehouse:
        sources = open_context(here.settings, warehouse.url)
        _refuse_linked(here, sources, name)
        with contextlib.closing(postgres.connect(sources.warehouse, "dims remove")) as connection:
            dropped = DimTables(connection).drop(name)
        forgotten = sources.library.store.remove(name)
        known = registry.remove(here.settings.home / registry.FILE_NAME, name)
        if not (dropped or forgotten or known):
            raise _unknown(here, sources, name)
        # what the registry says of it from now on: nothing, or what is built in
        sources = open_context(here.settings, warehouse.url)
        here.say(f"Removed {name}.")
        if name in sources.library.sources:
            here.say(f"It is built in, and comes back with: [bold]{here.command} dims sync {name}[/]")
        problems = _follow_up(here, here.settings, warehouse, sources)
    raise typer.Exit(1 if problems else 0)


def _refuse_linked(here: Session, sources: ContextSources, name: str) -> None:
    """Links by hand are people's word: they are not made to point at nothing."""
    found = []
    for path in sorted(sources.links_dir.glob("[!_.]*.json")):
        links = link_file.read(path)
        found += [(path.stem, one.column) for one in links if one.dimension == name and one.made_by is MadeBy.HAND]
    if found:
        table, column = found[0]
        raise InvalidLink(
            "remove the dimension",
            on=name,
            got=f"linked by hand to it: {', '.join(f'{table} {column}' for table, column in found)}",
            todo=f"Nothing was removed. Unlink first: {here.command} links remove {table} {column}",
        )


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
    near = likeness.nearest(name, sorted({*sources.library.store.names(), *_known(here, sources)}))
    none = "there is none of that name" + (f"; near: {', '.join(near[:3])}" if near else "")
    return UnknownDimension(
        "find the dimension",
        on=name,
        got="it is not held" if known else none,
        todo=f"{here.command} dims sync {name}" if known else f"See what there is: {here.command} dims list",
    )


def _known(here: Session, sources: ContextSources) -> list[str]:
    """Names whose address is known; the simulated publisher has some of them, besides people's own."""
    known = set(sources.library.sources)
    if here.settings.dst_api_url == SIMULATOR:
        known -= registry.BUILT_IN.keys() - simulated()
    return sorted(known)


def simulated() -> set[str]:
    """Names of the classifications that the simulator publishes."""
    return {dimension_name(classification.name) for classification in Universe.demo().classifications()}
