"""What is really in a loaded table, for comparison with what was put in; and the table made ready for the next turn.

`python -m benchmarks.load_check FOLDER TABLE SINCE` prints the facts of `load_data` as found, and a digest of the rows
from that day on; with `drop` behind it the table is dropped afterwards.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

from benchmarks.load_server import endpoint
from varro_assets.engine.server.provision import WAREHOUSE

FACTS = """
SELECT json_build_object(
    'rows', count(*),
    'nulls', count(*) - count(indhold),
    'halves', (2 * coalesce(sum(indhold), 0))::bigint,
    'leading_zeros', count(*) FILTER (WHERE omrade LIKE '0%%'),
    'digest', sum(hashtextextended(concat_ws('|', omrade, alder, branche, herkomst, tid, indhold), 0)::numeric)
        FILTER (WHERE tid >= %s)::text)
  FROM fact.{}
"""
INDEXES = "SELECT count(*) FROM pg_index WHERE indrelid = 'fact.{}'::regclass"


def main() -> None:
    folder, table, since = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    with closing(endpoint(folder).connect(WAREHOUSE)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(FACTS.format(table), (since,))
        (facts,) = cursor.fetchone() or ({},)
        cursor.execute(INDEXES.format(table))
        (facts["indexes"],) = cursor.fetchone() or (0,)
        # space and index entries of the rows just replaced are free again, nothing waits to be written
        cursor.execute(f"DROP TABLE fact.{table}" if "drop" in sys.argv[4:] else f"VACUUM fact.{table}")
        cursor.execute("CHECKPOINT")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
