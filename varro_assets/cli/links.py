"""Links: the commands about which column joins which dimension.

What belongs here: texts and the order of steps. Evidence, files and checks are the family's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.markup import escape

from varro_assets.cli.dims import held
from varro_assets.cli.documenting import not_held, refresh
from varro_assets.cli.lookup import print_table
from varro_assets.cli.progress import counted
from varro_assets.cli.session import Session, session
from varro_assets.context import document_check, holdings, snapshot, table_documents
from varro_assets.context.cards import TableCard, fact_columns
from varro_assets.context.holdings import Holding
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.dimensions.links import link_check, link_file
from varro_assets.dimensions.models import FactColumn, Link, MadeBy, MatchType, dimension_name
from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.engine.server.provision import Warehouse
from varro_assets.errors import ConfigurationError, InvalidLink, UnknownTable, VarroError
from varro_assets.statbank import facts
from varro_assets.statbank.models import TableInfo, table_id
from varro_assets.warehouse import open_warehouse

app = typer.Typer(help="Links: which column of which table joins which dimension.", no_args_is_help=True)
_Table = Annotated[str, typer.Argument(help="Table id.", metavar="TABLE")]
_Column = Annotated[str, typer.Argument(help="Column or variable, such as omrade or OMRÅDE.", metavar="COLUMN")]
_SHOWN = 12
_FEW = 4
_AUDIT = ("table", "column", "dimension", "match", "coverage", "levels", "score", "made by", "lacking")


@dataclass(frozen=True)
class _Desk:
    """What every command here works with."""

    here: Session
    warehouse: Warehouse
    sources: ContextSources
    connection: Connection
    taken: Snapshot
    held: dict[str, Holding]

    def table(self, name: str) -> Holding:
        table = table_id(name)
        if table not in self.held:
            raise not_held(self.here, self.taken.catalogue, "look at the links of", table)
        return self.held[table]

    def column(self, table: str, name: str) -> tuple[TableInfo, tuple[FactColumn, ...], FactColumn]:
        """A table's description, its columns, and the one of that name."""
        info = table_documents.describe(self.sources, self.table(table).table)
        columns = fact_columns(info)
        return info, columns, _column(info.id, columns, name)

    def card(self, name: str) -> TableCard:
        return table_documents.gather(self.sources, self.taken, self.table(name))


@contextlib.contextmanager
def _desk(context: typer.Context) -> Iterator[_Desk]:
    here = session(context)
    with open_warehouse(here.settings) as warehouse:
        sources = open_context(here.settings, warehouse.url)
        if sources.catalogue.read() is None:
            todo = f"They come with a table: {here.command} follow TABLE, {here.command} sync"
            raise UnknownTable("look at links", on=str(sources.links_dir), got="no table is held yet", todo=todo)
        with contextlib.closing(postgres.connect(sources.warehouse, "links")) as connection:
            taken = snapshot.take(sources, connection)
            yield _Desk(here, warehouse, sources, connection, taken, holdings.holdings(connection))


@app.command()
def show(
    context: typer.Context,
    table: _Table,
    evidence: Annotated[bool, typer.Option("--evidence", help="Also the candidates that were not taken.")] = False,
) -> None:
    """Show a table's links: join, how well it fits, what the dimension lacks, and why it was proposed."""
    with _desk(context) as desk:
        card = desk.card(table)
        say = desk.here.say
        for one in card.columns:
            link = one.link
            if link is None:
                say(f"[bold]{one.name}[/]  no dimension ({one.kind})")
            else:
                _say_link(desk.here, one.name, link)
            if evidence:
                for candidate in desk.sources.linker.candidates(one.column, list(desk.taken.dimensions.values())):
                    if link is None or candidate.dimension != link.dimension:
                        reasons = escape("; ".join(candidate.reasons))
                        say(f"  [dim]not {candidate.dimension}, score {candidate.score:.2f}: {reasons}[/]", whole=True)
        say(f"\n{escape(str(link_file.path_of(desk.sources.links_dir, card.info.id)))}", whole=True)


