"""Columns of a fact table as Dagster's UI shows them.

What belongs here: the translation of a description and its target table into Dagster's column schema.
"""

from __future__ import annotations

from dagster import TableColumn, TableColumnConstraints, TableSchema

from varro_assets.engine.period_table import PeriodTable
from varro_assets.statbank.models import TableInfo, Variable

FEW_CODES = 4


def column_schema(info: TableInfo, table: PeriodTable) -> TableSchema:
    """Name, type and meaning of each column, with some of its codes."""
    described = {variable.id: variable for variable in info.dimensions}
    constraints = TableColumnConstraints(nullable=False)
    codes = [
        TableColumn(column.name, "text", description=_meaning(described[column.source]), constraints=constraints)
        for column in table.columns
    ]
    tid = TableColumn(
        table.tid_name, table.tid_type, description=f"Period: {len(info.tids)} published", constraints=constraints
    )
    value = TableColumn(
        table.value_name, "double precision", description=f"Value in {info.unit}; NULL = missing or confidential"
    )
    return TableSchema(columns=[*codes, tid, value])


def _meaning(variable: Variable) -> str:
    shown = ", ".join(f"{value.id} = {value.text}" for value in variable.values[:FEW_CODES])
    more = f", ... ({len(variable.values)} codes)" if len(variable.values) > FEW_CODES else ""
    return f"{variable.text}: {shown}{more}"
