"""Verify: the command that asks the publisher again, in another way than a sync, and compares with what is held.

What belongs here: the command's texts and options. What is asked and compared is `statbank.verifying`'s.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from varro_assets.cli.progress import counted
from varro_assets.cli.session import Session, session
from varro_assets.context.total_codes import total_of
from varro_assets.engine import periods, postgres
from varro_assets.errors import InvalidPeriod, VarroError
from varro_assets.statbank.proof import questions
from varro_assets.statbank.proof.verifying import Verification, verify
from varro_assets.statbank.sources import Sources

LISTED = 20
"""Discrepancies that are printed for each table; ``--json`` has all of them."""
Wanted = Callable[[Sequence[str]], Collection[str]]


def verify_command(
    context: typer.Context,
    tables: Annotated[
        list[str] | None, typer.Argument(help="Table ids; none = every followed table.", metavar="TABLE")
    ] = None,
    periods_: Annotated[
        str | None, typer.Option("--periods", help="Only these: 2024K1, 2020K1..2024K4, 2020K1.. or ..2019K4.")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Every cell, however many requests it takes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line and table, for programs.")] = False,
) -> None:
    """Prove what is held against the publisher: the same numbers, asked for in another format than a sync reads.

    Exit code 1 unless everything that was asked about agrees.
    """
    here = session(context)
    wanted = _wanted(periods_)
    # imported here: Dagster takes seconds to import, which no other command shall pay
    from varro_assets.cli import runs
    from varro_assets.defs.checks import report_verification

    agree = True
    with here.sources() as (settings, warehouse, sources):
        chosen = here.chosen(here.catalogue(sources), list(tables or []))
        with here.dagster_environment(settings, warehouse), runs.dagster_instance() as instance:
            for table in chosen:
                try:
                    said = _verified(here, sources, table, wanted, deep, quiet=as_json)
                except VarroError as error:
                    agree = False
                    _say_failed(here, table, error, as_json)
                    continue
                agree = agree and said.proved
                # of a part that somebody chose nothing follows for the table
                if wanted is None:
                    report_verification(instance, said)
                _say(here, said, as_json)
    if not agree:
        raise typer.Exit(1)


def _verified(
    here: Session, sources: Sources, table: str, wanted: Wanted | None, deep: bool, *, quiet: bool
) -> Verification:
    def plan(requests: int) -> None:
        if requests > questions.FEW_REQUESTS and not quiet:
            here.say(f"[bold]{table}[/]  asking for all of it: {counted(requests, 'request')}")

    with contextlib.closing(postgres.connect(sources.warehouse, f"verify {table}")) as connection:
        return verify(sources, connection, table, total_of, wanted=wanted, deep=deep, on_plan=plan)


def _wanted(text: str | None) -> Wanted | None:
    """Which of all periods are meant by ``--periods``.

    Raises:
        InvalidPeriod: an end that is no period, or does not say when it begins.
    """
    if text is None:
        return None
    first, dots, last = text.partition("..")
    ends = [periods.parse(code) for code in (first, last) if code]
    if not ends or any(end.start is None for end in ends):
        raise InvalidPeriod(
            "choose periods by", on=repr(text), got="it does not say when they begin", todo="Such as: 2020K1..2024K4"
        )
    if not dots:
        return lambda every: [code for code in every if code == first]
    low = periods.parse(first).sort_key if first else None
    high = periods.parse(last).sort_key if last else None

    def between(every: Sequence[str]) -> list[str]:
        keys = {code: periods.parse(code).sort_key for code in every}
        return [code for code in every if (low is None or keys[code] >= low) and (high is None or keys[code] <= high)]

    return between


def _say(here: Session, said: Verification, as_json: bool) -> None:
    if as_json:
        body = asdict(said) | {"proved": said.proved, "text": said.text}
        here.say(escape(json.dumps(body, ensure_ascii=False)), whole=True)
        return
    colour = "green" if said.proved else "yellow" if said.moved else "red"
    here.say(f"[bold]{said.table}[/]  [{colour}]{escape(said.text)}[/] ({counted(said.requests, 'request')})")
    for one in said.discrepancies[:LISTED]:
        here.say(f"    {escape(str(one))}")
    if len(said.discrepancies) > LISTED:
        here.say(f"    and {len(said.discrepancies) - LISTED} more: --json lists all")
    for note in said.notes:
        here.say(f"    [dim]{escape(note)}[/]")
    if said.discrepancies:
        here.say(f"    To read it again: [bold]{here.command} sync {said.table} --full[/]")


def _say_failed(here: Session, table: str, error: VarroError, as_json: bool) -> None:
    if as_json:
        body = {"table": table, "proved": False, "error": type(error).__name__, "text": str(error)}
        here.say(escape(json.dumps(body, ensure_ascii=False)), whole=True)
        return
    here.say(f"[bold]{table}[/]  [red]{escape(str(error))}[/]")
