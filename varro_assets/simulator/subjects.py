"""The subject tree: three levels, tables on the leaves.

What belongs here: nodes, the walk from a node to its descendants, and their form in /subjects. Which nodes exist is
``subject_tree``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Listing = Callable[[str], list[dict[str, Any]]]


@dataclass(frozen=True)
class Subject:
    """One node.

    Attributes:
        id: digits.
        da: Danish name.
        en: English name.
        children: nodes below, in order.
        active: inactive ones can be left out of an answer.
    """

    id: str
    da: str
    en: str
    children: tuple[Subject, ...] = ()
    active: bool = True

    def walk(self) -> Iterator[Subject]:
        """This node and all below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def node(self, lang: str, children: list[dict[str, Any]], listing: Listing | None) -> dict[str, Any]:
        """The node's object in /subjects, with what is to be shown below it."""
        shown: dict[str, Any] = {
            "id": self.id,
            "description": self.en if lang == "en" else self.da,
            "active": self.active,
            "hasSubjects": bool(self.children),
            "subjects": children,
        }
        return shown if listing is None else shown | {"tables": listing(self.id)}


@dataclass(frozen=True)
class Tree:
    """All top nodes, and how to find one."""

    tops: tuple[Subject, ...]

    def find(self, subject_id: str) -> Subject | None:
        """The node with an id."""
        return next((node for node in self.walk() if node.id == subject_id), None)

    def walk(self) -> Iterator[Subject]:
        """All nodes, depth first: the order of the catalogue."""
        for top in self.tops:
            yield from top.walk()

    def leaves(self) -> list[Subject]:
        """Nodes that tables can hang on."""
        return [node for node in self.walk() if not node.children]

    def answer(
        self, asked: list[Subject], lang: str, recursive: bool, skip_inactive: bool, listing: Listing | None
    ) -> list[dict[str, Any]]:
        """The answer of /subjects: the top nodes, or the asked nodes with their children shown."""

        def shown(node: Subject, depth: int) -> dict[str, Any]:
            children = [child for child in node.children if child.active or not skip_inactive]
            below = [shown(child, depth - 1) for child in children] if depth > 0 else []
            return node.node(lang, below, listing)

        everything = 99
        depth = everything if recursive else (1 if asked else 0)
        return [shown(node, depth) for node in asked or self.tops if node.active or not skip_inactive]
