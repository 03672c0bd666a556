"""Doctor: examine the whole, say what is wrong and what mends it, and mend it if asked.

What belongs here: one command. The findings are the families' (`statbank.health`, `context.document_health`) and
Dagster's (`defs.health`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import typer
from rich.markup import escape

from varro_assets.cli import syncing
from varro_assets.cli.dims import sync_classifications
from varro_assets.cli.documenting import refresh
from varro_assets.cli.progress import counted
from varro_assets.cli.session import Session, session
from varro_assets.cli.wish import Wish
from varro_assets.context import document_health
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.engine import postgres
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.postgres import Connection
from varro_assets.engine.server.provision import Warehouse
from varro_assets.errors import TableBusy
from varro_assets.settings import Settings
from varro_assets.statbank import sync as syncs
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.proof import health
from varro_assets.statbank.proof.health import Finding, Remedy
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps.due import State

WAIT_SECONDS = 10.0
"""How long a table that looks amiss is waited for while somebody writes it."""


def doctor(
    context: typer.Context,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended here, syncing included.")] = False,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also read every parquet file and compute its hash anew, and run every join."),
    ] = False,
) -> None:
    """Examine database, files, dimensions, documents and Dagster; say what does not agree, and what mends it.

    Exit code 1 if something remains to be mended, or the last sync of a table that is due failed. A table that is due
    and was not tried yet is none: that is its normal state between a publication and the sync. A table that is being
    synced is named and not examined.
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
            if syncing.follows_nothing(here):
                syncing.say_how_to_begin(here)
            else:
                here.say(f"No catalogue yet. Begin with: [bold]{here.command} sync[/]")
            return
        context_sources = open_context(settings, warehouse.url, on_retry=here.errors.print)
        tables = [table for table in here.followed(catalogue) if table in catalogue.entries]
        with (
            contextlib.closing(postgres.connect(sources.warehouse, "doctor")) as connection,
            here.dagster_environment(settings, warehouse),
            runs.dagster_instance() as instance,
        ):
            if dead := end_all_dead_runs(instance, sources.warehouse):
                here.say(f"[yellow]dagster[/]  marked {counted(len(dead), 'run')} as failed whose process is gone")
            seen = _look(sources, instance, connection, tables, deep=deep)
            written = list(document_health.findings(context_sources, connection, deep=deep))
            _say_seen(here, seen)
            for one in written:
                _say_written(here, one)
            if repair:
                for table, parts in seen.unshown.items():
                    shown.report_again(instance, table, parts)
        findings, unshown = seen.findings, seen.unshown
        amiss = [finding for finding in findings if finding.remedy is not Remedy.NONE]
        sound = not (unshown or written or amiss)
        if repair:
            with here.dagster_environment(settings, warehouse):
                failed = [run_all(here, settings, warehouse, sources, catalogue, *work) for work in _work(findings)]
            left = _mend_written(here, settings, warehouse, context_sources, written)
            good = "[green]Mended.[/]" if amiss or unshown or written else "[green]Nothing to mend.[/]"
            sound = not (any(failed) or left or _only_in_a_backup(amiss))
        else:
            good = _agree(len(tables) - len(seen.busy))
        _say_lost(here, _only_in_a_backup(amiss))
        standing = _standing(here, settings, warehouse, sources, catalogue, tables)
        if not repair:
            _say_remedies(here, amiss, unshown, written, " --deep" if deep else "")
            good = "Files, database and Dagster agree." if standing.failing else good
        if said := f"{good if sound else ''} {standing.text}".strip():
            here.say(said)
        if standing.failing or not sound:
            raise typer.Exit(1)


@dataclass
class _Seen:
    """What was seen of the followed tables while nobody wrote them.

    Attributes:
        findings: of files and warehouse.
        unshown: table -> held periods that do not show in Dagster.
        busy: table -> who is at it; what was seen of it says nothing.
    """

    findings: list[Finding] = field(default_factory=list)
    unshown: dict[str, Mapping[str, PartitionInfo]] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def unless_busy(self, table: str) -> Iterator[None]:
        """Examine a table in the block."""
        try:
            yield
        except TableBusy as error:
            self.busy[table] = error.got


def _look(sources: Sources, instance: Any, connection: Connection, tables: Sequence[str], *, deep: bool) -> _Seen:
    from varro_assets.defs import health as shown  # imported here: see `doctor`

    seen = _Seen()
    for table in tables:
        with seen.unless_busy(table):
            seen.findings += health.settled_findings(sources, table, connection, deep=deep, wait=WAIT_SECONDS)
            held = partial(syncs.held_periods, sources, table)
            if parts := shown.settled_unreported(instance, connection, table, held, wait=WAIT_SECONDS):
                seen.unshown[table] = parts
    return seen


def _say_remedies(
    here: Session,
    amiss: list[Finding],
    unshown: Collection[str],
    written: list[document_health.Finding],
    option: str,
) -> None:
    ours = [one for one in written if one.remedy is not document_health.Remedy.HAND]
    if unshown or ours or len(_only_in_a_backup(amiss)) < len(amiss):
        here.say(f"\nTo mend it: [bold]{here.command} doctor{option} --repair[/]")
    if len(ours) < len(written):
        _say_yours(here)


def _only_in_a_backup(amiss: list[Finding]) -> list[Finding]:
    return [finding for finding in amiss if finding.remedy is Remedy.BACKUP]


def _say_lost(here: Session, lost: list[Finding]) -> None:
    if lost:
        tables = ", ".join(dict.fromkeys(finding.table for finding in lost))
        here.say(f"\nNo sync brings back what is damaged of {tables}: take it out of a backup (docs/operating.md).")


@dataclass(frozen=True)
class _Standing:
    """How the followed tables stand against the catalogue.

    Attributes:
        text: which are due, and of which the last sync failed; empty if all are held as published.
    """

    text: str = ""
    failing: bool = False


def _standing(
    here: Session,
    settings: Settings,
    warehouse: Warehouse,
    sources: Sources,
    catalogue: Catalogue,
    tables: Sequence[str],
) -> _Standing:
    """Look it up, and say the errors of the tables that fail."""
    from varro_assets.cli import runs, tries  # imported here: see `doctor`

    with contextlib.closing(postgres.connect(sources.warehouse, "doctor")) as connection:
        due = tries.due_tables(tables, catalogue, sources, connection)
    if not due:
        return _Standing()
    with here.dagster_environment(settings, warehouse), runs.dagster_instance() as instance:
        failing = tries.failing(instance, catalogue, due)
        tries.say_failing(here, instance, failing)
    return _Standing(tries.sentence(here, list(due), list(failing)), bool(failing))


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


def _say_seen(here: Session, seen: _Seen) -> None:
    for finding in seen.findings:
        here.say(f"[bold]{finding.table}[/]  {escape(finding.what)}  [dim]({finding.remedy})[/]")
    for table, parts in seen.unshown.items():
        here.say(f"[bold]{table}[/]  {len(parts)} held periods do not show in Dagster  [dim](report again)[/]")
    for table, who in seen.busy.items():
        here.say(f"[bold]{table}[/]  is being written, and was not examined: {escape(who)}", whole=True)


def _agree(tables: int) -> str:
    return f"[green]All is well[/]: {counted(tables, 'table')}; files, database and Dagster agree." if tables else ""
