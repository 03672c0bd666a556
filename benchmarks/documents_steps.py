"""What is measured of documents, each step in a process of its own that prints its figures as JSON.

`python -m benchmarks.documents_steps STEP FOLDER`, with FOLDER the home that `documents_home` serves. Imports and the
way to the database are not timed.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from benchmarks.documents_home import settings
from varro_assets.context import dimension_documents, documents, holdings, snapshot, subject_documents, table_documents
from varro_assets.context.cards import fact_columns
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.dimensions.links.linking import Linker
from varro_assets.engine import postgres
from varro_assets.settings import Settings
from varro_assets.simulator import Universe
from varro_assets.statbank import catalog
from varro_assets.statbank.sources import Sources, open_sources
from varro_assets.statbank.sync import sync_table
from varro_assets.statbank.sync_report import Observer
from varro_assets.warehouse import open_warehouse

LINKED = "FOLK1A"
"""The table that is published anew: joined to municipalities, as a third of all are."""


class Silent(Observer):
    """Hears everything and says nothing."""


def fill(home: Settings, sources: Sources, context: ContextSources) -> dict[str, Any]:
    """Bring in the catalogue, the classifications and every table."""
    del home
    catalogue = catalog.poll(sources.client, sources.catalogue).catalogue
    with _connection(context) as connection:
        for name in (listed.name.replace("-", "_") for listed in Universe.demo().classifications()):
            dimension_documents.fetch(context, connection, name)
    with ThreadPoolExecutor(2) as pool:
        rows = sum(pool.map(lambda table: sync_table(sources, table, Silent()).rows_written, catalogue.entries))
    with _connection(context) as connection:
        held = len(holdings.holdings(connection))
    return {"tables": held, "dimensions": len(context.library.all()), "rows": rows}


def write(home: Settings, sources: Sources, context: ContextSources) -> dict[str, Any]:
    """Write whatever is not as it should be."""
    del sources
    before = _files(home)
    start = time.perf_counter()
    report = documents.write(context)
    seconds = time.perf_counter() - start
    after = _files(home)
    return {
        "seconds": seconds,
        "held": report.held,
        "looked_at": len(report.tables),
        "files": len(after),
        "touched": sum(before.get(path) != moment for path, moment in after.items()),
        "removed": len(before.keys() - after.keys()),
        "documented": [path.stem for path in sorted(after) if "fact" in path.parts and before.get(path) != after[path]],
        "published": LINKED.lower(),
        "megabytes": sum(path.stat().st_size for path in after) / 1e6,
        "problems": list(report.problems.values())[:3],
    }


def publish(home: Settings, sources: Sources, context: ContextSources) -> dict[str, Any]:
    """A new period of one table comes out and is synced."""
    del context
    root = home.dst_api_url.rsplit("/", 1)[0]
    publication = {"kind": "publish_period", "table": LINKED}
    requests.post(f"{root}/_simulator/publish", json=publication, timeout=60).raise_for_status()
    catalog.poll(sources.client, sources.catalogue)
    return {"rows": sync_table(sources, LINKED, Silent()).rows_written}


def run(home: Settings, sources: Sources, context: ContextSources) -> dict[str, Any]:
    """What a table's own run does after its sync: its documents and the pages it stands on."""
    del home, sources
    start = time.perf_counter()
    with _connection(context) as connection:
        taken = snapshot.take(context, connection)
        holding = holdings.holdings(connection, [LINKED])[LINKED]
        done = table_documents.write(context, taken, connection, holding)
        pages = subject_documents.write_pages_of(context, taken, connection, LINKED)
    return {"seconds": time.perf_counter() - start, "changed": len(done.changed) + len(pages.changed)}


def link(home: Settings, sources: Sources, context: ContextSources) -> dict[str, Any]:
    """Propose links for every column of every table, and nothing else."""
    del home
    catalogue = sources.catalogue.read()
    assert catalogue
    dimensions = list(context.library.all().values())
    columns = [
        column for table in catalogue.entries for column in fact_columns(table_documents.describe(context, table))
    ]
    linker = Linker()
    start = time.perf_counter()
    links = [linker.propose(column, dimensions) for column in columns]
    return {
        "seconds": time.perf_counter() - start,
        "columns": len(columns),
        "dimensions": len(dimensions),
        "links": sum(found is not None for found in links),
    }


Step = Callable[[Settings, Sources, ContextSources], dict[str, Any]]
STEPS: dict[str, Step] = {"fill": fill, "write": write, "publish": publish, "run": run, "link": link}


def _files(home: Settings) -> dict[Path, int]:
    """Every document, value list and link file, and when it was last written."""
    return {
        path: path.stat().st_mtime_ns
        for folder in (home.context_dir, home.links_dir)
        for path in folder.rglob("*")
        if path.is_file()
    }


@contextlib.contextmanager
def _connection(context: ContextSources) -> Iterator[postgres.Connection]:
    with contextlib.closing(postgres.connect(context.warehouse, "benchmark")) as connection:
        yield connection


def main() -> None:
    step, home = sys.argv[1], settings(Path(sys.argv[2]))
    with open_warehouse(home) as warehouse:
        found = STEPS[step](home, open_sources(home, warehouse.url), open_context(home, warehouse.url))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
