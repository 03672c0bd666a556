"""Example: a query that stands in a document, proved to run.

What belongs here: choosing queries that teach a table or a dimension, their SQL, and the proof. Nothing is asked of the
database but whether the query runs and finds something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2.errorcodes import QUERY_CANCELED

from varro_assets.context.cards import ColumnCard, TableCard
from varro_assets.context.text.lines import folded
from varro_assets.context.text.sql_text import column, literal, relation, tid
from varro_assets.dimensions.models import SCHEMA, Dimension, Member
from varro_assets.engine.postgres import Connection, Cursor, transaction
from varro_assets.errors import ExampleFailed
from varro_assets.statbank import facts

SHOWN = 20
"""Rows an example asks for at most."""
JOINS_SHOWN = 3
"""Linked columns a table's document shows a join of."""
TIMEOUT_SECONDS = 60
"""An example that takes longer teaches waiting."""
_FACT, _DIM = "f", "d"


@dataclass(frozen=True)
class Example:
    """A query with what it shows.

    Attributes:
        title: one line.
        sql: one SELECT, without a semicolon, several lines.
    """

    title: str
    sql: str


def picks(card: TableCard, *, without: Iterable[str] = ()) -> tuple[list[str], list[ColumnCard]]:
    """Conditions that leave as few rows of the newest period as the totals allow.

    Args:
        card: of a table with at least one held period.
        without: names of columns to leave alone.

    Returns:
        The conditions; and the columns still free, which have neither a total nor select a measure. Of a selector
        without a total the first code is picked: different measures are never put side by side.
    """
    skipped = set(without)
    conditions = []
    free = []
    if card.last_value is not None:
        conditions.append(f"{column(_FACT, facts.TID)} = {tid(card.last_value, str(card.tid_type))}")
    for one in card.columns:
        if one.name in skipped:
            continue
        if one.pick is None:
            free.append(one)
        else:
            conditions.append(f"{column(_FACT, one.name)} = {literal(one.pick)}")
    return conditions, free


def picked_words(card: TableCard) -> str:
    """What `picks` does, in words: ``newest period, totals and one code of enhed picked``."""
    selected = [one.name for one in card.selectors if one.total is None]
    picked = ["totals"] if any(one.total is not None for one in card.columns) else []
    picked += [f"one code of {', '.join(selected)}"] if selected else []
    return f"newest period, {' and '.join(picked)} picked" if picked else "newest period"


def fact_examples(card: TableCard) -> tuple[Example, ...]:
    """Queries for the document of a table: newest figures, by each linked dimension, the best summed up to a new level.

    Empty while no period is held.
    """
    if not card.periods:
        return ()
    examples = [_newest(card)]
    best = best_link(card)
    if best is not None:
        others = [one for one in card.linked if one.levels and one is not best]
        examples += [_joined(card, one, level=_shown_level(one)) for one in [best, *others][:JOINS_SHOWN]]
        climb = _climb(best)
        # what is published needs no sum, and a sum over some of the members is another figure than the publisher's
        if card.addable and climb is not None and climb[0] - 1 not in best.levels and _is_whole(best, climb[0]):
            examples.append(_summed(card, best, *climb))
    return tuple(examples)


def dim_examples(dimension: Dimension, card: TableCard | None) -> tuple[Example, ...]:
    """Queries for the document of a dimension.

    Args:
        dimension: whose document it is.
        card: of a table with a column that joins it; None if there is none: then they are about the dimension alone.
    """
    examples = []
    joining = _column_of(card, dimension) if card is not None and card.periods else None
    if card is not None and joining is not None:
        examples.append(_joined(card, joining, level=_shown_level(joining)))
        if card.addable and (climb := _climb(joining)) is not None:
            examples.append(_summed(card, joining, *climb, top=True))
    if len(dimension.levels) > 1:
        examples += [_below(dimension), _tree(dimension)]
    return tuple(examples)


