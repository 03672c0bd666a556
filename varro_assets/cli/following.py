"""Follow, unfollow: which tables are kept, with an estimate before anything is fetched.

What belongs here: two commands that edit varro.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from varro_assets import follow as follow_file
from varro_assets.cli.progress import duration, number, size
from varro_assets.cli.session import Session, session
from varro_assets.errors import UnknownTable
from varro_assets.settings import Settings
from varro_assets.statbank import models
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.fetching import TARGET_BYTES, BatchSize
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sources import Sources

DESCRIBED = 5
"""So many tables are described for the estimate (a request each); of more, the first stand for all."""
DISK_BYTES_PER_ROW = 16
"""Parquet and Postgres are some 4 and 80 bytes a row; most of it is Postgres with its indexes."""
POSTGRES_BYTES_PER_ROW = 100


@dataclass(frozen=True)
class Estimate:
    """What a first load takes, at most: rows that are not stored are not sent.

    Attributes:
        seconds: the publisher's pace; the transfer itself comes on top.
    """

    tables: int
    rows: float
    requests: float
    seconds: float

    @property
    def disk(self) -> float:
        """Bytes, parquet and Postgres."""
        return self.rows * (DISK_BYTES_PER_ROW + POSTGRES_BYTES_PER_ROW)


def follow(
    context: typer.Context,
    entries: Annotated[
        list[str],
        typer.Argument(help="Table ids, globs ('BIL*'), subject:ID or subject:PATH, or '*'.", metavar="ENTRY"),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Follow tables: keep them in sync from now on. Tells what that takes before it asks you to confirm."""
    here = session(context)
    with here.sources() as (settings, _warehouse, sources):
        catalogue = here.catalogue(sources)
        entries = [_checked(entry, catalogue, here) for entry in entries]
        already = set(here.followed(catalogue))
        spec = follow_file.FollowFile.model_validate({"tables": {"follow": entries}})
        wanted = spec.resolve(catalogue.entries.keys(), catalogue.tables_by_subject)
        fresh = [table for table in wanted if table not in already]
        if fresh:
            _say_estimate(here, _estimate(settings, sources, fresh))
    if fresh and not yes and not typer.confirm(f"Follow {len(fresh)} more?", default=True):
        raise typer.Abort
    added, _removed = follow_file.change(here.settings.follow_file, add=entries)
    here.say(f"{here.settings.follow_file}: {', '.join(added) if added else 'nothing new'}")
    if fresh:
        here.say(f"Now: [bold]{here.command} sync[/]; where {here.command} up runs, it syncs them by itself.")


def unfollow(
    context: typer.Context,
    entries: Annotated[list[str], typer.Argument(help="Entries as they stand in varro.toml.", metavar="ENTRY")],
) -> None:
    """Stop following. What is held stays: the parquet files, the Postgres tables, links and documents."""
    here = session(context)
    spelled = [entry if entry.lower().startswith(follow_file.SUBJECT) else entry.upper() for entry in entries]
    _added, removed = follow_file.change(here.settings.follow_file, remove=spelled)
    missing = [entry for entry in spelled if entry not in removed]
    if removed:
        here.say(f"No longer followed: {', '.join(removed)}. What is held of them stays, documents too.")
    if missing:
        here.say(f"[yellow]Not an entry of {here.settings.follow_file}: {', '.join(missing)}[/]")
        here.say("What another entry takes in is left out by a line [bold]exclude[/] there.")
        raise typer.Exit(1)


def _checked(entry: str, catalogue: Catalogue, here: Session) -> str:
    """The entry in the spelling of varro.toml, if it means something."""
    if entry.lower().startswith(follow_file.SUBJECT) or any(mark in entry for mark in "*?["):
        if entry.lower().startswith(follow_file.SUBJECT):
            spelled = follow_file.SUBJECT + entry[len(follow_file.SUBJECT) :].strip().strip("/")
        else:
            spelled = entry.upper()
        spec = follow_file.FollowFile.model_validate({"tables": {"follow": [spelled]}})
        if not spec.resolve(catalogue.entries.keys(), catalogue.tables_by_subject):
            raise UnknownTable("follow", on=entry, got="no table matches", todo=f"{here.command} search WORD")
        return spelled
    table = models.table_id(entry)
    if table not in catalogue.entries:
        raise UnknownTable(
            "follow table", on=table, got="it is not in the catalogue", todo=f"Find it with: {here.command} search WORD"
        )
    return table


def _estimate(settings: Settings, sources: Sources, tables: Sequence[str]) -> Estimate:
    described = [_described(sources, table) for table in tables[:DESCRIBED]]
    rows = sum(info.dense_rows * len(info.tids) for info in described)
    requests = sum(_requests(info) for info in described)
    scale = len(tables) / len(described)
    return Estimate(len(tables), rows * scale, requests * scale, requests * scale * settings.dst_api_sleep_seconds)


def _described(sources: Sources, table: str) -> TableInfo:
    cached = sources.catalogue.tableinfo(table)
    if cached is not None:
        return cached
    info, raw = sources.client.tableinfo(table)
    sources.catalogue.write_tableinfo(table, raw)
    return info


def _requests(info: TableInfo) -> float:
    """Two descriptions, the newest period alone, the rest by the batch."""
    weight = BatchSize.of(info, info.dense_rows).row_bytes * info.dense_rows * len(info.tids)
    return 3 + max(1.0, weight / TARGET_BYTES)


def _say_estimate(here: Session, estimate: Estimate) -> None:
    sampled = f" (from the first {DESCRIBED} of them)" if estimate.tables > DESCRIBED else ""
    here.say(f"{estimate.tables} table{'s' * (estimate.tables != 1)}, at most{sampled}:")
    here.say(f"  {number(estimate.rows)} rows (combinations without a value are not sent, so mostly far fewer)")
    pace = here.settings.dst_api_sleep_seconds
    waiting = f"{duration(estimate.seconds)} at {pace:.0f} s a request, and the transfer" if pace else "not paced"
    here.say(f"  {number(estimate.requests)} requests: {waiting}")
    here.say(f"  {size(estimate.disk)} of disk, parquet and Postgres with indexes")
