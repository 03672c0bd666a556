"""Doctor: examine the whole, say what is wrong and what mends it, and mend it if asked.

What belongs here: one command. The findings are the families' (`statbank.health`, `context.document_health`) and
Dagster's (`defs.health`).
"""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer
from rich.markup import escape

from varro_assets.cli.dims import sync_classifications
from varro_assets.cli.documenting import refresh
from varro_assets.cli.progress import counted
from varro_assets.cli.session import Session, session
from varro_assets.cli.wish import Wish
from varro_assets.context import document_health
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.engine import postgres
from varro_assets.engine.server.provision import Warehouse
from varro_assets.settings import Settings
from varro_assets.statbank import sync as syncs
from varro_assets.statbank.proof import health
from varro_assets.statbank.proof.health import Finding, Remedy
from varro_assets.statbank.sweeps.due import State


def doctor(
    context: typer.Context,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended here, syncing included.")] = False,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also read every parquet file and compute its hash anew, and run every join."),
    ] = False,
) -> None:
    """Examine database, files, dimensions, documents and Dagster; say what does not agree, and what mends it.

    Exit code 1 if something remains to be mended.
    """
    here = session(context)
    # imported here: Dagster takes seconds to import, which no other command shall pay
    from varro_assets.cli import runs
    from varro_assets.cli.running import run_all
    from varro_assets.defs import health as shown
    from varro_assets.defs.unattended.dead_runs import end_all_dead_runs

    with here.sources() as (settings, warehouse, sources):
        for note in warehouse.notes:
            here.say(f"[yellow]database[/]  {escape(note)}")
        catalogue = sources.catalogue.read()
        if catalogue is None:
            here.say(f"No catalogue yet. Begin with: [bold]{here.command} sync[/]")
            return
        context_sources = open_context(settings, warehouse.url, on_retry=here.errors.print)
        tables = [table for table in here.followed(catalogue) if table in catalogue.entries]
        with contextlib.closing(postgres.connect(sources.warehouse, "doctor")) as connection:
            findings = [
                finding for table in tables for finding in health.table_findings(sources, table, connection, deep=deep)
            ]
            written = list(document_health.findings(context_sources, connection, deep=deep))
        with here.dagster_environment(settings, warehouse), runs.dagster_instance() as instance:
            dead = end_all_dead_runs(instance, sources.warehouse)
            if dead:
                here.say(f"[yellow]dagster[/]  marked {counted(len(dead), 'run')} as failed whose process is gone")
            unshown = {
                table: codes
                for table in tables
                if (codes := shown.unreported(instance, table, syncs.held_periods(sources, table)))
            }
            _say_findings(here, findings, unshown)
            for one in written:
                _say_written(here, one)
            if repair:
                for table in unshown:
                    shown.report_again(instance, table, syncs.held_periods(sources, table))
        if repair:
            with here.dagster_environment(settings, warehouse):
                failed = [run_all(here, settings, warehouse, sources, catalogue, *work) for work in _work(findings)]
            left = _mend_written(here, settings, warehouse, context_sources, written)
            if any(failed) or left:
                raise typer.Exit(1)
            here.say("[green]Mended.[/]" if findings or unshown or written else "[green]Nothing to mend.[/]")
            return
        ours = [one for one in written if one.remedy is not document_health.Remedy.HAND]
        if unshown or ours or any(finding.remedy is not Remedy.NONE for finding in findings):
            here.say(f"\nTo mend it: [bold]{here.command} doctor --repair[/]")
        if len(ours) < len(written):
            _say_yours(here)
        if unshown or written or any(finding.remedy is not Remedy.NONE for finding in findings):
            raise typer.Exit(1)
        here.say(f"[green]All is well[/]: {counted(len(tables), 'table')}; files, database and Dagster agree.")


def _mend_written(
    here: Session,
    settings: Settings,
    warehouse: Warehouse,
    sources: ContextSources,
    written: list[document_health.Finding],
) -> bool:
    """Mend dimensions and documents; returns whether something is left, and says what."""
    if not written:
        return False
    of = {
        remedy: [one.on.removeprefix("dim.") for one in written if one.remedy is remedy]
        for remedy in document_health.Remedy
    }
    with contextlib.closing(postgres.connect(sources.warehouse, "doctor")) as connection:
        tables = DimTables(connection)
        for name in of[document_health.Remedy.LOAD]:
            dimension = sources.library.dimension(name)
            if dimension is not None:
                tables.load(dimension, anew=True)
    sync_classifications(here, sources, of[document_health.Remedy.FETCH])
    # a document that lost what stood above the notes is not one whose inputs changed
    refresh(here, settings, warehouse, sources, everything=bool(of[document_health.Remedy.WRITE]))
    with contextlib.closing(postgres.connect(sources.warehouse, "doctor")) as connection:
        left = list(document_health.findings(sources, connection))
    if left:
        here.say("\nLeft as it is:")
        for one in left:
            _say_written(here, one)
        _say_yours(here)
    return bool(left)


def _say_written(here: Session, one: document_health.Finding) -> None:
    here.say(f"[bold]{escape(one.on)}[/]  {escape(one.what)}  [dim]({one.remedy})[/]", whole=True)


def _say_yours(here: Session) -> None:
    here.say("\nWhat people wrote is not mended by itself: see above what can be done with each.")


def _work(findings: list[Finding]) -> list[tuple[dict[str, State], Wish]]:
    """What to run: each table once, by its strongest remedy."""
    strongest: dict[str, Remedy] = {}
    for remedy in (Remedy.REBUILD, Remedy.SYNC, Remedy.REFETCH):
        strongest |= {finding.table: remedy for finding in findings if finding.remedy is remedy}
    groups = (
        (Remedy.REBUILD, State.REFILL, Wish()),
        (Remedy.SYNC, State.CHANGED, Wish()),
        (Remedy.REFETCH, State.CHANGED, Wish(full=True)),
    )
    work = [({t: state for t, r in strongest.items() if r is remedy}, wish) for remedy, state, wish in groups]
    return [(tables, wish) for tables, wish in work if tables]


def _say_findings(here: Session, findings: list[Finding], unshown: dict[str, list[str]]) -> None:
    for finding in findings:
        here.say(f"[bold]{finding.table}[/]  {escape(finding.what)}  [dim]({finding.remedy})[/]")
    for table, codes in unshown.items():
        here.say(f"[bold]{table}[/]  {len(codes)} held periods do not show in Dagster  [dim](report again)[/]")
