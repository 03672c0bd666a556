"""Search, show: finding tables and looking at one.

What belongs here: two read-only commands. They ask the publisher only for what is not on disk.
"""

from __future__ import annotations

import contextlib
import html
import json
import re
import unicodedata
from typing import Annotated

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from varro_assets.cli.progress import number, size
from varro_assets.cli.read_times import show_reads
from varro_assets.cli.session import Session, session
from varro_assets.context.places import FACTS
from varro_assets.dimensions.links import link_file
from varro_assets.engine import periods, postgres
from varro_assets.engine.files import below
from varro_assets.errors import InvalidLink, UnknownTable
from varro_assets.settings import Settings
from varro_assets.statbank import facts, manifest, models
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.models import CatalogueEntry, TableInfo, Variable
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps import due

FEW_CODES = 6
WIDE = 110
"""Columns from which on the list of tables shows their variables too."""


def search(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(help="All of them must occur; æ, ø, å may be written ae, oe, aa.", metavar="WORD"),
    ],
    limit: Annotated[int, typer.Option(help="Show at most so many.")] = 40,
) -> None:
    """Find tables by id, title, variable or subject."""
    here = session(context)
    with here.sources() as (_settings, _warehouse, sources):
        catalogue = here.catalogue(sources)
    followed = set(here.followed(catalogue))
    wanted = [_fold(word) for word in words]
    found = [
        entry
        for entry in catalogue.entries.values()
        if all(
            word in _fold(f"{entry.id} {entry.text} {_subjects(catalogue, entry)} {' '.join(entry.variables)}")
            for word in wanted
        )
    ]
    if not found:
        here.say(f"No table matches {escape(' '.join(words))}. Fewer or shorter words find more.")
        raise typer.Exit(1)
    here.console.print(_found(here, found[:limit], followed))
    more = f" Showing {limit}; --limit shows more." if len(found) > limit else ""
    here.say(f"\n{len(found)} of {len(catalogue.entries)} tables. [green]*[/] = followed.{more}")


def _found(here: Session, found: list[CatalogueEntry], followed: set[str]) -> Table:
    """The list, with the variables where the terminal is wide enough for them."""
    wide = here.console.width >= WIDE
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("table", no_wrap=True)
    table.add_column("title", overflow="fold", ratio=3 if wide else 1)
    if wide:
        table.add_column("by", overflow="fold", ratio=2)
    for heading in ("periods", "published"):
        table.add_column(heading, no_wrap=True)
    for entry in found:
        mark = "[green]*[/]" if entry.id in followed else " "
        by = [escape(", ".join(entry.variables[:-1]))] if wide else []
        span = f"{entry.firstPeriod} to {entry.latestPeriod}"
        table.add_row(f"{mark}[bold]{entry.id}[/]", escape(entry.text), *by, span, entry.updated[:10])
    return table


def show(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="Table id.", metavar="TABLE")],
    each_period: Annotated[bool, typer.Option("--periods", help="Also list every held period.")] = False,
) -> None:
    """Show one table: what it is, its columns and codes, its periods, what is held of it and when it was read."""
    here = session(context)
    table = models.table_id(table)
    with here.sources() as (settings, _warehouse, sources):
        catalogue = here.catalogue(sources)
        entry = catalogue.entries.get(table)
        if entry is None:
            raise UnknownTable(
                "show table",
                on=table,
                got="it is not in the catalogue",
                todo=f"Find it with: {here.command} search WORD",
            )
        info = sources.catalogue.tableinfo(table)
        if info is None or info.updated != entry.updated:
            info, raw = sources.client.tableinfo(table)
            sources.catalogue.write_tableinfo(table, raw)
        _show_published(here, catalogue, entry, info)
        held = _show_held(here, settings, catalogue, sources, entry)
        reads = show_reads(here, settings, sources, info, each_period=each_period) if held else None
        documented = _show_meaning(here, settings, info)
    if documented:
        here.say(f"\nRead about it: [bold]{here.command} docs {table}[/]")
    elif held:
        here.say()
    if held:
        query = f"SELECT * FROM {facts.SCHEMA}.{facts.relation_name(table)} LIMIT 5"
        here.say(f"Look at it: [bold]{here.command} psql -c '{query}'[/]", whole=True)
    if reads is not None:
        here.say()
        here.console.print(reads)