def _say_link(here: Session, name: str, link: Link) -> None:
    colour = "green" if link.match_type is MatchType.EXACT else "yellow"
    levels = ", ".join(
        f"{level}: {had} of {of}" if (of := link.level_coverage.get(level, (0, 0))[1]) else str(level)
        for level, had in ((level, link.level_coverage.get(level, (0, 0))[0]) for level in link.levels)
    )
    here.say(f"[bold]{name}[/]  dim.{link.dimension}  [{colour}]{link.match_type}[/], {link.coverage:.0%} of the codes")
    here.say(f"  join      {escape(link.join)}", whole=True)
    here.say(f"  levels    {levels or 'none'}")
    if link.repeated:
        here.say(f"  repeated  on several levels: {escape(', '.join(link.repeated[:_SHOWN]))}")
    if link.unmatched:
        missing = [f"{one.code} {one.label}{' (total)' if one.total else ''}" for one in link.unmatched[:_SHOWN]]
        here.say(
            f"  lacking   {escape(', '.join(missing))}{' ...' if len(link.unmatched) > _SHOWN else ''}", whole=True
        )
    made = "by hand" if link.made_by is MadeBy.HAND else f"score {link.score:.2f}"
    # "made by hand" is all that a link by hand has for a reason
    reasons = "" if link.made_by is MadeBy.HAND else escape(f": {'; '.join(link.reasons)}")
    here.say(f"  why       {made}{reasons}", whole=True)
    if link.note:
        here.say(f"  note      {escape(link.note)}", whole=True)


@app.command()
def check(
    context: typer.Context,
    tables: Annotated[list[str] | None, typer.Argument(help="Table ids; none = all.", metavar="TABLE")] = None,
) -> None:
    """Run every join on the database and say whether it does what its link states. Exit code 1 if one does not."""
    with _desk(context) as desk:
        wanted = [desk.table(table).table for table in dict.fromkeys(tables)] if tables else sorted(desk.held)
        failed = sum([_check(desk, table) for table in wanted])
        desk.here.say(f"\n{counted(len(wanted), 'table')}, {failed or 'none'} with a link that does not hold.")
    raise typer.Exit(1 if failed else 0)


def _check(desk: _Desk, table: str) -> bool:
    try:
        findings = document_check.run_links(desk.connection, desk.card(table))
    except VarroError as error:
        desk.here.say(f"[bold]{table}[/]  [red]{escape(str(error))}[/]", whole=True)
        return True
    for one in findings:
        fate = "[green]holds[/]" if one.holds else f"[red]{escape('; '.join(one.problems))}[/]"
        desk.here.say(
            f"[bold]{table}[/] {one.link.column} -> {one.link.dimension}  {one.coverage:.1%}  {fate}", whole=True
        )
    return any(not one.holds for one in findings)


@app.command("set")
def set_link(
    context: typer.Context,
    table: _Table,
    column: _Column,
    dimension: Annotated[str, typer.Argument(help="Dimension.", metavar="DIMENSION")],
    join: Annotated[
        str, typer.Option(help="SQL condition between the column and kode, where plain equality does not join.")
    ] = "",
    note: Annotated[str, typer.Option(help="For whoever reads the documents.")] = "",
) -> None:
    """Link a column by hand. It wins over what is proposed, and survives regeneration.

    The join is run on the database first; one that joins no code is refused.
    """
    with _desk(context) as desk:
        info, columns, found = desk.column(table, column)
        known = held(desk.here, desk.sources, dimension_name(dimension))
        made = link_file.by_hand(
            found.variable,
            known.name,
            columns,
            desk.taken.dimensions,
            on=info.id,
            join_override=join or None,
            note=note,
        )
        finding = link_check.check(desk.connection, made, facts.relation_name(info.id), found.name)
        if not finding.joined:
            some = ", ".join(f"{code.id} {code.text}" for code in found.codes[:_FEW])
            raise InvalidLink(
                "link",
                on=f"{info.id} {found.name} to dim.{known.name}",
                got=f"by {made.join} no code joins; codes are {some}, those of the dimension"
                f" {', '.join(f'{member.kode} {member.titel}' for member in known.members[:_FEW])}",
                todo="Nothing was changed. Give the condition that joins them: --join 'SUBSTR(column, 2) = kode'",
            )
        if not made.levels:
            made = link_check.stated(finding, known)
        link_file.set_by_hand(desk.sources.links_dir, info.id, made, columns)
        _say_link(desk.here, found.name, made)
        for problem in finding.problems:
            desk.here.say(f"  [yellow]but       {escape(problem)}[/]", whole=True)
        _after(desk, info.id)


