"""Legacy files: what the predecessor would have written of a simulated table, by the very calls it made.

What belongs here: the way from a table to its extract as text, through pandas' guesses, to parquet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from varro_assets.simulator.table import Table


def frame(table: Table, periods: Iterable[str] | None = None) -> pd.DataFrame:
    """The table as pandas reads its extract: codes guessed to be numbers, `NA` an empty cell."""
    names = [*(dimension.id for dimension in table.dimensions), "TID", "INDHOLD"]
    lines = [";".join(names)]
    for period in table.periods if periods is None else periods:
        for row in table.rows(period):
            value = ".." if row[-1] is None else f"{row[-1]}".removesuffix(".0").replace(".", ",")
            lines.append(";".join([*map(str, row[:-1]), period, value]))
    return pd.read_csv(StringIO("\n".join(lines) + "\n"), sep=";", decimal=",", low_memory=False)


def write_whole(folder: Path, table: Table, periods: Iterable[str] | None = None) -> Path:
    """``<TABLE>.parquet``: the first layout."""
    path = folder / f"{table.id}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame(table, periods).to_parquet(path)
    return path


def write_part(folder: Path, table: Table, number: int, periods: Iterable[str]) -> Path:
    """``<TABLE>/partition_<n>.parquet``: the second."""
    path = folder / table.id / f"partition_{number}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame(table, periods).to_parquet(path)
    return path


def write_periods(folder: Path, table: Table, periods: Iterable[str] | None = None) -> list[Path]:
    """``<TABLE>/<Tid>.parquet``: the third: groups of one frame, with its row numbers."""
    whole, written = frame(table), []
    wanted = list(table.periods if periods is None else periods)
    for period in wanted:
        path = folder / table.id / f"{quote(period, safe='')}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        whole[whole["TID"].astype(str) == period].to_parquet(path)
        written.append(path)
    return written


def write_state(folder: Path, **publications: str) -> None:
    """``_sync/state.json``."""
    (folder / "_sync").mkdir(parents=True, exist_ok=True)
    tables = {table: {"last_seen_updated": updated, "last_status": "synced"} for table, updated in publications.items()}
    state = {"last_catalog_poll_at": None, "last_run_id": None, "tables": tables}
    (folder / "_sync" / "state.json").write_text(json.dumps(state), encoding="utf-8")
