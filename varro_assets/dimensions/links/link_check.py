"""Link check: whether a link does on the database what it says.

What belongs here: running the join over the codes the warehouse knows, what came of it, and the rows of
`meta.dimension_link`. The link file is `link_file`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg2 import sql
from psycopg2.extras import execute_values

from varro_assets.dimensions.links.totals import totals
from varro_assets.dimensions.models import SCHEMA, Code, Dimension, FactColumn, Link, MadeBy, MatchType, Unmatched
from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection, Cursor

TIMEOUT_SECONDS = 60
"""For one check; codes are few, but a table whose codes nobody has listed is read whole."""
_SHOWN = 5

_BEGIN = "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = %s"
# withdrawn codes count as long as a held period has a row of them
_KNOWN = """
SELECT c.code, c.text
  FROM meta.fact_table t
  JOIN meta.fact_column k USING (table_id)
  JOIN meta.code c USING (table_id, column_name)
 WHERE t.relation = %s AND k.column_name = %s AND (c.declared OR c.first_period IS NOT NULL)
 ORDER BY c.declared DESC, c.position, c.code COLLATE "C"
"""
_STORED = "SELECT DISTINCT {column}, '' FROM {fact} ORDER BY 1"
# the codes stand in the place of the fact table, under its alias and column name, so that the very join is run
_JOINED = """
SELECT f.{column}, d.kode, d.niveau
  FROM unnest(%s) AS listed(code)
 CROSS JOIN LATERAL (SELECT CAST(listed.code AS text) COLLATE "C" AS {column}) f
  JOIN {dimension} d ON ({join})
 ORDER BY d.niveau, d.kode COLLATE "C"
"""
_DELETE = "DELETE FROM meta.dimension_link WHERE table_id = %s"
_INSERT = """
INSERT INTO meta.dimension_link
    (table_id, column_name, variable_id, dimension, match_type, join_sql, coverage, levels, not_in_dimension, score,
     note, made_by)