def verified(
    connection: Connection, examples: Sequence[Example], *, on_slow: Callable[[Example], None] | None = None
) -> tuple[Example, ...]:
    """Run each example, read-only and with a timeout; those that find no row are left out.

    Args:
        connection: to the warehouse, outside any transaction.
        examples: of one document.
        on_slow: told of each that took longer than `TIMEOUT_SECONDS`, which is left out then; None = that is an error.

    Raises:
        ExampleFailed: Postgres refused one, or it took longer and ``on_slow`` is None.
        DatabaseUnavailable: the connection was lost.
    """
    if not examples:
        return ()
    with transaction(connection, "run the examples of a document") as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", (f"{TIMEOUT_SECONDS}s",))
        return tuple(example for example in examples if _finds(cursor, example, on_slow))


def _finds(cursor: Cursor, example: Example, on_slow: Callable[[Example], None] | None) -> bool:
    cursor.execute("SAVEPOINT example")
    try:
        # as a subquery it can be nothing but one SELECT
        cursor.execute(f"SELECT 1 FROM (\n{example.sql}\n) AS example LIMIT 1")
    except psycopg2.Error as error:
        # by the code alone: the server's words may be Danish
        if on_slow is not None and error.pgcode == QUERY_CANCELED:
            cursor.execute("ROLLBACK TO SAVEPOINT example")
            on_slow(example)
            return False
        # without a code it is the connection that failed, not the query
        if error.pgcode is None or error.pgcode[:2] in {"08", "53"} or error.pgcode[:3] == "57P":
            raise
        raise ExampleFailed(
            "run the example",
            on=f"{example.title!r}: {' '.join(example.sql.split())}",
            got=" ".join(str(error).split()),
            todo="The document was not written. Run varro sync for the table; if it lasts, report it.",
        ) from error
    return cursor.fetchone() is not None


def best_link(card: TableCard) -> ColumnCard | None:
    """The linked column that teaches most: surest, then the widest dimension; None if no column is linked."""
    usable = [one for one in card.linked if one.link and one.levels]
    return max(usable, key=lambda one: (one.link.coverage, one.link.score) if one.link else (0, 0), default=None)


def _column_of(card: TableCard, dimension: Dimension) -> ColumnCard | None:
    return next((one for one in card.linked if one.link and one.link.dimension == dimension.name and one.levels), None)


def _newest(card: TableCard) -> Example:
    conditions, free = picks(card)
    shown = [column(_FACT, facts.TID), *(column(_FACT, one.name) for one in free), column(_FACT, facts.VALUE)]
    order = [column(_FACT, one.name) for one in free]
    lines = [f"SELECT {', '.join(shown)}", f"FROM {relation(facts.SCHEMA, card.name)} {_FACT}", *_where(conditions)]
    if order:
        lines += [f"ORDER BY {', '.join(order)}", f"LIMIT {SHOWN}"]
    return Example(picked_words(card), "\n".join(lines))


def _joined(card: TableCard, joining: ColumnCard, *, level: int) -> Example:
    if joining.link is None or joining.dimension is None:
        raise ValueError(f"{joining.name} joins nothing")
    conditions, free = picks(card, without=[joining.name])
    extra = [column(_FACT, one.name) for one in free]
    shown = [column(_DIM, "kode"), column(_DIM, "titel"), *extra, column(_FACT, facts.VALUE)]
    value_first = [] if free else [f"{column(_FACT, facts.VALUE)} DESC NULLS LAST"]
    lines = [
        f"SELECT {', '.join(shown)}",
        f"FROM {relation(facts.SCHEMA, card.name)} {_FACT}",
        f"JOIN {relation(SCHEMA, joining.dimension.name)} {_DIM} ON {_on(joining)} AND {_DIM}.niveau = {level}",
        *_where(conditions),
        f"ORDER BY {', '.join([*value_first, column(_DIM, 'kode'), *extra])}",
        f"LIMIT {SHOWN}",
    ]
    return Example(f"newest period by {level_text(joining.dimension, level)} of dim.{joining.dimension.name}",
                   "\n".join(lines))  # fmt: skip


