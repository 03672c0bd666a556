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
from varro_assets.cli.session import session
from varro_assets.context.sources import open_context
from varro_assets.engine import postgres
from varro_assets.errors import UnknownTable
from varro_assets.statbank import catalog, forgetting, models


def forget(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="Table id.", metavar="TABLE")],
    periods: Annotated[list[str], typer.Argument(help="Period codes.", metavar="PERIOD")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take periods out that are no longer published: file, rows and partition key. They cannot be fetched again.

    A period that is published is refused, since it would come back, and so is a table that is being synced.
    """
    here = session(context)
    wanted = list(dict.fromkeys(periods))
    with here.sources() as (settings, warehouse, sources):
        catalogue = here.catalogue(sources)
        name = models.table_id(table)
        if name in catalogue.entries:
            # cached unless it was published anew: what is published now decides
            catalog.describe(sources.client, sources.catalogue, [name], catalogue)
        info = sources.catalogue.tableinfo(name)
        if info is None:
            raise UnknownTable("forget periods of", on=name, got="no description of it is held", todo="varro sync")
        # imported here: Dagster takes seconds to import, which no other command shall pay
        from varro_assets.cli import runs

        with here.dagster_environment(settings, warehouse), runs.dagster_instance() as instance:
            shown = set(instance.get_dynamic_partitions(name))
            with contextlib.closing(postgres.connect(sources.warehouse, f"look at {name}")) as connection:
                found = forgetting.traces(sources, connection, name)
            codes = forgetting.judge(name, wanted, info, found, shown)
            rows = sum(found[code].rows for code in codes if code in found)
            here.say(f"[bold]{name}[/]  {escape(', '.join(codes))}: {counted(rows, 'row')}, no longer published")
            if not yes:
                typer.confirm("They cannot be fetched again. Take them out?", abort=True)
            forgetting.forget(
                sources, name, codes, info, shown=shown, on_damaged=lambda error: here.say(escape(error.problem))
            )
            # Dagster keeps the events of a key that is gone; nothing shows them any more
            for code in codes:
                instance.delete_dynamic_partition(name, code)
        with here.dagster_environment(settings, warehouse):
            sources_of_documents = open_context(settings, warehouse.url, on_retry=here.errors.print)
            refresh(here, settings, warehouse, sources_of_documents, touched=[name])
        here.say(f"Forgotten: {counted(len(codes), 'period')}.")
