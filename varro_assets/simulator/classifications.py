"""Classifications: hierarchical code lists as the publisher's web site has them.

What belongs here: one classification as an immutable snapshot, its CSV file as published, short ways of writing one
down, and what a revision can do to it. Which ones exist is ``classification_lists``; pages are ``site``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from textwrap import dedent
from uuid import UUID

from varro_assets.simulator.hashing import seed_of
from varro_assets.simulator.publications import UnknownPublication

# the English names after TITLE were never seen recorded; they translate the Danish ones
HEADERS = {
    "da": "SEKVENS;KODE;NIVEAU;TITEL;GENERELLE_NOTER;INKLUDERER;INKLUDERER_OGSÅ;EKSKLUDERER;PARAGRAF;MÅLEENHED",
    "en": "SEQUENCE;CODE;LEVEL;TITLE;GENERAL_NOTES;INCLUDES;INCLUDES_ALSO;EXCLUDES;PARAGRAPH;MEASUREMENT_UNIT",
}
LANGUAGES = tuple(HEADERS)
_EMPTY_COLUMNS = 6
_INDENTATION = 2


@dataclass(frozen=True)
class Item:
    """One line: a code on a level (1 = top) with its titles."""

    kode: str
    niveau: int
    da: str
    en: str

    def title(self, lang: str) -> str:
        """Title in a language."""
        return self.en if lang == "en" else self.da


@dataclass(frozen=True)
class Classification:
    """One state of one classification.

    Attributes:
        name: the last step of its page's address, such as ``amt-kom``.
        da: Danish title.
        en: English title.
        text_da: paragraphs of the page.
        text_en: the same in English.
        items: lines in traversal order: each parent before its children.
        guid: part of the CSV files' addresses; changes when it is published anew elsewhere.
        moved: the CSV address answers with a page that says where the file lies now.
        aliases: other names under which links to the page are in use.
    """

    name: str
    da: str
    en: str
    text_da: tuple[str, ...]
    text_en: tuple[str, ...]
    items: tuple[Item, ...]
    guid: str
    moved: bool = False
    aliases: tuple[str, ...] = ()

    def title(self, lang: str) -> str:
        """Title in a language."""
        return self.en if lang == "en" else self.da

    def text(self, lang: str) -> tuple[str, ...]:
        """Paragraphs in a language."""
        return self.text_en if lang == "en" else self.text_da

    def csv(self, lang: str) -> bytes:
        """The file as published: UTF-8 with a byte order mark, CRLF, ``;``, codes always in quotes."""
        lines = [HEADERS[lang]]
        for place, item in enumerate(self.items, 1):
            cells = (str(place), _quoted(item.kode), str(item.niveau), _field(item.title(lang)))
            lines.append(";".join(cells) + ";" * _EMPTY_COLUMNS)
        return ("\ufeff" + "".join(f"{line}\r\n" for line in lines)).encode()

    def moved_name(self, lang: str) -> str:
        """Name under which the archive has the file of a moved classification."""
        return f"{seed_of('archive', self.guid, lang) % 10**11:011d}"


def invented_guid(name: str, edition: int = 0) -> str:
    """A guid that only the simulator uses, the same in every process."""
    return str(UUID(int=seed_of("classification", name, edition) << 64 | seed_of(name, edition), version=4))


def items(text: str) -> tuple[Item, ...]:
    """A list written as ``code da / en`` lines; every two blanks of indentation are one level down."""
    listed = []
    for line in filter(str.strip, dedent(text).splitlines()):
        indented = len(line) - len(line.lstrip())
        code, _, label = line.strip().partition(" ")
        da, _, en = label.partition(" / ")
        listed.append(Item(code, 1 + indented // _INDENTATION, da, en or da))
    return tuple(listed)


def revised(
    held: Classification,
    kode: str | None = None,
    titel: str | None = None,
    niveau: int | None = None,
    below: str | None = None,
    new_address: bool = False,
) -> Classification:
    """The classification after a revision.

    A code it has gets the title (on all its levels, or on ``niveau`` only). A code it lacks is added: below the code
    ``below``, else on the top level at the end. Nothing given means a new top code. The new title stands in both
    languages.

    Raises:
        UnknownPublication: ``below`` or the level is not there, or nothing would change.
    """
    if new_address:
        held = replace(held, guid=invented_guid(held.guid, 1))
        if kode is None and titel is None:
            return held
    name = kode or next(f"{number}" for number in range(9001, 9999) if f"{number}" not in _codes(held))
    if name in _codes(held):
        return _retitled(held, name, titel, niveau)
    return _extended(held, name, titel or f"Ny kode {name}", below)


def _retitled(held: Classification, kode: str, titel: str | None, niveau: int | None) -> Classification:
    def after(item: Item) -> Item:
        hit = item.kode == kode and niveau in {None, item.niveau}
        return replace(item, da=titel or item.da, en=titel or item.en) if hit else item

    changed = tuple(map(after, held.items))
    if changed == held.items:
        raise UnknownPublication(f"{held.name} has {kode} already; give it a new title, and a level it stands on")
    return replace(held, items=changed)


def _extended(held: Classification, kode: str, titel: str, below: str | None) -> Classification:
    if below is None:
        return replace(held, items=(*held.items, Item(kode, 1, titel, titel)))
    # the lowest of the levels that a repeated code stands on can have children of its own level below
    places = [place for place, item in enumerate(held.items) if item.kode == below]
    if not places:
        raise UnknownPublication(f"{held.name} has no code {below}")
    parent = held.items[places[-1]]
    end = places[-1] + 1
    while end < len(held.items) and held.items[end].niveau > parent.niveau:
        end += 1
    added = Item(kode, parent.niveau + 1, titel, titel)
    return replace(held, items=(*held.items[:end], added, *held.items[end:]))


def _codes(held: Classification) -> set[str]:
    return {item.kode for item in held.items}


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _field(text: str) -> str:
    return _quoted(text) if any(sign in text for sign in ';"\r\n') else text
