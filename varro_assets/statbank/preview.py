"""Preview: some rows of a table as people read them.

What belongs here: a few rows of a period file with the publisher's labels, as Markdown. Documents are `context`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.statbank.models import TIME_COLUMN, VALUE_COLUMN, TableInfo

ROWS = 10
LONGEST_LABEL = 48
"""Characters of a label; a table of ten rows then stays below some 6 KB."""


def preview(store: PartitionStore, info: TableInfo, held: Mapping[str, PartitionInfo], rows: int = ROWS) -> str:
    """The first rows, in the order they are stored in, of the newest period that has any.

    Args:
        store: the table's period files.
        info: whose labels.
        held: its periods, oldest first.
        rows: how many at most.

    Returns:
        A Markdown table: label and code of each variable, period, value (``..`` where it is missing); a sentence where
        no period has a row.

    Raises:
        DamagedPartition: the file cannot be read.
    """
    newest = next((code for code in reversed(list(held)) if held[code].rows), None)
    if newest is None:
        return "No held period has a row."
    labels = {variable.id: {value.id: value.text for value in variable.values} for variable in info.dimensions}
    titles = {variable.id: variable.text for variable in info.variables} | {VALUE_COLUMN: info.unit or VALUE_COLUMN}
    batch = next(iter(store.batches(newest, rows)))
    names = [name for name in batch.schema.names if name not in {TIME_COLUMN, VALUE_COLUMN}]
    lines = [_line([titles.get(name, name) for name in names] + [titles[VALUE_COLUMN]])]
    lines.append("|---" * len(names) + "|---:|")
    columns = [batch.column(name).to_pylist() for name in names]
    for *codes, value in zip(*columns, batch.column(VALUE_COLUMN).to_pylist(), strict=True):
        cells = [_cell(code, labels.get(name, {}).get(code, "")) for name, code in zip(names, codes, strict=True)]
        lines.append(_line([*cells, ".." if value is None else f"{value:.15g}"]))
    return f"{newest}, {len(lines) - 2} of {held[newest].rows:,} rows\n\n" + "\n".join(lines)


def _cell(code: str, label: str) -> str:
    short = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 3]}..."
    return f"{short} ({code})" if short and short != code else code


def _line(cells: Sequence[str]) -> str:
    # a label may hold a bar or a new line
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
