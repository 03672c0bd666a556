"""What is really in a folder of parquet files, for comparison with what was put in.

`python -m benchmarks.bulk_check FOLDER` prints the facts of `bulk_data` as found, and how many schemas there are.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main() -> None:
    rows, nulls, leading_zeros, size, sums = 0, 0, 0, 0, []
    schemas = set()
    for path in Path(sys.argv[1]).rglob("*.parquet"):
        with pq.ParquetFile(path) as file:
            schemas.add(str(file.schema_arrow.remove_metadata()))
            table = file.read(["OMRÅDE", "INDHOLD"])
        values = table.column("INDHOLD")
        numeric = pa.types.is_floating(values.type)
        rows += table.num_rows
        nulls += values.null_count
        sums.append((pc.sum(values).as_py() or 0.0) if numeric else math.nan)
        areas = pc.cast(table.column("OMRÅDE"), pa.string())
        leading_zeros += pc.sum(pc.starts_with(areas, "0")).as_py() or 0
        size += path.stat().st_size
    facts = {"rows": rows, "nulls": nulls, "total": math.fsum(sums), "leading_zeros": leading_zeros, "bytes": size}
    print(json.dumps({**facts, "schemas": len(schemas)}))


if __name__ == "__main__":
    main()