def _show_published(here: Session, catalogue: Catalogue, entry: CatalogueEntry, info: TableInfo) -> None:
    here.say(f"[bold]{entry.id}  {escape(info.text)}[/]")
    for place in catalogue.places.get(entry.id, []):
        here.say(f"  {escape(place.path)}")
    here.say(f"  {facts.SOURCE_URL.format(table=entry.id)}", whole=True)
    ordered = periods.in_order(info.tids)
    here.say(f"\nunit       {escape(info.unit)}")
    here.say(f"periods    {len(ordered)}, {ordered[0]} to {ordered[-1]}, {periods.frequency(ordered)}")
    here.say(f"published  {info.updated.replace('T', ' ')} (Danish time)")
    if info.documentation:
        here.say(f"documented {escape(info.documentation.url)}", whole=True)
    if info.footnote and (note := _plain(info.footnote.text)):
        here.console.print(Padding(f"[bold]Note.[/] {escape(note)}", (1, 0, 0, 0)))
    here.say()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("column", "type", "codes", "meaning"):
        table.add_column(heading, overflow="fold")
    target = facts.period_table(info)
    for variable, column in zip(info.dimensions, target.columns, strict=True):
        table.add_row(column.name, "text", str(len(variable.values)), escape(f"{variable.text}: {_codes(variable)}"))
    table.add_row(target.tid_name, target.tid_type, str(len(ordered)), f"period, from {ordered[0]}")
    table.add_row(target.value_name, "double precision", "", f"{info.unit}; NULL = missing or confidential")
    here.console.print(table)
    here.say(f"\nA combination of codes without a row stands for {info.suppressedDataValue}.")


def _show_held(
    here: Session, settings: Settings, catalogue: Catalogue, sources: Sources, entry: CatalogueEntry
) -> bool:
    """What is on this machine; returns whether there is anything."""
    if entry.id not in here.followed(catalogue):
        here.say(f"\nNot followed. To keep it: [bold]{here.command} follow {entry.id}[/]")
        return False
    with contextlib.closing(postgres.connect(sources.warehouse, f"show {entry.id}")) as connection:
        row = due.synced(connection).get(entry.id)
    held = sources.store(entry.id).infos()
    folder = sources.store(entry.id).folder
    if row is None or not held:
        here.say(f"\nFollowed, never synced: [bold]{here.command} sync {entry.id}[/]")
        _show_failure(here, settings, entry.id)
        return False
    state = due.states([entry.id], catalogue, {entry.id: row}, sources.tables_dir)[entry.id]
    known = manifest.read_usable(folder)
    here.say(f"\nheld       {len(held)} periods, {number(row.rows)} rows, {size(sum(p.bytes for p in held.values()))}")
    when = row.synced_at.replace("T", " ").replace("Z", " UTC")
    here.say(f"synced     {when}, as published {row.updated.replace('T', ' ')}: {state}")
    if state is not due.State.CURRENT:
        _show_failure(here, settings, entry.id)
    vanished = sorted(set(held).difference(known.info.tids if known else held))
    if vanished:
        here.say(f"kept       {len(vanished)} that are no longer published: {', '.join(vanished[:8])}")
    here.say(f"Postgres   {facts.SCHEMA}.{facts.relation_name(entry.id)}")
    here.say(f"parquet    {escape(str(folder))}", whole=True)
    return True


def _show_failure(here: Session, settings: Settings, table: str) -> None:
    """That the last sync of a table that is due failed, as the projection of Dagster's memory has it.

    Dagster itself takes a second to load; the file is at most a tick of the sensor old, and may be missing.
    """
    try:
        state = json.loads((settings.state_file).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return  # nothing is known; the next run has it written anew
    known = state["tables"].get(table, {})
    if known.get("last_status") in {"failed", "partial"}:
        error = known.get("last_error") or "some periods did not come in"
        here.say(f"last sync  [red]failed[/]: {escape(error)}", whole=True)
        here.say(
            f"           [bold]{here.command} up[/] tries again by itself, [bold]{here.command} doctor[/] says when;"
            f" now: [bold]{here.command} sync {table}[/]"
        )


def _show_meaning(here: Session, settings: Settings, info: TableInfo) -> bool:
    """Which columns join what, and where it is documented; returns whether it is."""
    try:
        links = link_file.read(link_file.path_of(settings.links_dir, info.id))
    except InvalidLink as error:
        here.say(f"joins      [red]{escape(str(error))}[/]", whole=True)
        links = []
    columns = {variable.id: facts.column_name(variable.id) for variable in info.dimensions}
    for link in links:
        if link.column in columns:
            join = link.join or f"f.{columns[link.column]} = d.kode"
            here.say(f"joins      dim.{link.dimension} on {escape(join)} ({link.match_type})", whole=True)
    found = [path for path in below(settings.context_dir / FACTS, ".md") if path.stem == facts.relation_name(info.id)]
    for path in found:
        here.say(f"document   {escape(str(path))}", whole=True)
    return bool(found)


def _subjects(catalogue: Catalogue, entry: CatalogueEntry) -> str:
    return " ".join(place.path for place in catalogue.places.get(entry.id, []))


def _codes(variable: Variable) -> str:
    shown = [f"{value.id}={value.text}" for value in variable.values[:FEW_CODES]]
    return ", ".join(shown) + (", ..." if len(variable.values) > FEW_CODES else "")


def _plain(text: str) -> str:
    """A footnote without what it has of HTML."""
    return " ".join(re.sub(r"<[^<>]*>", " ", html.unescape(text)).split())


_DANISH = str.maketrans({"æ": "ae", "ø": "oe", "å": "aa"})


def _fold(text: str) -> str:
    """Lower case, Danish letters spelled out, other accents dropped."""
    decomposed = unicodedata.normalize("NFKD", text.lower().translate(_DANISH))
    return "".join(mark for mark in decomposed if not unicodedata.combining(mark))
