"""Document path: where a document of a subject or table lies below the folder of documents.

What belongs here: turning titles of subjects into parts of a path, and telling apart what folds to the same. Paths are
relative, with ``/``. No file is touched.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from varro_assets.statbank.catalog import Place

SUBJECTS, FACTS, DIMENSIONS = "subjects", "fact", "dim"
INDEX = "index"
"""``subjects/index.md`` is the list of all."""
UNPLACED = "unplaced"
"""Folder of tables that stand nowhere in the subject tree."""
LONGEST_PART = 200
"""Bytes; leaves room for ``.md`` and the ending of a temporary sibling within the usual 255."""
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}


def path_part(title: str) -> str:
    r"""A subject's title as part of a path: ``Arbejdsmarkedsstatus (RAS)`` → ``arbejdsmarkedsstatus_(ras)``.

    NFC, stripped, lower case; blanks, ``/``, ``\`` and control characters become ``_``; Danish letters, commas and
    brackets stay. Never empty, ``.``, ``..`` or hidden. A long one is cut, which `DocumentPaths` makes up for.
    """
    lower = unicodedata.normalize("NFC", title.strip().lower())
    part = "".join("_" if _unsafe(sign) else sign for sign in lower)
    if part.startswith(".") or not part:
        part = f"_{part[1:]}"
    return part.encode()[:LONGEST_PART].decode(errors="ignore")


def _unsafe(sign: str) -> bool:
    return sign.isspace() or sign in "/\\" or unicodedata.category(sign) in _CONTROL


def dim_path(name: str) -> str:
    """``dim/nuts.md``."""
    return f"{DIMENSIONS}/{name}.md"


class DocumentPaths:
    """Paths of all documents, given every place there is: only so can two subjects of one folded title be told apart.

    Subjects beside each other that fold to one part all get their id behind it: ``priser_(2408)``.

    Args:
        places: of all tables of the catalogue, not only the followed ones, so that following one more moves nothing.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        titles: dict[tuple[str, ...], str] = {}
        for place in places:
            for depth in range(1, len(place.ids) + 1):
                titles.setdefault(place.ids[:depth], place.titles[depth - 1])
        siblings: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for node in sorted(titles):
            siblings.setdefault(node[:-1], []).append(node)
        self._parts: dict[tuple[str, ...], str] = {}
        for parent, nodes in siblings.items():
            self._name(nodes, titles, taken={INDEX} if not parent else set())

    def _name(self, nodes: list[tuple[str, ...]], titles: dict[tuple[str, ...], str], taken: set[str]) -> None:
        folded = {node: path_part(titles[node]) for node in nodes}
        plain = list(folded.values())
        alone = [node for node in nodes if plain.count(folded[node]) == 1 and folded[node] not in taken]
        for node in alone:
            self._parts[node] = folded[node]
        taken = taken | {folded[node] for node in alone}
        for node in nodes:
            if node in self._parts:
                continue
            ending = f"_({path_part(node[-1])})"
            part = folded[node].encode()[: LONGEST_PART - len(ending.encode())].decode(errors="ignore") + ending
            while part in taken:
                part += "_"
            taken.add(part)
            self._parts[node] = part

    def parts(self, place: Place) -> tuple[str, ...]:
        """Parts of the path from the top subject down.

        A place that was not among those given is folded without regard to others.
        """
        nodes = [place.ids[: depth + 1] for depth in range(len(place.ids))]
        return tuple(self._parts.get(node) or path_part(title) for node, title in zip(nodes, place.titles, strict=True))

    def subject_path(self, place: Place) -> str:
        """``subjects/borgere/befolkning/befolkningstal.md``."""
        return f"{SUBJECTS}/{'/'.join(self.parts(place))}.md"

    def fact_path(self, places: Sequence[Place], table: str) -> str:
        """``fact/borgere/befolkning/befolkningstal/folk1a.md``.

        Args:
            places: of the table; it is documented below the first and referred to from the others.
            table: id.
        """
        folder = "/".join(self.parts(places[0])) if places else UNPLACED
        return f"{FACTS}/{folder}/{table.lower()}.md"
