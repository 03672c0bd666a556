"""Documenting: links, documents and pages brought up to date, and what is said of it.

What belongs here: the command `varro document`, and the step that ends a sync. What is written is `context`'s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Annotated

import typer
from rich.markup import escape

from varro_assets.cli.progress import Stopwatch, counted, table_bar
from varro_assets.cli.session import Session, session
from varro_assets.context import documents, holdings, snapshot
from varro_assets.context.documents import DocumentsReport
from varro_assets.context.maps.geo_layers import DEFAULT
from varro_assets.context.maps.geo_layers import FOLDER as LAYERS_FOLDER
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.engine import postgres
from varro_assets.engine.server.provision import Warehouse
from varro_assets.errors import UnknownTable, VarroError
from varro_assets.settings import Settings
from varro_assets.statbank import models
from varro_assets.statbank.catalog import Catalogue
from varro_assets.warehouse import open_warehouse

_Tables = Annotated[list[str] | None, typer.Argument(help="Table ids; none = every held table.", metavar="TABLE")]


def document(
    context: typer.Context,
    tables: _Tables = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also look at tables where nothing has changed, as at those that are named.")
    ] = False,
    layers: Annotated[bool, typer.Option("--maps", help="Also fetch boundaries and make the map layers anew.")] = False,
) -> None:
    """Bring links, documents and subject pages up to date where what they are made of has changed.

    A sync does this by itself. What people wrote below a line [bold]notes:[/] stays byte for byte.

    Exit code 1 if anything could not be written.
    """
    here = session(context)
    only = [models.table_id(table) for table in tables] if tables else None
    with here.publisher() as settings, open_warehouse(settings) as warehouse:
        sources = open_context(settings, warehouse.url, on_retry=here.errors.print)
        _refuse_unheld(here, sources, only or ())
        problems = make_layers(here, sources) if layers else 0
        # who names a table wants to hear of it
        report = refresh(here, settings, warehouse, sources, only=only, everything=everything or bool(only))
    raise typer.Exit(1 if problems or report.problems else 0)


def _refuse_unheld(here: Session, sources: ContextSources, tables: Collection[str]) -> None:
    catalogue = sources.catalogue.read()
    if catalogue is None:
        todo = f"They come with a table: {here.command} follow TABLE, {here.command} sync"
        raise UnknownTable("write documents", on=str(sources.folder), got="no table is held yet", todo=todo)
    if not tables:
        return
    with contextlib.closing(postgres.connect(sources.warehouse, "document")) as connection:
        held = holdings.holdings(connection, tables)
    for table in tables:
        if table not in held:
            raise not_held(here, catalogue, "document", table)


def not_held(here: Session, catalogue: Catalogue, tried: str, table: str) -> UnknownTable:
    """The error for a table of which nothing is in the warehouse."""
    if table in catalogue.entries:
        todo = f"Bring it in: {here.command} follow {table}, {here.command} sync {table}"
        return UnknownTable(tried, on=table, got="it is not held", todo=todo)
    return UnknownTable(tried, on=table, got="there is no such table", todo=f"Find it with: {here.command} search WORD")


def refresh(
    here: Session,
    settings: Settings,
    warehouse: Warehouse,
    sources: ContextSources,
    *,
    only: Collection[str] | None = None,
    everything: bool = False,
    touched: Collection[str] = (),
) -> DocumentsReport:
    """Write what is stale, say what was done, and report it to Dagster."""
    watch = Stopwatch()
    with table_bar(here.console, "documents") as progress:
        task = progress.add_task("", total=None, table="")
        report = documents.write(
            sources,
            only=only,
            everything=everything,
            on_count=lambda count: progress.update(task, total=count),
            on_table=lambda table: progress.update(task, advance=1, table=table),
        )
    if report.tables or touched:
        _index_layers(sources, report)
    _say(here, report, watch)
    if report.changed or touched:
        # imported here: Dagster takes seconds to import, which no other command shall pay
        from varro_assets.cli import runs

        with here.dagster_environment(settings, warehouse):
            runs.report_documents(sources, report.tables)
    return report


def make_layers(here: Session, sources: ContextSources) -> int:
    """Fetch boundaries and make the map layers, saying a line for each; returns how many could not be made."""
    # imported here, as below: geopandas takes a second, which no other command shall pay
    from varro_assets.context.maps import map_layers

    failed = 0
    with contextlib.closing(postgres.connect(sources.warehouse, "map layers")) as connection:
        taken = snapshot.take(sources, connection)
        made = []
        for name in DEFAULT:
            try:
                report = map_layers.write(sources, taken, [name])
            except VarroError as error:
                here.say(f"{name:<16}[red]{escape(str(error))}[/]", whole=True)
                failed += 1
                continue
            made += report.layers
            for layer in report.layers:
                here.say(f"{name:<16}{counted(layer.shapes, 'shape')}")
                for remark in layer.remarks:
                    here.say(f"{'':<16}[yellow]{escape(remark)}[/]")
        map_layers.write_index(sources, taken, connection, holdings.holdings(connection), made)
    return failed


def _index_layers(sources: ContextSources, report: DocumentsReport) -> None:
    try:
        documents.write_index_of_maps(sources, report)
    except VarroError as error:
        report.problems[LAYERS_FOLDER] = str(error)


def _say(here: Session, report: DocumentsReport, watch: Stopwatch) -> None:
    changed = counted(len(report.changed), "file")
    done = f"{changed} written in {watch.seconds:.1f} s, the rest as they were" if report.changed else "as they were"
    here.say(f"Documents of {counted(report.held, 'table')}: {done}. Read them: [bold]{here.command} docs[/]")
    for remark in report.remarks:
        here.say(f"[yellow]{escape(remark)}[/]", whole=True)
    for on, problem in report.problems.items():
        here.say(f"[red]{escape(on)}[/]: {escape(problem)}", whole=True)
