"""Fact document: what an analyst reads about one table before writing SQL.

What belongs here: the generated text, from a card; deterministic, no file, no database, no clock. English, with the
publisher's Danish labels. The keys ``table``, ``description``, ``measure``, ``columns`` and ``dim docs`` and their form
are those an existing AI analyst reads; the others are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from varro_assets.context.cards import ColumnCard, TableCard, unit_of
from varro_assets.context.examples import Example, level_text, picks
from varro_assets.context.lines import folded, listed
from varro_assets.context.places import dim_path
from varro_assets.dimensions.models import Dimension, Link, MadeBy
from varro_assets.engine.periods import TidType
from varro_assets.statbank import facts

COLUMN_VALUES = "/column_values"
_SHOWN = 20
_TID_MEANING = {
    TidType.DATE: "each value is the first day of its period",
    TidType.INT4RANGE: "years, upper bound excluded; tid @> 1845 finds the period that holds a year",
    TidType.TEXT: "the publisher's own codes, which need not sort by time",
}
_LIFE = (
    "within the life of a code (first_period to last_period in meta.code, one row per code and column); "
    "before and after there is no figure"
)


def text(card: TableCard, examples: Sequence[Example]) -> str:
    """The generated part of a table's document.

    Args:
        card: the table's.
        examples: queries that have been run.
    """
    info = card.info
    lines = [
        f"table: {card.relation}",
        f"id: {info.id}",
        f"description: {card.description}",
        *_subjects(card),
        f"measure: indhold (unit {card.unit})",
        "columns:",
        *(_column(card, column) for column in card.columns),
        f"- tid: {_tid(card)}",
        f"dim docs: {_dim_docs(card)}",
        "",
        "how to count:",
        *_counting(card),
        f"absent row: means {folded(info.suppressedDataValue)} {_LIFE}",
        "NULL: missing or confidential at the publisher (`..`), never 0",
        "",
        *_source(card),
        *_examples(examples),
    ]
    return "\n".join(lines) + "\n"


def _subjects(card: TableCard) -> list[str]:
    if not card.places:
        return ["subjects: none"]
    paths = zip(card.places, card.subject_paths, strict=True)
    shown = [f"{' / '.join(map(folded, place.titles))} (/{path})" for place, path in paths]
    return [f"subjects: {'; '.join(shown)}"]


def _dim_docs(card: TableCard) -> str:
    names = dict.fromkeys(column.dimension.name for column in card.columns if column.dimension)
    return ", ".join(f"/{dim_path(name)}" for name in names) or "none"


def _tid(card: TableCard) -> str:
    if card.first_value is None or card.last_value is None:
        return f"{card.tid_type}; no period is loaded"
    count = len(card.periods)
    parts = [
        f"date range {card.first_value} to {card.last_value}"
        if card.tid_type is TidType.DATE
        else f"{card.tid_type} range {folded(card.first_value)} to {folded(card.last_value)}",
        str(card.frequency) if card.frequency != "other" else "no fixed frequency",
        f"{count} period{'s' * (count != 1)}, codes {card.periods[0]} to {card.periods[-1]}",
    ]
    if card.tid_type is TidType.TEXT:
        parts.append(f"in order [{listed(card.periods)}]")
    return "; ".join([*parts, _TID_MEANING[card.tid_type]])


def _column(card: TableCard, column: ColumnCard) -> str:
    if column.link is not None and column.dimension is not None:
        parts = _join(column, column.link, column.dimension)
    else:
        parts = _values(card, column)
    if column.totals:
        parts.append(f"total {', '.join(f'{folded(code)}={column.labels[code]}' for code in column.totals)}")
    elif not column.is_measure:
        parts.append("no total")
    if column.is_measure:
        parts.append("measurement selector: filter one code, never sum across")
        if card.mixes_units:
            units = listed(f"{folded(code)}: {unit_of(label)}" for code, label in column.labels.items())
            parts.append(f"units [{units}]")
    return f"- {column.name}: {'; '.join(parts)}"


def _values(card: TableCard, column: ColumnCard) -> list[str]:
    pairs = [f"{folded(code)}={label}" for code, label in column.labels.items()]
    shown = f"values [{listed(pairs)}]"
    if len(pairs) <= _SHOWN:
        return [shown]
    return [shown, f"{len(pairs)} codes, all in {COLUMN_VALUES}/{card.name}/{column.name}.parquet"]


def _join(column: ColumnCard, link: Link, dimension: Dimension) -> list[str]:
    override = _one_line(link.join_override) if link.join_override else f"{column.name}=kode"
    parts = [f"join {dimension.relation} on {override}", f"levels [{', '.join(map(str, link.levels))}]"]
    if link.join_override:
        parts.append(f"SQL: ON {_one_line(link.join)}")
    parts.append("exact" if link.match_type == "exact" else f"approx ({link.coverage:.1%} of the codes)")
    parts += [
        f"{level_text(dimension, level)}: {held} of {of}" for level, (held, of) in sorted(link.level_coverage.items())
    ]
    if len(link.levels) > 1:
        parts.append(
            f"filter d.niveau to one of {', '.join(map(str, link.levels))}, or every row counts once per level"
        )
    if link.repeated:
        codes = listed(map(folded, link.repeated))
        parts.append(f"codes on several levels (they double without d.niveau): {codes}")
    if link.unmatched:
        missing = listed(
            f"{folded(one.code)}={folded(one.label)}{' (total)' if one.total else ''}" for one in link.unmatched
        )
        parts.append(f"not in {dimension.relation}: {missing}")
    # what varro notes is said above
    if link.made_by is MadeBy.HAND and link.note.strip():
        parts.append(f"note: {folded(link.note)}")
    return parts


def _one_line(sql: str) -> str:
    return " ".join(sql.split())


def _counting(card: TableCard) -> Iterable[str]:
    conditions, free = picks(card)
    if conditions:
        what = "the newest period, totals picked" if free else "one figure of the newest period"
        yield f"- {what}: WHERE {' AND '.join(conditions)}"
    totals = [column.name for column in card.columns if column.totals]
    if totals:
        yield f"- totals in {', '.join(totals)}: pick the total or other codes, never both; a total repeats the rest"
    for column in card.selectors:
        yield f"- {column.name} selects the kind of number: always filter one code"
    for column in free:
        if column.dimension is not None and len(column.levels) > 1:
            yield f"- {column.name} has no total: join {column.dimension.relation} and filter d.niveau"
        else:
            summed = "; sum over them only where none is part of another" if card.addable else ""
            yield f"- {column.name} has no total: choose codes{summed}"
    if card.mixes_units:
        known = ", ".join(column.name for column in card.selectors)
        yield f"- the unit depends on {known or 'the row, and no column says so'}: never sum across units"
    elif not card.addable and not card.selectors:
        yield "- by its title or unit indhold is a share, mean or index: do not sum it across codes or periods"


def _source(card: TableCard) -> Iterable[str]:
    info = card.info
    if info.footnote is not None and (note := folded(info.footnote.text)):
        yield f"footnote{' (mandatory: show it with the figures)' if info.footnote.mandatory else ''}: {note}"
    yield f"last update: {info.updated} (Danish local time){'' if info.active else '; the table is discontinued'}"
    yield f"rows: {card.rows} in {card.relation}"
    yield f"documentation: {folded(info.documentation.url) if info.documentation else 'none'}"
    contacts = [", ".join(folded(part) for part in (one.name, one.phone, one.mail) if part) for one in info.contacts]
    yield f"contact: {'; '.join(filter(None, contacts)) or 'none'}"
    yield f"source: {facts.SOURCE} {facts.SOURCE_URL.format(table=info.id)}"


def _examples(examples: Sequence[Example]) -> Iterable[str]:
    if examples:
        yield ""
        yield "examples:"
    for example in examples:
        yield ""
        yield f"{folded(example.title)}:"
        yield "```sql"
        yield example.sql
        yield "```"
