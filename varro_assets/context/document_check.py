"""Document check: whether what was written of a table holds on the database and on the disk.

What belongs here: the four checks that Dagster shows and `varro links check` prints, as plain findings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg2 import sql

from varro_assets.context import doc_file
from varro_assets.context.cards import TableCard
from varro_assets.context.sources import ContextSources
from varro_assets.context.table_documents import TableReport
from varro_assets.dimensions.links import link_check
from varro_assets.dimensions.links.link_check import LinkFinding
from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.statbank import facts

LEAST_COVERAGE = 0.8
"""Share of a column's codes that a link should cover; less is worth a person's look."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        text: for people.
        figures: name -> number, which Dagster plots.
    """

    passed: bool
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


def run_links(connection: Connection, card: TableCard) -> list[LinkFinding]:
    """Run every join of a table on the database."""
    return [
        link_check.check(connection, column.link, card.relation, column.name)
        for column in card.linked
        if column.link is not None
    ]


def links_hold(findings: list[LinkFinding]) -> Finding:
    """Every join does what its link states."""
    problems = [f"{one.link.column}: {problem}" for one in findings for problem in one.problems]
    text = "; ".join(problems) or f"{len(findings)} links hold" if findings else "no column joins a dimension"
    return Finding(not problems, text, {"links": len(findings), "problems": len(problems)})


def coverage(findings: list[LinkFinding]) -> Finding:
    """Every linked column's codes stand in the dimension, but for totals and a few."""
    shown = [f"{one.link.column}: {one.coverage:.1%} in {one.link.dimension}" for one in findings]
    least = min((one.coverage for one in findings), default=1.0)
    return Finding(least >= LEAST_COVERAGE, "; ".join(shown) or "no column joins a dimension", {"least": least})


def columns_exist(connection: Connection, card: TableCard) -> Finding:
    """Every column the document names is one of the fact table's, and the other way round."""
    with postgres.transaction(connection, "look at the columns of", on=card.relation) as cursor:
        relation = sql.Identifier(facts.SCHEMA, card.name).as_string(cursor)
        cursor.execute(
            "SELECT array_agg(CAST(attname AS text)) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            (relation,),
        )
        row = cursor.fetchone()
    there = set(row[0] or ()) if row else set()
    named = {*(column.name for column in card.columns), facts.TID, facts.VALUE}
    wrong = [f"{name} is documented and not there" for name in sorted(named - there)]
    wrong += [f"{name} is there and not documented" for name in sorted(there - named)]
    return Finding(not wrong, "; ".join(wrong) or f"{len(named)} columns", {"columns": len(named)})


def notes_intact(sources: ContextSources, card: TableCard) -> Finding:
    """The document is as it was written, but for people's notes, and the next writing will keep those."""
    path = sources.folder / card.path
    problem = doc_file.intact(path)
    doc = None if problem else doc_file.read(path)
    size = len(doc.notes) if doc is not None and doc.has_notes else 0
    return Finding(problem is None, problem or f"{size} bytes of notes", {"bytes of notes": size})


def check(sources: ContextSources, connection: Connection, report: TableReport) -> dict[str, Finding]:
    """All four, by name."""
    findings = run_links(connection, report.card)
    return {
        "links_hold": links_hold(findings),
        "coverage": coverage(findings),
        "columns_exist": columns_exist(connection, report.card),
        "notes_intact": notes_intact(sources, report.card),
    }
