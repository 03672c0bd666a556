"""Forget: periods that are no longer published, taken out of everything.

What belongs here: one command. What goes, and in which order, is `statbank.forgetting`'s.
"""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer
from rich.markup import escape

from varro_assets.cli.documenting import refresh
from varro_assets.cli.progress import counted
from varro_assets.cli.session import Session, session
from varro_assets.context.sources import open_context
from varro_assets.engine import postgres
from varro_assets.errors import UnknownTable
from varro_assets.statbank import forgetting, manifest, models
from varro_assets.statbank.forgetting import Published
from varro_assets.statbank.sources import Sources


def forget(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="Table id.", metavar="TABLE")],
    periods: Annotated[list[str], typer.Argument(help="Period codes.", metavar="PERIOD")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take periods out that are no longer published: file, rows and partition key. They cannot be fetched again.

    The publisher is asked what is published now, and again once you have said yes. A period that is published is
    refused, since it would come back, and so is a table that is being synced. Of a table that the catalogue no longer
    lists, any period may go.
    """
    here = session(context)
    name, wanted = models.table_id(table), list(dict.fromkeys(periods))
    with here.sources() as (settings, warehouse, sources):
        now = _published_now(here, sources, name)
        # imported here: Dagster takes seconds to import, which no other command shall pay
        from varro_assets.cli import runs

        with here.dagster_environment(settings, warehouse), runs.dagster_instance() as instance:
            shown = set(instance.get_dynamic_partitions(name))
            with contextlib.closing(postgres.connect(sources.warehouse, f"look at {name}")) as connection:
                found = forgetting.traces(sources, connection, name)
            codes = forgetting.judge(name, wanted, now.codes, found, shown)
            rows = sum(found[code].rows for code in codes if code in found)
            why = "no longer published" if now.listed else "of a table that the catalogue no longer lists"
            here.say(f"[bold]{name}[/]  {escape(', '.join(codes))}: {counted(rows, 'row')}, {why}")
            if not yes:
                unless = "" if now.listed else " unless it is listed again"
                typer.confirm(f"They cannot be fetched again{unless}. Take them out?", abort=True)
            forgetting.forget(
                sources,
                name,
                codes,
                # whoever was asked may have answered an hour later
                lambda: _published_now(here, sources, name),
                shown=shown,
                on_damaged=lambda error: here.say(escape(error.problem)),
            )
            # Dagster keeps the events of a key that is gone; nothing shows them any more
            for code in codes:
                instance.delete_dynamic_partition(name, code)
        with here.dagster_environment(settings, warehouse):
            sources_of_documents = open_context(settings, warehouse.url, on_retry=here.errors.print)
            refresh(here, settings, warehouse, sources_of_documents, touched=[name])
        here.say(f"Forgotten: {counted(len(codes), 'period')}.")


def _published_now(here: Session, sources: Sources, table: str) -> Published:
    """What is published of the table; asked anew, since what is taken out is gone for good.

    Raises:
        UnknownTable: the catalogue does not list it, and nothing here describes it.
    """
    if table in here.catalogue(sources, poll=True).entries:
        info, body = sources.client.tableinfo(table)
        sources.catalogue.write_tableinfo(table, body)
        return Published(info, listed=True)
    last = manifest.read_usable(sources.store(table).folder)
    held = last.info if last else sources.catalogue.tableinfo(table)
    if held is None:
        raise UnknownTable(
            "forget periods of",
            on=table,
            got="the catalogue does not list it, and no description of it is held",
            todo=f"Find it with: {here.command} search WORD",
        )
    return Published(held, listed=False)
