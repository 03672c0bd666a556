"""Running: several tables, one after another, watched, and the summary.

What belongs here: the loop over tables that `sync`, `rebuild` and `demo` share. Imports dagster by way of `runs`.
"""

from __future__ import annotations

from collections.abc import Mapping

from varro_assets.cli import event_lines, progress
from varro_assets.cli.documenting import refresh
from varro_assets.cli.progress import Line, Stopwatch
from varro_assets.cli.runs import Launcher, Outcome, dagster_instance
from varro_assets.cli.session import Session
from varro_assets.cli.wish import Wish
from varro_assets.context.sources import open_context
from varro_assets.defs.catalogue import report_poll
from varro_assets.defs.records.projections import write_projections
from varro_assets.engine.server.provision import Warehouse
from varro_assets.errors import DamagedPartition, UnknownTable, VarroError
from varro_assets.follow import read as read_follow_file
from varro_assets.settings import Settings
from varro_assets.statbank import catalog, manifest
from varro_assets.statbank import sync as syncs
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps.due import State


def run_all(
    here: Session,
    settings: Settings,
    warehouse: Warehouse,
    sources: Sources,
    catalogue: Catalogue,
    work: Mapping[str, State],
    wish: Wish,
) -> bool:
    """Run every table, then bring pages and dimensions up to date; what fails stops no other, Ctrl-C stops them all.

    Returns:
        Whether anything failed.
    """
    watcher = event_lines.watcher(here, settings)
    lines: list[Line] = []
    total = Stopwatch()
    try:
        with dagster_instance() as instance, watcher.over(len(work)):
            report_poll(instance, catalogue, len(here.followed(catalogue)))
            launcher = Launcher(instance, settings, sources, watcher)
            for table, state in work.items():
                with watcher.table(table):
                    line = _run_table(launcher, settings, sources, catalogue, table, state, wish)
                watcher.done(line)
                lines.append(line)
    except KeyboardInterrupt:
        at = list(work)[len(lines)] if len(lines) < len(work) else ""
        here.say(
            f"\n[yellow]Stopped[/]{f' at {at}' if at else ''}, {len(lines)} of {len(work)} done. What has come in is"
            f" kept; to go on: [bold]{here.command} sync[/]"
        )
        raise
    here.say()
    here.console.print(progress.summary(lines))
    _say_end(here, lines, total, sources)
    context = open_context(settings, warehouse.url, on_retry=here.errors.print)
    report = refresh(here, settings, warehouse, context, touched=[line.table for line in lines])
    with dagster_instance() as instance:
        write_projections(instance, settings)
    # of a table that failed its line has told
    told = {line.table for line in lines if line.failed}
    return bool(told) or bool(report.problems.keys() - told)


def _run_table(
    launcher: Launcher,
    settings: Settings,
    sources: Sources,
    catalogue: Catalogue,
    table: str,
    state: State,
    wish: Wish,
) -> Line:
    watch = Stopwatch()
    try:
        if state is State.REFILL and not wish.insists and (periods := _refillable(sources, table)):
            outcome, note = launcher.load(table, periods), "filled from parquet, no request"
        else:
            outcome, note = _sync(launcher, settings, sources, catalogue, table, wish), ""
    except VarroError as error:
        return Line(table, watch.seconds, None, str(error))
    return Line(table, watch.seconds, outcome.report, outcome.error, note)


def _refillable(sources: Sources, table: str) -> list[str]:
    """The periods a fact table can be filled with, from files alone; none where files are missing or damaged."""
    held = syncs.held_periods(sources, table)
    try:
        state = manifest.read_complete(sources.store(table), held)
    except DamagedPartition:
        return []
    return [*held, *state.info.tids]


def _sync(
    launcher: Launcher, settings: Settings, sources: Sources, catalogue: Catalogue, table: str, wish: Wish
) -> Outcome:
    _described, failed = catalog.describe(sources.client, sources.catalogue, [table], catalogue)
    info = sources.catalogue.tableinfo(table)
    if table in failed or info is None:
        raise UnknownTable("describe table", on=table, got=failed.get(table, "the publisher gave no description"))
    options = read_follow_file(settings.follow_file).options(table)
    held = syncs.held_periods(sources, table)
    plan = syncs.standing_now(sources, info, held).plan(wish.scope(options))
    return launcher.sync(table, [*info.tids, *held], list(plan.fetch), wish.config())


def _say_end(here: Session, lines: list[Line], total: Stopwatch, sources: Sources) -> None:
    failed = [line for line in lines if line.failed]
    rows = sum(line.report.rows_fetched for line in lines if line.report)
    # the rest is `varro runs`' to know as well, of what ended well
    beside = sources.client.request_count
    requests = beside + sum(line.report.requests for line in lines if line.report)
    here.say(
        f"\n{len(lines) - len(failed)} of {progress.counted(len(lines), 'table')} in {total.seconds:.0f} s:"
        f" {progress.counted(rows, 'row')} in {progress.counted(requests, 'request')}"
        f"{f', {beside} of them for the catalogue and descriptions' if beside else ''}."
    )
    for line in failed:
        here.say(f"[red]{line.table}[/]: {progress.plain(line)}")
    if failed:
        again = " ".join(line.table for line in failed)
        here.say(f"What was held before is still held. Again, only these: [bold]{here.command} sync {again}[/]")
