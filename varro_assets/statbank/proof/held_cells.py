"""Held cells: what the fact table says of cells that the publisher is asked about.

What belongs here: the queries, by period code. What is made of the answers is `reconcile`'s and `table_check`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg2 import sql

from varro_assets.engine import periods, postgres
from varro_assets.engine.period_table import PeriodTable
from varro_assets.engine.periods import TidType
from varro_assets.engine.postgres import Connection
from varro_assets.engine.reconcile import Cell
from varro_assets.statbank.proof.questions import Question


@dataclass(frozen=True)
class FactCells:
    """The rows of one fact table.

    Attributes:
        connection: to the warehouse.
        table: how it looks.
        codes: period codes that may stand in it; a value of ``tid`` that is none of theirs shows as itself.
    """

    connection: Connection
    table: PeriodTable
    codes: tuple[str, ...]

    def values(self, codes: Iterable[str]) -> list[str]:
        """What stands for these periods in ``tid``."""
        kind = TidType(self.table.tid_type)
        return [periods.parse(code).database_value(kind) for code in codes]

    def rows(self) -> dict[str, int]:
        """Period -> rows, of every period that has any."""
        return {code: count for code, (count,) in self._by_period("count(*)", None).items()}

    def of(self, question: Question) -> tuple[dict[Cell, float | None], set[Cell]]:
        """The cells of a question that have a row.

        Where variables are left out without a total of their own, the rows are added up. It is not known what a
        publisher says of a sum some part of which is missing.

        Returns:
            Codes and period -> value, and the cells that nothing can be said of.
        """
        names = {column.source: column.name for column in self.table.columns}
        kept = [sql.Identifier(names[variable]) for variable in question.codes]
        totals = {variable: code for variable, code in question.left_out.items() if code is not None}
        chosen = {variable: list(codes) for variable, codes in question.codes.items()}
        chosen |= {variable: [code] for variable, code in totals.items()}
        where = [sql.SQL("{} = ANY(%s)").format(sql.Identifier(names[variable])) for variable in chosen]
        tid = sql.Identifier(self.table.tid_name)
        where.append(sql.SQL("{} = ANY(%s::{}[])").format(tid, sql.SQL(self.table.tid_type)))
        statement = sql.SQL(
            "SELECT {keys}, sum({value}), count(*), count({value}) FROM {relation} WHERE {where} GROUP BY {keys}"
        ).format(
            keys=sql.SQL(", ").join([*kept, sql.SQL("{}::text").format(tid)]),
            value=sql.Identifier(self.table.value_name),
            relation=self.table.identifier(),
            where=sql.SQL(" AND ").join(where),
        )
        named = dict(zip(self.values(question.periods), question.periods, strict=True))
        found: dict[Cell, float | None] = {}
        unclear: set[Cell] = set()
        for *key, value, rows, numbers in self._asked(statement, (*chosen.values(), list(named))):
            cell = (*key[:-1], named[key[-1]])
            found[cell] = value
            if 0 < numbers < rows or (rows > 1 and not numbers):
                unclear.add(cell)
        return found, unclear

    def sums(self, codes: Collection[str] | None) -> dict[str, tuple[int, int, int]]:
        """Period -> rows, numbers among them, and the sum of the numbers' 64 bits read as whole numbers.

        That sum is exact and the same in any order, which a sum of doubles is not: one that changed at all shows.

        Args:
            codes: of these periods; None = of all that are there.
        """
        # -0.0 + 0.0 is 0.0: two spellings of one number
        bits = sql.SQL(
            "count(*), count({value}),"
            " coalesce(sum(('x' || encode(float8send({value} + float8 '0'), 'hex'))::bit(64)::bigint), 0)"
        ).format(value=sql.Identifier(self.table.value_name))
        found = self._by_period(bits, codes)
        return {code: (rows, numbers, int(total)) for code, (rows, numbers, total) in found.items()}

    def repeated(self, codes: Collection[str] | None) -> dict[str, int]:
        """Period -> combinations of codes that more than one row has; periods without any are left out."""
        keys = [*(sql.Identifier(column.name) for column in self.table.columns), sql.Identifier(self.table.tid_name)]
        tid = sql.Identifier(self.table.tid_name)
        where, values = self._only(codes)
        statement = sql.SQL(
            "SELECT {tid}::text, count(*) FROM"
            " (SELECT {tid} FROM {relation}{where} GROUP BY {keys} HAVING count(*) > 1) again GROUP BY {tid}"
        ).format(tid=tid, relation=self.table.identifier(), where=where, keys=sql.SQL(", ").join(keys))
        return {self._code(text): int(count) for text, count in self._asked(statement, values)}

    def codes_of(self, column: str, codes: Collection[str] | None) -> set[str]:
        """The codes that rows of these periods have in a column."""
        where, values = self._only(codes)
        statement = sql.SQL("SELECT DISTINCT {} FROM {}{}").format(
            sql.Identifier(column), self.table.identifier(), where
        )
        return {code for (code,) in self._asked(statement, values)}

    def _by_period(self, what: str | sql.Composable, codes: Collection[str] | None) -> dict[str, tuple[Any, ...]]:
        where, values = self._only(codes)
        statement = sql.SQL("SELECT {tid}::text, {what} FROM {relation}{where} GROUP BY {tid}").format(
            tid=sql.Identifier(self.table.tid_name),
            what=sql.SQL(what) if isinstance(what, str) else what,
            relation=self.table.identifier(),
            where=where,
        )
        return {self._code(text): tuple(rest) for text, *rest in self._asked(statement, values)}

    def _only(self, codes: Collection[str] | None) -> tuple[sql.Composable, tuple[list[str], ...]]:
        if codes is None:
            return sql.SQL(""), ()
        where = sql.SQL(" WHERE {} = ANY(%s::{}[])").format(
            sql.Identifier(self.table.tid_name), sql.SQL(self.table.tid_type)
        )
        return where, (self.values(codes),)

    def _code(self, text: str) -> str:
        return self._named.get(text, text)

    @cached_property
    def _named(self) -> Mapping[str, str]:
        return dict(zip(self.values(self.codes), self.codes, strict=True))

    def _asked(self, statement: sql.Composable, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with postgres.transaction(self.connection, "read cells of", on=self.table.relation) as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())