@app.command()
def remove(context: typer.Context, table: _Table, column: _Column) -> None:
    """Unlink a column for good: none will be proposed for it until it is set by hand."""
    with _desk(context) as desk:
        info, _columns, found = desk.column(table, column)
        was = link_file.remove(desk.sources.links_dir, info.id, found.variable)
        desk.here.say(f"{info.id} {found.name}: {'unlinked' if was else 'had no link'}, and stays so.")
        _after(desk, info.id)


@app.command()
def audit(
    context: typer.Context,
    subject: Annotated[str, typer.Option(help="Only tables at and below this subject: id or path.")] = "",
) -> None:
    """List every linked column and every category that joins nothing, the doubtful first."""
    with _desk(context) as desk:
        wanted = desk.held
        if subject:
            below = desk.taken.catalogue.tables_by_subject.get(subject.strip().strip("/").lower())
            if below is None:
                raise ConfigurationError(
                    "list the links of subject",
                    on=subject,
                    got="there is no such subject",
                    todo="Give its id, or its path as in: Borgere/Befolkning",
                )
            wanted = {table: holding for table, holding in desk.held.items() if table in below}
        rows = []
        for table in wanted:
            try:
                rows += [(table, column) for column in desk.card(table).columns]
            except VarroError as error:
                desk.here.errors.print(f"[bold]{table}[/]  [red]{escape(str(error))}[/]", soft_wrap=True)
        linked = [(table, one.name, one.link) for table, one in rows if one.link is not None]
        linked.sort(key=lambda row: (row[2].score, row[2].coverage, row[0]))
        if linked:
            print_table(desk.here, _AUDIT, [_audited(*row) for row in linked], right=("coverage", "score"))
        unlinked = [f"{table}.{one.name}" for table, one in rows if one.link is None and one.kind == "category"]
        desk.here.errors.print(
            f"\n{counted(len(wanted), 'table')}. Categories that join nothing ({len(unlinked)}):"
            f" {escape(', '.join(unlinked) or 'none')}",
            soft_wrap=not desk.here.errors.is_terminal,
        )


def _audited(table: str, column: str, link: Link) -> list[str]:
    lacking = ", ".join(missing.code for missing in link.unmatched[:_SHOWN])
    more = ", ..." if len(link.unmatched) > _SHOWN else ""
    levels, coverage = ", ".join(map(str, link.levels)), f"{link.coverage:.0%}"
    made = [str(link.match_type), coverage, levels, f"{link.score:.2f}", str(link.made_by)]
    return [table, column, link.dimension, *made, lacking + more]


def _column(table: str, columns: tuple[FactColumn, ...], name: str) -> FactColumn:
    for column in columns:
        if name.lower() in {column.name, column.variable.lower()}:
            return column
    raise InvalidLink(
        "link column",
        on=f"{table} {name}",
        got="the table has no such column",
        todo=f"It has: {', '.join(column.name for column in columns)}",
    )


def _after(desk: _Desk, table: str) -> None:
    with desk.here.publisher() as settings:
        refresh(desk.here, settings, desk.warehouse, desk.sources, only=[table], touched=[table])
