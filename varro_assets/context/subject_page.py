"""Subject page: the tables of one leaf of the subject tree, and the list of all subjects.

What belongs here: the generated text, from cards. The tags are those an existing AI analyst reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from varro_assets.context.cards import ColumnCard, TableCard
from varro_assets.context.lines import folded, listed
from varro_assets.context.places import SUBJECTS, DocumentPaths
from varro_assets.dimensions.models import Dimension
from varro_assets.dimensions.normalisation import named
from varro_assets.errors import InvalidLink
from varro_assets.statbank.catalog import Place


def page(place: Place, cards: Sequence[TableCard]) -> str:
    """The generated part of a leaf's page.

    Args:
        place: the leaf.
        cards: of its tables in the warehouse, in the order they are to be listed.
    """
    lines = [f"subject: {_titles(place)}", "<fact tables>"]
    for card in cards:
        lines += _table(card)
    lines.append("</fact tables>")
    if notes := list(_coverage(cards)):
        lines += ["<coverage notes>", *notes, "</coverage notes>"]
    return "\n".join(lines) + "\n"


def _titles(place: Place) -> str:
    return " / ".join(map(folded, place.titles))


def _table(card: TableCard) -> Iterator[str]:
    yield "<table>"
    yield f"id: {card.name}"
    yield f"description: {card.description}"
    yield f"columns: {', '.join([*map(_column, card.columns), 'tid (time)', f'indhold (unit {card.unit})'])}"
    if card.first_value is None:
        yield "tid range: no period is loaded"
    else:
        yield f"tid range: {folded(card.first_value)} to {folded(card.last_value or '')}"
        yield f"frequency: {card.frequency if card.frequency != 'other' else 'not fixed'}"
    yield f"doc: /{card.path}"
    yield "</table>"


def _column(column: ColumnCard) -> str:
    if column.link is not None:
        return f"{column.name} (dim {column.link.dimension}, levels [{', '.join(map(str, column.levels))}])"
    return f"{column.name} (measurement selector)" if column.is_measure else column.name


def _coverage(cards: Sequence[TableCard]) -> Iterator[str]:
    """Where tables that join one dimension hold different members of its top level."""
    joining: dict[str, list[tuple[str, ColumnCard]]] = {}
    for card in cards:
        for column in card.linked:
            if column.dimension is not None and _joins_as_named(column):
                joining.setdefault(column.dimension.name, []).append((card.name, column))
    for name in sorted(joining):
        columns = joining[name]
        dimension = columns[0][1].dimension
        if dimension is None or len({table for table, _ in columns}) == 1:
            continue
        tops = _tops(dimension)
        held = [(table, column, _top_titles(dimension, column, tops)) for table, column in columns]
        if len({members for _, _, members in held}) == 1:
            continue
        counts: dict[str, int] = {}
        for table, _, _ in held:
            counts[table] = counts.get(table, 0) + 1
        full = listed(folded(member.titel) for member in dimension.at(1))
        shown = [
            f"{table if counts[table] == 1 else f'{table}.{column.name}'}=[{listed(map(folded, members))}]"
            for table, column, members in held
        ]
        yield f"- {name}: full level-1 [{full}]; {'; '.join(shown)}"


def _tops(dimension: Dimension) -> dict[tuple[str, int], tuple[str, int]]:
    """Member -> the member of level 1 above it, or itself."""
    tops: dict[tuple[str, int], tuple[str, int]] = {}
    # a parent comes before its children
    for member in dimension.members:
        above = (member.parent_kode, member.parent_niveau)
        on_top = above[0] is None or above[1] is None
        tops[member.key] = member.key if on_top else tops[above[0] or "", above[1] or 0]
    return tops


def _top_titles(
    dimension: Dimension, column: ColumnCard, tops: Mapping[tuple[str, int], tuple[str, int]]
) -> tuple[str, ...]:
    """Titles of the members of level 1 that the column's codes stand on or below."""
    if column.link is None:
        return ()
    way = named(column.link.normalisation)
    wanted = {way.fact_key(code) for code in column.labels if code not in column.totals} - {None}
    held = {
        tops[member.key]
        for member in dimension.members
        if member.niveau in column.levels and way.dim_key(member.kode) in wanted
    }
    return tuple(member.titel for member in dimension.at(1) if member.key in held)


def _joins_as_named(column: ColumnCard) -> bool:
    """The members are known from the codes: no condition of people's own stands between."""
    if column.link is None:
        return False
    try:
        return named(column.link.normalisation).join_sql(column.name) == column.link.join
    except InvalidLink:
        return False


def index(places: Iterable[Place], paths: DocumentPaths) -> str:
    """The generated part of the list of subjects: top subjects and those below them, with the number of pages.

    Args:
        places: with a page of their own; in any order, also repeatedly.
        paths: of all documents.
    """
    top: dict[str, dict[str, list[Place]]] = {}
    for place in sorted(set(places), key=lambda place: place.ids):
        folders = paths.parts(place)
        middle = "/".join(folders[:2])
        top.setdefault(folders[0], {}).setdefault(middle, []).append(place)
    lines = [
        "subjects: top subjects and those below them",
        f"A page lies at /{SUBJECTS}/<top>/<middle>/<leaf>.md and lists its tables; list a folder to see its leaves.",
        "Each table has a document (`doc:` on the page), each dimension one in /dim.",
    ]
    for folder, middles in top.items():
        first = next(iter(middles.values()))[0]
        lines += ["", f"{folded(first.titles[0])} (/{SUBJECTS}/{folder})"]
        for middle, leaves in middles.items():
            pages = [place for place in leaves if len(place.ids) > 2]
            if len(pages) < len(leaves):
                shown = next(place for place in leaves if len(place.ids) <= 2)
                lines.append(f"- {folded(shown.titles[-1])}: /{paths.subject_path(shown)}")
            if pages:
                count = f"{len(pages)} page{'s' * (len(pages) != 1)}"
                lines.append(f"- {folded(pages[0].titles[1])}: {count} in /{SUBJECTS}/{middle}")
    return "\n".join(lines) + "\n"
