"""Dimension document: what an analyst reads about a classification before joining it.

What belongs here: the generated text, from the dimension and the tables that join it. Deterministic, no file, no
database, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from varro_assets.context.text.examples import Example, level_text
from varro_assets.context.text.lines import folded, listed, paragraphs
from varro_assets.context.text.sql_text import column
from varro_assets.dimensions.models import Dimension, Member

PARAGRAPHS, CHARACTERS = 3, 1200
"""How much of the publisher's description is shown."""
TOP_SHOWN = 40
TABLES_SHOWN = 60


@dataclass(frozen=True)
class Joining:
    """A column that joins the dimension.

    Attributes:
        table: id.
        column: name in Postgres.
        levels: of the dimension, on which its codes stand.
        exact: every code but totals stands in the dimension.
        doc: path of the table's document.
        join: condition between fact ``f`` and dimension ``d``.
    """

    table: str
    column: str
    levels: tuple[int, ...]
    exact: bool
    doc: str
    join: str = ""


def text(dimension: Dimension, examples: Sequence[Example], linked: Iterable[Joining]) -> str:
    """The generated part of a dimension's document.

    Args:
        dimension: with at least one member.
        examples: queries that have been run.
        linked: the columns that join it, in any order.
    """
    lines = [
        f"# {folded(dimension.title)} ({dimension.name})",
        "",
        f"table: {dimension.relation}; key (kode, niveau); tree view: {dimension.relation}_tree (path, root)",
        f"source: {folded(dimension.source)}",
        *([f"page: {folded(dimension.page)}"] if dimension.page else []),
        *_description(dimension),
        *_structure(dimension),
        *_top(dimension),
        *_branch(dimension),
        *_usage(dimension, examples),
        *_tables(linked),
    ]
    return "\n".join(lines) + "\n"


def _description(dimension: Dimension) -> Iterable[str]:
    for paragraph in paragraphs(dimension.description, most=PARAGRAPHS, characters=CHARACTERS):
        yield ""
        yield paragraph


def _structure(dimension: Dimension) -> Iterable[str]:
    yield from ("", "## Structure", "", "niveau | name | members", "--- | --- | ---")
    for level in dimension.levels:
        yield f"{level} | {_cell(dimension.level_names.get(level, '-'))} | {len(dimension.at(level))}"


def _top(dimension: Dimension) -> Iterable[str]:
    members = dimension.at(dimension.levels[0])
    yield from ("", f"## Top: {level_text(dimension, dimension.levels[0])}", "", "kode | titel", "--- | ---")
    for member in members[:TOP_SHOWN]:
        yield f"{_cell(member.kode)} | {_cell(member.titel)}"
    if len(members) > TOP_SHOWN:
        yield ""
        yield f"{len(members) - TOP_SHOWN} more; all in /column_values/{dimension.name}.parquet"


def _branch(dimension: Dimension) -> Iterable[str]:
    if len(dimension.levels) == 1:
        return
    yield from ("", "## One branch from root to leaf", "", "kode | niveau | titel | parent_kode | parent_niveau")
    yield "--- | --- | --- | --- | ---"
    for member in branch(dimension):
        above = (
            (_cell(member.parent_kode), member.parent_niveau) if member.parent_kode is not None else ("NULL", "NULL")
        )
        yield f"{_cell(member.kode)} | {member.niveau} | {_cell(member.titel)} | {above[0]} | {above[1]}"


def branch(dimension: Dimension) -> tuple[Member, ...]:
    """From a root to the first member of the deepest level."""
    by_key = {member.key: member for member in dimension.members}
    member: Member | None = dimension.at(dimension.levels[-1])[0]
    path: list[Member] = []
    while member is not None:
        path.insert(0, member)
        above = (member.parent_kode, member.parent_niveau)
        member = by_key.get((above[0], above[1])) if above[0] is not None and above[1] is not None else None
    return tuple(path)


def _usage(dimension: Dimension, examples: Sequence[Example]) -> Iterable[str]:
    yield from ("", "## Use", "")
    if len(dimension.levels) > 1:
        yield "Filter d.niveau to one level: a fact column with codes of several levels counts figures once per level."
        yield "A parent is found by parent_kode and parent_niveau together, since a code may stand on several levels."
        if repeated := [folded(kode) for kode, members in dimension.by_code.items() if len(members) > 1]:
            yield f"Codes on several levels here, {len(repeated)} in all: {listed(repeated)}."
        if uneven := _uneven(dimension):
            deepest = dimension.levels[-1]
            yield f"Branches that end above level {deepest}, which a filter on it leaves out: {listed(uneven)}."
    else:
        yield "One level: a join on the code is enough."
    for example in examples:
        yield from ("", f"{folded(example.title)}:", "", "```sql", example.sql, "```")


def _uneven(dimension: Dimension) -> list[str]:
    """Members above the deepest level with nothing below them."""
    parents = {(member.parent_kode, member.parent_niveau) for member in dimension.members}
    deepest = dimension.levels[-1]
    return [
        f"{folded(one.kode)} (level {one.niveau})"
        for one in dimension.members
        if one.niveau < deepest and one.key not in parents
    ]


def _tables(linked: Iterable[Joining]) -> Iterable[str]:
    ordered = sorted(linked, key=lambda one: (one.table, one.column))
    yield from ("", "## Tables that join it", "")
    if not ordered:
        yield "None of those in the warehouse."
    for one in ordered[:TABLES_SHOWN]:
        levels = ", ".join(map(str, one.levels))
        plain = one.join in {"", f"{column('f', one.column)} = d.kode"}
        yield (
            f"- {one.table}: {one.column}; levels [{levels}]; {'exact' if one.exact else 'approx'}"
            f"{'' if plain else f'; ON {folded(one.join)}'}; /{one.doc}"
        )
    if len(ordered) > TABLES_SHOWN:
        rest = listed(dict.fromkeys(one.table for one in ordered[TABLES_SHOWN:]), shown=200, ends=100)
        yield f"- and {rest}"


def _cell(text: str) -> str:
    """Text inside a Markdown table."""
    return folded(text).replace("|", "\\|")