VALUES %s
"""


@dataclass(frozen=True)
class LinkFinding:
    """What came of running a link's join.

    Attributes:
        link: what was run.
        codes: how many codes the column has.
        joined: codes that join, in the publisher's order.
        unmatched: codes that do not, totals marked.
        levels: level -> codes that join on it, top first.
        doubled: codes that join more than one member of one level: their rows count twice whatever level is chosen.
        repeated: codes that join on several levels: choose one.
        problems: what is not as the link states, in words; empty if it holds.
    """

    link: Link
    codes: int
    joined: tuple[str, ...]
    unmatched: tuple[Unmatched, ...]
    levels: Mapping[int, int]
    doubled: tuple[str, ...]
    repeated: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """The join does what the link states."""
        return not self.problems

    @property
    def coverage(self) -> float:
        """Share of the codes, unmatched totals left out, that join."""
        counted = self.codes - sum(one.total for one in self.unmatched)
        return len(self.joined) / counted if counted else 0.0


def stated(finding: LinkFinding, dimension: Dimension) -> Link:
    """The link with what running its join has shown: for a condition that nothing else can measure.

    Args:
        finding: of the link.
        dimension: the one it joins, to count the members of each level.
    """
    members = Counter(member.niveau for member in dimension.members)
    return replace(
        finding.link,
        coverage=finding.coverage,
        levels=tuple(finding.levels),
        level_coverage={
            niveau: (min(codes, members[niveau]), members[niveau]) for niveau, codes in finding.levels.items()
        },
        unmatched=finding.unmatched,
        repeated=finding.repeated,
    )


def check(connection: Connection, link: Link, relation: str, column: str) -> LinkFinding:
    """Run the join, read-only and for `TIMEOUT_SECONDS` at most.

    The codes are those of `meta.code`, declared or still in a held period; where nobody has listed them, those in the
    fact table itself.

    Args:
        connection: idle; its transaction is over afterwards.
        link: with its join.
        relation: the fact table, with or without its schema ``fact``.
        column: the fact table's column, such as ``omrade``.

    Raises:
        InvalidLink: the join is none we may run.
        DatabaseRefused: a table or column is missing, or a cast fails on a code.
        DatabaseUnavailable: the connection is lost, or it took too long.
    """
    # imported here, as in `link_file`
    from varro_assets.dimensions.links.join_condition import checked_join

    name = relation.removeprefix("fact.")
    join = checked_join(link.join, column, on=f"the link of {name}.{column}")
    with postgres.transaction(connection, "check the link of", on=f"{name}.{column} to {link.dimension}") as cursor:
        cursor.execute(_BEGIN, (f"{TIMEOUT_SECONDS}s",))
        codes = _codes(cursor, name, column)
        statement = sql.SQL(_JOINED).format(
            column=sql.Identifier(column),
            dimension=sql.Identifier(SCHEMA, link.dimension),
            join=sql.SQL(join.replace("%", "%%")),
        )
        cursor.execute(statement, ([code.id for code in codes],))
        rows = cursor.fetchall()
    return _finding(link, codes, rows, FactColumn(name.upper(), link.column, column, "", codes))


def write_rows(cursor: Cursor, table_id: str, links: Sequence[Link], columns: Sequence[FactColumn]) -> None:
    """Replace the table's rows of `meta.dimension_link`, in the caller's transaction.

    Links whose column the table does not have are left out: there is nothing to join.
    """
    names = {column.variable: column.name for column in columns}
    rows = [
        (
            table_id,
            names[link.column],
            link.column,
            link.dimension,
            str(link.match_type),
            link.join,
            link.coverage,
            list(link.levels),
            [one.code for one in link.unmatched],
            link.score,
            link.note,
            str(link.made_by),
        )
        for link in links
        if link.column in names
    ]
    cursor.execute(_DELETE, (table_id,))
    if rows:
        execute_values(cursor, _INSERT, rows)


def _codes(cursor: Cursor, relation: str, column: str) -> tuple[Code, ...]:
    cursor.execute(_KNOWN, (f"fact.{relation}", column))
    known = cursor.fetchall()
    if not known:
        fact = sql.Identifier("fact", relation)
        cursor.execute(sql.SQL(_STORED).format(column=sql.Identifier(column), fact=fact))
        known = cursor.fetchall()
    return tuple(Code(code, text) for code, text in known)


def _finding(
    link: Link, codes: Sequence[Code], rows: Sequence[tuple[str, str, int]], column: FactColumn
) -> LinkFinding:
    on_levels: dict[str, list[int]] = {}
    for code, _, niveau in rows:
        on_levels.setdefault(code, []).append(niveau)
    levels: dict[int, int] = {}
    for listed in on_levels.values():
        for niveau in set(listed):
            levels[niveau] = levels.get(niveau, 0) + 1
    # codes nobody listed have no labels to be recognised by, but the link may have known them
    sums = {*totals(column), *(one.code for one in link.unmatched if one.total)}
    finding = LinkFinding(
        link=link,
        codes=len(codes),
        joined=tuple(code.id for code in codes if code.id in on_levels),
        unmatched=tuple(Unmatched(c.id, c.text, c.id in sums) for c in codes if c.id not in on_levels),
        levels=dict(sorted(levels.items())),
        doubled=tuple(c.id for c in codes if len(on_levels.get(c.id, ())) > len(set(on_levels.get(c.id, ())))),
        repeated=tuple(code.id for code in codes if len(set(on_levels.get(code.id, ()))) > 1),
        problems=(),
    )
    return replace(finding, problems=tuple(_problems(finding)))


def _problems(finding: LinkFinding) -> Iterator[str]:
    """What is not as the link states."""
    link = finding.link
    missing = [one.code for one in finding.unmatched if not one.total]
    stated = {one.code for one in link.unmatched}
    if not finding.joined:
        yield "no code joins"
    elif link.match_type is MatchType.EXACT and missing:
        yield f"stated as exact, but {len(missing)} codes do not join: {_listed(missing)}"
    elif link.made_by is MadeBy.VARRO and (new := [code for code in missing if code not in stated]):
        yield f"{len(new)} codes do not join that the link does not list: {_listed(new)}"
    if finding.doubled:
        yield f"{len(finding.doubled)} codes join several members of one level: {_listed(finding.doubled)}"
    unstated = [code for code in finding.repeated if code not in link.repeated]
    if link.made_by is MadeBy.VARRO and unstated:
        yield f"{len(unstated)} codes join on several levels, which the link does not list: {_listed(unstated)}"


def _listed(codes: Sequence[str]) -> str:
    return ", ".join(codes[:_SHOWN]) + (", ..." if len(codes) > _SHOWN else "")
