"""A home for the benchmark of documents: the simulated full catalogue and the product's own Postgres, both running.

`python -m benchmarks.documents_home FOLDER TABLES` prints the publisher's address as JSON once both answer, and serves
until its standard input ends. Others open the home with `settings`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from varro_assets.settings import Settings
from varro_assets.simulator import Simulator, Universe
from varro_assets.warehouse import open_warehouse

ADDRESS = "publisher.json"


def settings(folder: Path) -> Settings:
    """Of the home, with nothing of the user's own."""
    publisher = json.loads((folder / ADDRESS).read_text(encoding="utf-8"))
    home = {name: folder / name.removesuffix("_dir") for name in ("data_dir", "context_dir", "dagster_home")}
    nobody = {"database_url": None, "dagster_database_url": None}
    pace = {"dst_api_sleep_seconds": 0.0, "dst_api_timeout_seconds": 60.0}
    return Settings.load(folder).model_copy(update={**home, **nobody, **pace, **publisher})


def main() -> None:
    folder, tables = Path(sys.argv[1]), int(sys.argv[2])
    with Simulator(Universe.catalogue(tables)) as simulator:
        publisher = {
            "dst_api_url": simulator.url,
            "dst_site_url": simulator.site_url,
            "geo_url": simulator.geo_url,
        }
        (folder / ADDRESS).write_text(json.dumps(publisher), encoding="utf-8")
        with open_warehouse(settings(folder)):
            print(json.dumps(publisher), flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
