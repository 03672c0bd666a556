"""Migrate: the predecessor's files taken over, table by table.

What belongs here: one command. What is done with a file is `statbank.legacy`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from varro_assets.cli.documenting import refresh
from varro_assets.cli.progress import counted
from varro_assets.cli.session import Session, session
from varro_assets.context.sources import open_context
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Plan
from varro_assets.engine.server.provision import Warehouse
from varro_assets.errors import ConfigurationError, TransientError, VarroError
from varro_assets.settings import Settings
from varro_assets.statbank import models
from varro_assets.statbank.legacy import source_files
from varro_assets.statbank.legacy.migration import Migrated, Wanted, migrate_table
from varro_assets.statbank.legacy.record import NOTE, Fate, FileRecord
from varro_assets.statbank.legacy.source_files import SourceFile
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sync_report import Observer, Outcome

WAIT_SECONDS = 60.0


def migrate_legacy(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(help="The predecessor's statbank_tables; the home's own if left out.", metavar="FOLDER"),
    ] = None,
    table: Annotated[list[str] | None, typer.Option(help="Only this table; can be repeated.")] = None,
    archive: Annotated[Path | None, typer.Option(help="Move there what was migrated. Else it is left.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also replace periods that are held.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
) -> None:
    """Take over the predecessor's parquet files as periods of the followed tables.

    What cannot be traced to the publisher's codes is refused, file by file, and nothing is deleted.

    A migrated table is due at once. Can be stopped and run again at any time. Exit code 1 if anything was refused.
    """
    here = session(context)
    with here.sources() as (settings, warehouse, sources):
        place = (folder or settings.tables_dir).expanduser().resolve()
        found = _found(place)
        chosen = _chosen(here, sources, found, table or [])
        stated = source_files.publications(place)
        observer = Telling(here)
        results = []
        for name in chosen:
            kept = archive.expanduser().resolve() if archive else None
            wanted = Wanted(place, stated.get(name), kept, overwrite, dry_run)
            result = _migrate(sources, name, found.get(name, []), wanted, observer)
            _say(here, result, dry_run)
            results.append(result)
        touched = [result for result in results if result.count(Fate.MIGRATED)]
        if touched and not dry_run:
            _report(here, settings, warehouse, touched)
        _say_end(here, results, dry_run)
    if any(result.refused for result in results):
        raise typer.Exit(1)


class Telling(Observer):
    """Passes on what a load has to say."""

    def __init__(self, here: Session) -> None:
        self._here = here

    def planned(self, plan: Plan, info: TableInfo) -> None:
        """Nothing is planned: nothing is asked of the publisher."""

    def rows(self, count: int) -> None:
        """None come from the publisher."""

    def settled(self, period: str, outcome: Outcome, part: PartitionInfo) -> None:
        """What was stored is told of file by file."""

    def message(self, text: str) -> None:
        """To the terminal."""
        self._here.say(escape(text))


def _found(folder: Path) -> dict[str, list[SourceFile]]:
    try:
        found = source_files.find(folder)
    except OSError as error:
        raise ConfigurationError(
            "search for legacy files in", on=str(folder), got=error.strerror or str(error), todo="Name another FOLDER."
        ) from error
    return found


def _chosen(here: Session, sources: Sources, found: dict[str, list[SourceFile]], named: Sequence[str]) -> list[str]:
    """The tables to migrate: those named, else all followed ones that have files."""
    catalogue = here.catalogue(sources)
    if named:
        tables = here.chosen(catalogue, list(named))
        for table in tables:
            if table not in found:
                here.say(f"[yellow]{table}[/]  no legacy file of it")
        return [table for table in tables if table in found]
    followed = set(here.followed(catalogue))
    others = [table for table in found if table not in followed]
    if others:
        here.say(
            f"[yellow]Passed over, since not followed: {', '.join(others[:10])}{', ...' * (len(others) > 10)}[/]."
            f" To take them over: [bold]{here.command} follow {models.table_id(others[0])}[/], then the same again."
        )
    return [table for table in found if table in followed]


def _migrate(sources: Sources, table: str, files: Sequence[SourceFile], wanted: Wanted, observer: Observer) -> Migrated:
    try:
        return migrate_table(sources, table, files, wanted, observer, wait=WAIT_SECONDS)
    except VarroError as error:
        if isinstance(error, TransientError) and not wanted.dry_run:
            return Migrated(table, problem=f"{error} What has come in is kept.")
        return Migrated(table, problem=str(error))


def _report(here: Session, settings: Settings, warehouse: Warehouse, results: Sequence[Migrated]) -> None:
    """Let Dagster show the periods, and the documents speak of them."""
    # imported here: Dagster takes seconds to import, which no other command shall pay
    from varro_assets.cli import runs
    from varro_assets.defs import health

    with here.dagster_environment(settings, warehouse):
        with runs.dagster_instance() as instance:
            for result in results:
                health.report_again(instance, result.table, result.held)
        context = open_context(settings, warehouse.url, on_retry=here.errors.print)
        refresh(here, settings, warehouse, context, touched=[result.table for result in results])


def _say(here: Session, result: Migrated, dry_run: bool) -> None:
    if result.problem:
        here.say(f"[bold]{result.table}[/]  [red]{escape(result.problem)}[/]")
    elif not result.files:
        here.say(f"[bold]{result.table}[/]  migrated before: {counted(result.done, 'file')}, nothing to do")
    for file in result.files:
        here.say(f"[bold]{result.table}[/]  {escape(file.name)}: {_fates(file, dry_run)}")
        if file.problem:
            here.say(f"  [red]{escape(file.problem)}[/]")
        for warning in file.warnings:
            here.say(f"  [yellow]{escape(warning)}[/]")
        if file.archived_to:
            here.say(f"  moved to {escape(file.archived_to)}", whole=True)


def _fates(file: FileRecord, dry_run: bool) -> str:
    """``12 periods migrated, 3 held already``."""
    parts = []
    for fate in Fate:
        codes = file.codes(fate)
        if codes:
            said = "to be migrated" if dry_run and fate is Fate.MIGRATED else str(fate)
            parts.append(f"{counted(len(codes), 'period')} {said} ({escape(_span(codes))})")
    return ", ".join(parts) or "nothing migrated"


def _span(codes: Sequence[str]) -> str:
    return codes[0] if len(codes) == 1 else f"{codes[0]} to {codes[-1]}"


def _say_end(here: Session, results: Sequence[Migrated], dry_run: bool) -> None:
    periods = sum(result.count(Fate.MIGRATED) for result in results)
    if not any(result.files or result.problem for result in results):
        here.say("Nothing to do." if results else "No legacy file of a followed table is there.")
        return
    here.say(f"\n{counted(periods, 'period')} of {counted(len(results), 'table')}{' would be' * dry_run} migrated.")
    if periods:
        here.say(NOTE)
    if periods and not dry_run:
        here.say(f"What the publisher changed since then: [bold]{here.command} sync[/]")
