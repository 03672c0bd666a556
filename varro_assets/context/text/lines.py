"""Line: a publisher's text as one line of a document, unable to pass for the document's own structure.

What belongs here: folding text, and the few marks of structure a document has. What is said lies in the documents'
own modules.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

NOTES = "notes:"
"""A line that is exactly this begins what belongs to people."""
STAMP = re.compile(r"<!-- varro-assets: ([0-9a-f]{12}) -->", re.ASCII)
"""The last generated line."""

_CONTROL = {"Cc", "Cs", "Zl", "Zp"}
_TAG = re.compile(r"<(?=/?(?:dim tables|fact tables|coverage notes|table)>)")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_STRUCTURE = re.compile(r"(?:`{3}|~{3}|#|---|===|\||>|notes:|<!--|<)")


def folded(text: str) -> str:
    """The text on one line.

    Entities such as ``&apos;`` are read; runs of blanks, line breaks and control characters become one blank; the tags
    of subject pages are broken (``‹table>``).
    """
    shown = html.unescape(text) if "&" in text else text
    if not shown.isprintable():
        shown = "".join(" " if unicodedata.category(sign) in _CONTROL else sign for sign in shown)
    return _TAG.sub("‹", " ".join(shown.split()))


def paragraphs(markdown: str, *, most: int, characters: int) -> list[str]:
    """The first paragraphs of running text, each folded to a line; headings, tables, code and pictures left out.

    Args:
        markdown: as converted from the publisher's page.
        most: at most so many paragraphs.
        characters: no further paragraph once so many are reached.
    """
    chosen: list[str] = []
    for block in _PARAGRAPH.split(markdown.replace("\r\n", "\n")):
        line = folded(block)
        if not line or _STRUCTURE.match(line) or line.startswith("!["):
            continue
        if len(chosen) == most or sum(map(len, chosen)) >= characters:
            break
        chosen.append(line)
    return chosen


def listed(items: Iterable[str], *, shown: int = 20, ends: int = 5) -> str:
    """``a, b, c``; of more than ``shown`` the first and the last ``ends`` with ``...`` between."""
    every = list(items)
    if len(every) <= shown:
        return ", ".join(every)
    return f"{', '.join(every[:ends])} ... {', '.join(every[-ends:])}"
