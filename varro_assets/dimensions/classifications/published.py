"""Published classification: its rows as Statistics Denmark prints them.

What belongs here: the row, before a hierarchy is made of it. Parsing a file is `csv_file`, parents are `hierarchy`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One line of a classification.

    Attributes:
        line: where it stands in what was read, for errors; 1 = first.
        sekvens: order of traversal, as published: a parent comes before its children.
        kode: as published, zeros and blanks inside kept; may be empty in a few published files.
        niveau: level, 1 = top.
        titel: label.
    """

    line: int
    sekvens: int
    kode: str
    niveau: int
    titel: str
