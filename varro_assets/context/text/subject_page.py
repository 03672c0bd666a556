"""Subject page: the tables of one leaf of the subject tree, and the list of all subjects.

What belongs here: the generated text, from cards. The tags are those an existing AI analyst reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from varro_assets.context.cards import ColumnCard, TableCard
from varro_assets.context.places import SUBJECTS, DocumentPaths
from varro_assets.context.text import coverage
from varro_assets.context.text.lines import folded, listed
from varro_assets.dimensions.models import Member
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
    if not card.info.active:
        yield f"status: discontinued, last update {card.info.updated[:10]}"
    yield f"doc: /{card.path}"
    yield "</table>"


def _column(column: ColumnCard) -> str:
    if column.link is not None:
        return f"{column.name} (dim {column.link.dimension}, levels [{', '.join(map(str, column.levels))}])"
    return f"{column.name} (measurement selector)" if column.is_measure else column.name


def _coverage(cards: Sequence[TableCard]) -> Iterator[str]:
    """Where tables that join one dimension hold different members of its top level."""
    joining: dict[str, list[tuple[str, str, tuple[Member, ...]]]] = {}
    full: dict[str, tuple[Member, ...]] = {}
    for card in cards:
        for column in card.linked:
            members = coverage.held(column)
            if column.dimension is not None and members is not None:
                tops = coverage.tops(column.dimension, members)
                joining.setdefault(column.dimension.name, []).append((card.name, column.name, tops))
                full[column.dimension.name] = column.dimension.at(1)
    for name, held in sorted(joining.items()):
        tables = Counter(table for table, _, _ in held)
        if len(tables) == 1 or len({tops for _, _, tops in held}) == 1:
            continue
        shown = [
            f"{table if tables[table] == 1 else f'{table}.{column}'}=[{_titled(tops)}]" for table, column, tops in held
        ]
        yield f"- {name}: full level-1 [{_titled(full[name])}]; {'; '.join(shown)}"


def _titled(members: Iterable[Member]) -> str:
    return listed(folded(member.titel) for member in members)


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