def _summed(card: TableCard, joining: ColumnCard, level: int, steps: int, *, top: bool = False) -> Example:
    """Sums from ``level`` up by one level, or by all there are."""
    if joining.dimension is None:
        raise ValueError(f"{joining.name} joins nothing")
    dimension = joining.dimension
    name = relation(SCHEMA, dimension.name)
    conditions, free = picks(card, without=[joining.name])
    lines = [
        f"FROM {relation(facts.SCHEMA, card.name)} {_FACT}",
        f"JOIN {name} {_DIM} ON {_on(joining)} AND {_DIM}.niveau = {level}",
    ]
    child = _DIM
    for step in range(1, (steps if top else 1) + 1):
        parent = f"p{step}"
        lines.append(
            f"JOIN {name} {parent} ON {parent}.kode = {child}.parent_kode AND {parent}.niveau = {child}.parent_niveau"
        )
        child = parent
    extra = [column(_FACT, one.name) for one in free]
    grouped = ", ".join([f"{child}.kode", f"{child}.titel", *extra])
    lines = [
        f"SELECT {grouped}, SUM({column(_FACT, facts.VALUE)}) AS indhold",
        *lines,
        *_where(conditions),
        f"GROUP BY {grouped}",
        f"ORDER BY {', '.join([f'{child}.kode', *extra])}",
        f"LIMIT {SHOWN}",
    ]
    to = level - (steps if top else 1)
    title = f"{level_text(dimension, level)} of dim.{dimension.name} summed up to {level_text(dimension, to)}"
    if not _is_whole(joining, level) and joining.link is not None:
        held, of = joining.link.level_coverage.get(level, (0, 0))
        title += f"; {card.info.id} has {held} of its {of} members, so these are sums of what it has"
    return Example(title, "\n".join(lines))


def _below(dimension: Dimension) -> Example:
    parent = _first_parent(dimension)
    sql = "\n".join(
        [
            "SELECT d.kode, d.niveau, d.titel",
            f"FROM {relation(SCHEMA, dimension.name)} d",
            f"WHERE d.parent_kode = {literal(parent.kode)} AND d.parent_niveau = {parent.niveau}",
            "ORDER BY d.kode",
            f"LIMIT {SHOWN}",
        ]
    )
    return Example(f"what is directly below {folded(parent.kode)} ({folded(parent.titel)})", sql)


def _tree(dimension: Dimension) -> Example:
    parent = _first_parent(dimension)
    sql = "\n".join(
        [
            "SELECT t.kode, t.niveau, t.titel, t.path",
            f"FROM {relation(SCHEMA, f'{dimension.name}_tree')} t",
            f"WHERE t.root_kode = {literal(parent.kode)}",
            "ORDER BY t.path_codes, t.niveau",
            f"LIMIT {SHOWN}",
        ]
    )
    return Example(f"all levels of the branch {folded(parent.kode)}, with the path from the root", sql)


def _first_parent(dimension: Dimension) -> Member:
    """The first member with something below it; it is on top, since its own parent would come before it."""
    parents = {(member.parent_kode, member.parent_niveau) for member in dimension.members}
    return next(member for member in dimension.members if member.key in parents)


def _climb(joining: ColumnCard) -> tuple[int, int] | None:
    """The deepest level of the column's codes, and how many levels lie above it; None if there is nothing above."""
    deepest = max(joining.levels)
    return (deepest, deepest - 1) if deepest > 1 else None


def _is_whole(joining: ColumnCard, level: int) -> bool:
    """The column has every member of the level."""
    held, of = joining.link.level_coverage.get(level, (0, 1)) if joining.link else (0, 1)
    return held == of


def _shown_level(joining: ColumnCard) -> int:
    """The level with the most of its members in the column, the upper of two alike: few rows, nothing missing."""
    coverage = joining.link.level_coverage if joining.link else {}

    def share(level: int) -> float:
        held, of = coverage.get(level, (0, 1))
        return held / of if of else 0.0

    return max(joining.levels, key=lambda level: (share(level), -level))


def _on(joining: ColumnCard) -> str:
    return " ".join(joining.link.join.split()) if joining.link else ""


def _where(conditions: Sequence[str]) -> list[str]:
    return [f"{'WHERE' if index == 0 else '  AND'} {condition}" for index, condition in enumerate(conditions)]


def level_text(dimension: Dimension, level: int) -> str:
    """``level 3 (Kommune)``."""
    name = dimension.level_names.get(level)
    return f"level {level} ({folded(name)})" if name else f"level {level}"
