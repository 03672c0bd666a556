"""The ways from a BULK body to one parquet file per period, each run in a process of its own.

`python -m benchmarks.bulk_contenders NAME SIZE SOURCE FOLDER` prints {"seconds": ..}. SOURCE is a URL or a file. A
contender's function imports what it needs and returns what is timed, so that no import is.
"""

from __future__ import annotations

import io
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.bulk_data import COLUMNS, SIZES, TABLE, Size

Timed = Callable[[], Any]
CODES = COLUMNS[:-1]


def chunks(source: str) -> Iterator[bytes]:
    """The body as it comes."""
    if source.startswith("http:"):
        import requests

        with requests.get(source, stream=True, timeout=60) as response:
            yield from response.iter_content(1 << 18)
    else:
        with Path(source).open("rb", buffering=0) as file:
            while data := file.read(1 << 18):
                yield data


def as_file(source: str, folder: Path) -> str:
    """For those that read files only: the body saved first, which is part of their time."""
    if not source.startswith("http:"):
        return source
    path = folder.with_suffix(".download")
    with path.open("wb") as file:
        file.writelines(chunks(source))
    return str(path)


def predecessor(_size: Size, source: str, folder: Path) -> Timed:
    """The original pipeline: all of it as text, then as one frame; run under the pandas of its time."""
    import pandas as pd
    import pyarrow.parquet  # noqa: F401 - what to_parquet would import
    import requests

    def work() -> None:
        if source.startswith("http:"):
            text = requests.get(source, timeout=60).text
        else:
            text = Path(source).read_text(encoding="utf-8")
        frame = pd.read_csv(io.StringIO(text), sep=";", decimal=",")
        for tid, group in frame.groupby("TID"):
            group.to_parquet(folder / f"{tid}.parquet")

    return work


def duckdb(_size: Size, source: str, folder: Path) -> Timed:
    """COPY PARTITION_BY."""
    import duckdb

    kinds = ", ".join(f"'{name}': 'VARCHAR'" for name in CODES)

    def work() -> None:
        path = as_file(source, folder)
        duckdb.sql(
            f"COPY (SELECT * FROM read_csv('{path}', delim=';', header=true, quote='', nullstr='..', "
            f"decimal_separator=',', columns={{{kinds}, 'INDHOLD': 'DOUBLE'}})) "
            f"TO '{folder}' (FORMAT parquet, PARTITION_BY (TID), COMPRESSION zstd, OVERWRITE_OR_IGNORE)"
        )

    return work


def polars(_size: Size, source: str, folder: Path) -> Timed:
    """Partitioned sink of a lazy scan."""
    import polars as pl

    def work() -> None:
        schema = {**dict.fromkeys(CODES, pl.String), "INDHOLD": pl.Float64}
        scan = pl.scan_csv(
            as_file(source, folder),
            separator=";",
            quote_char=None,
            schema=schema,
            null_values={"INDHOLD": ".."},
            empty_string_is_null=False,
            decimal_comma=True,
        )
        scan.sink_parquet(pl.PartitionBy(folder, key="TID", include_key=True), compression_level=1, mkdir=True)

    return work


def _csv_options() -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    text = pa.dictionary(pa.int32(), pa.string())
    kinds = {**dict.fromkeys(CODES, text), "INDHOLD": pa.float64()}
    return {
        "parse_options": arrow_csv.ParseOptions(delimiter=";", quote_char=False),
        "convert_options": arrow_csv.ConvertOptions(
            column_types=kinds, null_values=[".."], strings_can_be_null=False, decimal_point=","
        ),
    }


def pyarrow(_size: Size, source: str, folder: Path) -> Timed:
    """open_csv and one writer per period, all open to the end."""
    import pandas as pd  # noqa: F401 - pyarrow imports it when first given an array
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as arrow_csv
    import pyarrow.parquet as pq
    import requests

    def work() -> None:
        body: Any = source
        if source.startswith("http:"):
            body = requests.get(source, stream=True, timeout=60).raw
        writers: dict[str, pq.ParquetWriter] = {}
        for batch in arrow_csv.open_csv(body, **_csv_options()):
            time_column = batch.column("TID")
            for number, tid in enumerate(time_column.dictionary.to_pylist()):
                part = batch.filter(pc.equal(time_column.indices, number))
                if tid not in writers:
                    writers[tid] = pq.ParquetWriter(
                        folder / f"{tid}.parquet", part.schema, compression="zstd", compression_level=1,
                        store_schema=False,
                    )  # fmt: skip
                writers[tid].write_table(pa.Table.from_batches([part]))
        for writer in writers.values():
            writer.close()

    return work


def ours(size: Size, source: str, folder: Path) -> Timed:
    """The product: everything a sync does between the response and files that survive a power cut."""
    import pandas as pd  # noqa: F401 - pyarrow imports it when first given an array

    from varro_assets.engine.partitions import PartitionStore
    from varro_assets.statbank import bulk

    extract = bulk.Extract(TABLE, COLUMNS, size.codes, tuple(size.periods), "2024", "shape", "2024")
    store = PartitionStore(folder, TABLE)

    def work() -> None:
        with store.staging() as staging:
            store.promote_all(bulk.split(chunks(source), extract, staging).values())

    return work


# -- limits: each does a part of the work only ---------------------------------------------------------------------


def read_alone(_size: Size, source: str, _folder: Path) -> Timed:
    """The bytes, thrown away."""
    import requests  # noqa: F401 - imported before the clock starts

    return lambda: sum(map(len, chunks(source)))


def parse_alone(_size: Size, source: str, _folder: Path) -> Timed:
    """pyarrow's own parallel reader, into dictionaries; nothing is split or written."""
    import pyarrow.csv as arrow_csv

    options = _csv_options()
    return lambda: arrow_csv.read_csv(source, **options)


def write_alone(size: Size, source: str, folder: Path) -> Timed:
    """Periods that lie ready in memory, to files like ours; no order, hash, check or fsync."""
    import pandas as pd  # noqa: F401 - pyarrow imports it when first given an array
    import pyarrow as pa
    import pyarrow.csv as arrow_csv
    import pyarrow.parquet as pq

    whole = arrow_csv.read_csv(source, **_csv_options()).unify_dictionaries().combine_chunks()
    ends = whole.column("TID").combine_chunks().indices.to_numpy().searchsorted(range(len(size.periods) + 1))
    parts = [whole.slice(start, stop - start) for start, stop in itertools.pairwise(ends)]

    def write(part: tuple[str, pa.Table]) -> None:
        tid, rows = part
        with pq.ParquetWriter(
            folder / f"{tid}.parquet", rows.schema, compression="zstd", compression_level=1, store_schema=False,
            write_statistics=["TID"], write_page_checksum=True,
        ) as writer:  # fmt: skip
            writer.write_table(rows)

    def work() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, zip(size.periods, parts, strict=True)))

    return work


CONTENDERS = {way.__name__: way for way in (predecessor, duckdb, polars, pyarrow, ours)}
# the predecessor's lines under today's pandas, which reads text twice as fast and stores no index of a group
CONTENDERS["pandas"] = predecessor
LIMITS = {way.__name__: way for way in (read_alone, parse_alone, write_alone)}


def main() -> None:
    name, size, source, folder = sys.argv[1:]
    work = (CONTENDERS | LIMITS)[name](SIZES[size], source, Path(folder))
    start = time.perf_counter()
    work()
    print(json.dumps({"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
