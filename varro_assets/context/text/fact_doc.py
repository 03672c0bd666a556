"""Fact document: what an analyst reads about one table before writing SQL.

What belongs here: the generated text, from a card; deterministic, no file, no database, no clock. English, with the
publisher's Danish labels. The keys ``table``, ``description``, ``measure``, ``columns`` and ``dim docs`` and their form
are those an existing AI analyst reads; the others are ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from varro_assets.context.cards import ColumnCard, TableCard, units_of
from varro_assets.context.maps.geo_layers import FOLDER, LAYERS
from varro_assets.context.places import dim_path
from varro_assets.context.text import coverage, tid_line
from varro_assets.context.text.examples import Example, level_text, picked_words, picks
from varro_assets.context.text.lines import folded, listed
from varro_assets.context.text.number_words import is_chained, is_rate, is_stock
from varro_assets.dimensions.models import Dimension, Link, MadeBy
from varro_assets.statbank import facts

COLUMN_VALUES = "/column_values"
GEO_INDEX = f"/{FOLDER}/index.md"
_SHOWN = 20
_WIDER = 12
_KINDS = (
    (is_rate, "indhold is a share, mean or index: do not sum it at all"),
    (is_chained, "values are chained: parts do not add up to the whole"),
    (is_stock, "indhold is counted at a moment: do not sum it across periods"),
)
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
        f"measure: indhold (unit {card.unit}{_unit_by(card)})",
        *_footnote(card, mandatory=True),
        "columns:",
        *(_column(card, column) for column in card.columns),
        f"- tid: {tid_line.text(card)}",
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
    if card.mixes_units and (units := units_of(column)):
        parts.append(f"units [{listed(f'{folded(code)}: {unit}' for code, unit in units.items())}]")
    parts += [*_overlaps(column), *_labels(column)]
    parts += _lives(card, column)
    parts += _maps(column)
    if column.column.label and facts.column_name(column.column.label) != column.name:
        parts.append(f"label {folded(column.column.label)}")
    return f"- {column.name}: {'; '.join(parts)}"


def _overlaps(column: ColumnCard) -> Iterable[str]:
    """Codes inside others, and sub-totals that only their label gives away."""
    wider = [
        f"{folded(one.code)} > {listed(map(folded, one.parts), shown=8, ends=3)}"
        for one in column.overlaps
        if one.parts
    ]
    if wider:
        shown = wider if len(wider) <= _WIDER else [*wider[:_WIDER], "..."]
        yield f"codes that hold others, by label or code [{'; '.join(shown)}]"
    sums = [f"{folded(one.code)}={column.labels[one.code]}" for one in column.overlaps if not one.parts]
    if sums:
        yield f"sub-totals or balances, by label [{listed(sums, shown=12, ends=4)}]"


def _labels(column: ColumnCard) -> Iterable[str]:
    """What mixes moments with flows, and labels that do not tell their codes apart."""
    moments = [f"{folded(code)}={label}" for code, label in column.labels.items() if is_stock(label)]
    if moments and len(moments) < len(column.labels) and not column.is_measure:
        yield f"counted at a moment, unlike the others [{listed(moments, shown=8, ends=3)}]"
    often = {label: count for label, count in Counter(column.labels.values()).items() if count > 1}
    if often and column.link is None:
        shown = listed((f"{label} {count} times" for label, count in often.items()), shown=6, ends=2)
        yield f"labels stand on several codes [{shown}]: filter by code"


def _lives(card: TableCard, column: ColumnCard) -> Iterable[str]:
    """Codes that do not run from the first held period to the last."""
    if column.lives is None or not card.periods:
        return
    first, last = card.periods[0], card.periods[-1]
    known = [(code, label, column.lives.get(code)) for code, label in column.labels.items()]
    for what, found in (
        ("began later", [f"{folded(c)}={t} {life[0]}" for c, t, life in known if life and life[0] != first]),
        ("ended earlier", [f"{folded(c)}={t} {life[1]}" for c, t, life in known if life and life[1] != last]),
        ("without any row", [f"{folded(c)}={t}" for c, t, life in known if life is None]),
    ):
        if found:
            yield f"{what} [{listed(found, shown=10, ends=4)}]"


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
    parts += _top(column, dimension)
    if len(link.levels) > 1:
        parts.append(
            f"filter d.niveau to one of {', '.join(map(str, link.levels))}, or every row counts once per level"
        )
    parts += _left_out(column, dimension)
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


def _maps(column: ColumnCard) -> Iterable[str]:
    """Layers that draw one of its levels; the index says which of them have been made."""
    layers = [
        f"{layer.name} (level {layer.niveau})"
        for layer in LAYERS.values()
        if column.link is not None and layer.dimension == column.link.dimension and layer.niveau in column.levels
    ]
    if layers:
        yield f"map layers {', '.join(layers)}: {GEO_INDEX}"


def _top(column: ColumnCard, dimension: Dimension) -> Iterable[str]:
    """Level-1 coverage, where the figures of level 1 itself do not tell it."""
    members = coverage.held(column)
    if members is None:
        return
    tops, every = coverage.tops(dimension, members), dimension.at(1)
    lacking = [folded(one.titel) for one in every if one not in tops]
    if lacking:
        yield f"level-1 coverage {len(tops)} of {len(every)}, nothing of [{listed(lacking, shown=8, ends=3)}]"
    elif 1 not in column.levels:
        yield f"level-1 coverage {len(tops)} of {len(every)}"


def _left_out(column: ColumnCard, dimension: Dimension) -> Iterable[str]:
    """What a filter on one level loses."""
    for level, members in coverage.left_out(dimension, coverage.held(column) or ()).items():
        lost = listed((f"{folded(one.kode)}={folded(one.titel)}" for one in members), shown=8, ends=3)
        yield f"d.niveau = {level} leaves out [{lost}], which have no figure on that level"


def _one_line(sql: str) -> str:
    return " ".join(sql.split())


def _counting(card: TableCard) -> Iterable[str]:
    conditions, free = picks(card)
    if conditions:
        what = picked_words(card) if free else f"one figure of the {picked_words(card)}"
        yield f"- {what}: WHERE {' AND '.join(conditions)}"
    totals = [column.name for column in card.columns if column.totals]
    if totals:
        yield f"- totals in {', '.join(totals)}: pick the total or other codes, never both; a total repeats the rest"
    for column in card.selectors:
        yield f"- {column.name} selects the kind of number: always filter one code"
    for column in free:
        yield f"- {column.name} has no total: {_choosing(card, column)}"
    if inside := [column.name for column in card.columns if column.overlaps]:
        yield f"- codes of {', '.join(inside)} hold each other (above): never sum a code and one inside it"
    yield from _kind_of_number(card)


def _choosing(card: TableCard, column: ColumnCard) -> str:
    if column.dimension is not None and len(column.levels) > 1:
        return f"join {column.dimension.relation} and filter d.niveau"
    return f"choose codes{'; sum over them only where none is part of another' if card.addable else ''}"


def _kind_of_number(card: TableCard) -> Iterable[str]:
    if card.mixes_units:
        known = ", ".join(column.name for column in card.selectors)
        yield f"- the unit depends on {known or 'the row, and no column says so'}: never sum across units"
    if card.is_rate:
        yield "- by its title or unit indhold is a share, mean or index: do not sum it across codes or periods"
        return
    if card.is_stock:
        yield "- by its title indhold is counted at a moment: do not sum it across periods"
    for column in card.selectors:
        for speaks, what in _KINDS:
            if codes := [folded(code) for code, label in column.labels.items() if speaks(label)]:
                yield f"- with {column.name} {listed(codes)} {what}"


def _footnote(card: TableCard, *, mandatory: bool) -> Iterable[str]:
    note = card.info.footnote
    if note is not None and note.mandatory is mandatory and (text := folded(note.text)):
        yield f"footnote{' (mandatory: show it with the figures)' if mandatory else ''}: {text}"


def _unit_by(card: TableCard) -> str:
    """Which column gives the unit, where the publisher gives none."""
    names = ", ".join(column.name for column in card.selectors)
    return f", it depends on {names}" if card.mixes_units and names else ""


def _source(card: TableCard) -> Iterable[str]:
    info = card.info
    yield from _footnote(card, mandatory=False)
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
