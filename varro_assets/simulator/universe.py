"""Universe: all tables and classifications as published now, the publisher's clock, and what was published so far.

What belongs here: the only mutable state of the simulated publisher, behind one lock. Everything it hands out is an
immutable snapshot. The clock stands still between publications; each moves it to the next weekday at 08:00, so that the
same publications in the same order give the same ``updated`` in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import RLock
from typing import Any

from varro_assets.simulator import catalogue, classification_lists, classifications, demo, publications
from varro_assets.simulator.classifications import Classification
from varro_assets.simulator.publications import UnknownPublication
from varro_assets.simulator.subject_tree import TREE
from varro_assets.simulator.subjects import Tree
from varro_assets.simulator.table import Table

Publication = dict[str, Any]
REVISE_CLASSIFICATION = "revise_classification"


@dataclass
class _Shortage:
    """The next few answers of a period are short, although nothing is missing in truth."""

    tid: str
    keep: float
    answers: int


class Universe:
    """The simulated StatBank's content.

    Attributes:
        tree: the subjects.
        journal: called with every publication made, for example to append it to a file.
    """

    def __init__(
        self,
        tables: Iterable[Table],
        tree: Tree = TREE,
        listed: Iterable[Classification] | None = None,
    ) -> None:
        """``listed`` are the classifications; None for those of the demo."""
        self.tree = tree
        self.journal: Callable[[Publication], None] | None = None
        self._first = {table.id: table for table in tables}
        shown = classification_lists.classifications() if listed is None else listed
        self._first_classifications = {held.name: held for held in shown}
        self._lock = RLock()
        self.reset()

    @classmethod
    def demo(cls) -> Universe:
        """About twenty tables that show every habit of the publisher."""
        return cls(demo.tables())

    @classmethod
    def catalogue(cls, n_tables: int = 2240, seed: int = 0) -> Universe:
        """The demo tables and enough synthetic small ones to make ``n_tables`` active tables."""
        shown = demo.tables()
        active = sum(table.active for table in shown)
        return cls([*shown, *catalogue.tables(max(n_tables - active, 0), seed, TREE)])

    def reset(self) -> None:
        """Forget all publications."""
        with self._lock:
            self._tables = dict(self._first)
            self._classifications = dict(self._first_classifications)
            self._shortages: dict[str, list[_Shortage]] = {}
            self._made: list[Publication] = []
            latest = max((table.updated for table in self._first.values()), default="2025-09-05T08:00:00")
            self._now = datetime.fromisoformat(latest)
            self._next: datetime | None = None

    @property
    def now(self) -> datetime:
        """The publisher's clock, Danish local time; /tables counts ``pastDays`` back from it."""
        return self._now

    def set_clock(self, moment: datetime) -> None:
        """Let the next publication be made at this moment, Danish local time, and each one after it a minute later.

        For a test in which time passes by a calendar; without it the clock goes from weekday to weekday.
        """
        with self._lock:
            self._next = self._now = moment

    @property
    def publications(self) -> list[Publication]:
        """All publications made since the start or the last reset, oldest first."""
        with self._lock:
            return list(self._made)

    def tables(self) -> list[Table]:
        """All tables that the catalogue lists, inactive ones included, in catalogue order."""
        place = {node.id: at for at, node in enumerate(self.tree.walk())}
        with self._lock:
            listed = [table for table in self._tables.values() if table.listed]
        return sorted(listed, key=lambda table: min(place.get(held, 9999) for held in table.subjects))

    def table(self, table_id: str) -> Table:
        """The table as published now; the oracle of tests.

        Raises:
            KeyError: there is no such table.
        """
        with self._lock:
            return self._tables[table_id.upper()]

    def classifications(self) -> list[Classification]:
        """All classifications as published now."""
        with self._lock:
            return list(self._classifications.values())

    def classification(self, name: str) -> Classification:
        """The classification as published now; the oracle of tests.

        Raises:
            KeyError: there is no such classification.
        """
        with self._lock:
            return self._classifications[name.lower()]

    def answering(self, table_id: str, tids: Sequence[str]) -> Table:
        """The table as the next data answer for ``tids`` shows it: a transient shrink is used up by asking.

        Raises:
            KeyError: there is no such table.
        """
        with self._lock:
            table = self.table(table_id)
            for shortage in self._shortages.get(table.id, []):
                if shortage.tid in tids and shortage.answers > 0:
                    shortage.answers -= 1
                    table = replace(table, kept={**table.kept, shortage.tid: shortage.keep})
            return table

    def publish(self, kind: str, table: str, **arguments: Any) -> Table:
        """Make a publication of a table and return the table as it is then.

        Raises:
            UnknownPublication: unknown kind, table or argument, or one that does not fit the table.
        """
        with self._lock:
            changed = self._apply(kind, table, arguments)
            self._record({"kind": kind, "table": changed.id, **arguments})
            return changed

    def revise_classification(self, name: str, **arguments: Any) -> Classification:
        """Revise a classification and return it as it is then; arguments as ``classifications.revised``.

        Raises:
            UnknownPublication: unknown classification or argument, or one that does not fit it.
        """
        with self._lock:
            changed = self._revise(name, arguments)
            self._record({"kind": REVISE_CLASSIFICATION, "classification": changed.name, **arguments})
            return changed

    def make(self, publication: Mapping[str, Any]) -> Table | Classification:
        """Make a publication given as data: of a ``table``, or of a ``classification``.

        Raises:
            UnknownPublication: it names neither, or cannot be made.
        """
        kind, named, arguments = _parts(publication)
        if kind == REVISE_CLASSIFICATION:
            return self.revise_classification(named, **arguments)
        return self.publish(kind, named, **arguments)

    def replay(self, made: Iterable[Publication]) -> None:
        """Make publications that were made before, without telling the journal.

        A transient shrink only moves ``updated``: its short answers were given in the earlier life.
        """
        with self._lock:
            for publication in made:
                kind, named, arguments = _parts(publication)
                if kind == REVISE_CLASSIFICATION:
                    self._revise(named, arguments)
                else:
                    if arguments.get("answers") is not None:
                        arguments["answers"] = 0
                    self._apply(kind, named, arguments)
                self._made.append(publication)

    def _record(self, made: Publication) -> None:
        self._made.append(made)
        if self.journal is not None:
            self.journal(made)

    def _revise(self, name: str, arguments: dict[str, Any]) -> Classification:
        before = self._classifications.get(name.lower())
        if before is None:
            raise UnknownPublication(f"there is no classification {name}")
        try:
            after = classifications.revised(before, **arguments)
        except TypeError as error:
            raise UnknownPublication(f"{REVISE_CLASSIFICATION} of {name}: {error}") from error
        self._classifications[before.name] = after
        return after

    def _apply(self, kind: str, table_id: str, arguments: dict[str, Any]) -> Table:
        if table_id.upper() not in self._tables:
            raise UnknownPublication(f"there is no table {table_id}")
        before = self.table(table_id)
        arguments = dict(arguments)
        days = int(arguments.pop("days", 7)) if kind == "regress" else 0
        answers = arguments.pop("answers", None) if kind == "shrink" else None
        silent = bool(arguments.pop("silent", False)) if kind == "move" else False
        if kind == "move":
            arguments["to"] = self._leaf(before, arguments.get("to"))
        after = publications.applied(before, kind, arguments)
        if answers is not None:
            tid = arguments.get("tid") or before.periods[-1]
            self._shortages.setdefault(before.id, []).append(_Shortage(tid, after.kept[tid], int(answers)))
            after = before
        if not silent:
            after = replace(after, updated=self._stamp(before, days))
        self._tables[before.id] = after
        return after

    def _leaf(self, table: Table, subject: str | None) -> str:
        """The leaf a table is to hang under: the one given, else the next active one in the tree."""
        leaves = [leaf.id for leaf in self.tree.leaves() if subject is not None or leaf.active]
        if subject is None:
            after = leaves.index(table.subjects[0]) + 1 if table.subjects[0] in leaves else 0
            around = (*leaves[after:], *leaves)
            subject = next(leaf for leaf in around if leaf not in table.subjects)
        if subject not in leaves:
            raise UnknownPublication(f"there is no subject {subject} that tables can hang under")
        return subject

    def _stamp(self, before: Table, days_back: int) -> str:
        if days_back:
            return (datetime.fromisoformat(before.updated) - timedelta(days=days_back)).isoformat()
        if self._next is not None:
            self._now, self._next = self._next, self._next + timedelta(minutes=1)
            return self._now.isoformat()
        day = self._now + timedelta(days=1)
        while day.weekday() > 4:
            day += timedelta(days=1)
        self._now = day.replace(hour=8, minute=0, second=0)
        return self._now.isoformat()

    def publish_period(self, table: str, tid: str | None = None) -> Table:
        """A new period; see ``publications.publish_period``."""
        return self.publish("publish_period", table, tid=tid)

    def insert_period(self, table: str, tid: str | None = None) -> Table:
        """A period in the middle or before the first; see ``publications.insert_period``."""
        return self.publish("insert_period", table, tid=tid)

    def drop_period(self, table: str, tid: str | None = None) -> Table:
        """A period disappears; see ``publications.drop_period``."""
        return self.publish("drop_period", table, tid=tid)

    def revise(self, table: str, tid: str | None = None, cells: int | None = None) -> Table:
        """Values of one period change; see ``publications.revise``."""
        return self.publish("revise", table, tid=tid, cells=cells)

    def offset(self, table: str, tid: str | None = None) -> Table:
        """Two cells of a period change, their sum does not; see ``publications.offset``."""
        return self.publish("offset", table, tid=tid)

    def restate(self, table: str) -> Table:
        """All history changes."""
        return self.publish("restate", table)

    def add_code(self, table: str, var: str | None = None, code: str | None = None) -> Table:
        """A dimension gets a code; see ``publications.add_code``."""
        return self.publish("add_code", table, var=var, code=code)

    def change_dimensions(self, table: str, remove: str | None = None) -> Table:
        """A variable comes or goes; see ``publications.change_dimensions``."""
        return self.publish("change_dimensions", table, remove=remove)

    def touch(self, table: str) -> Table:
        """``updated`` moves and nothing else."""
        return self.publish("touch", table)

    def shrink(self, table: str, tid: str | None = None, keep: float = 0.3, answers: int | None = None) -> Table:
        """A period loses rows: for good, or in the next ``answers`` data answers only."""
        return self.publish("shrink", table, tid=tid, keep=keep, answers=answers)

    def withdraw(self, table: str, vanish: bool = False) -> Table:
        """The table leaves the catalogue; see ``publications.withdraw``."""
        return self.publish("withdraw", table, vanish=vanish)

    def deactivate(self, table: str) -> Table:
        """The table becomes inactive."""
        return self.publish("deactivate", table)

    def reinstate(self, table: str) -> Table:
        """A table that left the catalogue comes back."""
        return self.publish("reinstate", table)

    def move(self, table: str, to: str | None = None, silent: bool = False) -> Table:
        """The table moves in the subject tree; ``silent`` leaves ``updated``. See ``publications.move``."""
        return self.publish("move", table, to=to, silent=silent)

    def relabel(self, table: str, text: str | None = None, var: str | None = None, code: str | None = None) -> Table:
        """A label changes and no value; see ``publications.relabel``."""
        return self.publish("relabel", table, text=text, var=var, code=code)

    def annotate(self, table: str, text: str | None = None, mandatory: bool = True) -> Table:
        """The footnote changes and no value; see ``publications.annotate``."""
        return self.publish("annotate", table, text=text, mandatory=mandatory)

    def regress(self, table: str, days: int = 7) -> Table:
        """``updated`` goes back by some days, and nothing else happens."""
        return self.publish("regress", table, days=days)


def _parts(publication: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Kind, what it is about, and the arguments of a publication given as data."""
    kind = publication.get("kind")
    about = "classification" if kind == REVISE_CLASSIFICATION else "table"
    named = publication.get(about)
    if not isinstance(kind, str) or not isinstance(named, str):
        raise UnknownPublication(f"a publication needs `kind` and `{about}`")
    return kind, named, {key: value for key, value in publication.items() if key not in {"kind", about}}
