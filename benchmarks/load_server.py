"""The embedded Postgres for the load benchmark: the product's own, durable, its settings untouched but for one.

`python -m benchmarks.load_server FOLDER` prints its settings as JSON once the warehouse is ready, and serves until its
standard input ends. Others reach it by its folder: see `endpoint`.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

from varro_assets import warehouse
from varro_assets.engine.server.provision import OWNER, WAREHOUSE, provision_embedded
from varro_assets.engine.server.server import EmbeddedServer
from varro_assets.engine.server.server_folder import Endpoint, read_record

SETTINGS = {"autovacuum": "off"}  # it would come in the middle of one contender's turn; `load_check` vacuums after each
SHOWN = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers",
         "maintenance_work_mem", "max_wal_size")  # fmt: skip


def endpoint(folder: Path) -> Endpoint:
    """Where the server of this folder answers."""
    return Endpoint(read_record(folder / "postgres").port or 0, folder / "postgres")


def main() -> None:
    folder = Path(sys.argv[1])
    with EmbeddedServer(folder / "postgres", SETTINGS).running() as found:
        warehouse.prepare(provision_embedded(found).url)
        with closing(found.connect(WAREHOUSE, OWNER)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT name, current_setting(name) FROM unnest(%s) AS name", (list(SHOWN),))
            print(json.dumps(dict(cursor.fetchall())), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
