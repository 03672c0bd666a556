"""The ways from parquet per period into an indexed Postgres table, each run in a process of its own.

`python -m benchmarks.load_contenders TASK NAME FOLDER REVISION` prints {"seconds": .., "grown": .., "wal": ..}: its
time, connecting included; by how many MB this process grew meanwhile; the MB of log that the server wrote ahead. A
way's function imports what it needs and returns what is timed, so that no import is.

`replace`: the periods of a revision take the place of those in the table, in one transaction. `first`: a table that
does not exist yet is filled with all periods and gets its indexes. `unchanged`: finding out that there is nothing to
load (connected before). `prepare`: what the others need.
"""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import load_data
from benchmarks.load_data import SOURCE_COLUMNS, TARGET_COLUMNS
from benchmarks.load_server import endpoint
from varro_assets.engine import postgres
from varro_assets.engine.period_table import PeriodTables
from varro_assets.engine.server.postmaster import binary
from varro_assets.engine.server.provision import OWNER, WAREHOUSE

Timed = Callable[[], Any]
REPLACE, FIRST = "bench_replace", "bench_first"
NAMES = ", ".join(TARGET_COLUMNS)
TYPES = ", ".join([*(f'{name} text COLLATE "C" NOT NULL' for name in TARGET_COLUMNS[:4]),
                   "tid date NOT NULL", "indhold double precision"])  # fmt: skip
INDEXES = [f"CREATE INDEX ON fact.{FIRST} ({name})" for name in TARGET_COLUMNS[:5]]
DELETE = f"DELETE FROM fact.{REPLACE} WHERE tid = ANY(%s::date[])"


class Job:
    """What every way is given."""

    def __init__(self, folder: Path, revision: int) -> None:
        self.folder, self.revision = folder, revision
        self.endpoint = endpoint(folder)
        self.store = load_data.store(folder, revision)
        self.tids = {path.stem: load_data.tid(path.stem) for path in sorted(self.store.folder.glob("*.parquet"))}
        self.paths = [str(self.store.path(period)) for period in self.tids]
        self.url = self.endpoint.url(WAREHOUSE, OWNER)

    @contextmanager
    def cursor(self) -> Iterator[postgres.Cursor]:
        """One transaction on a new connection."""
        with closing(self.endpoint.connect(WAREHOUSE, OWNER)) as connection, connection, connection.cursor() as cursor:
            yield cursor

    def psql(self, *statements: str) -> Timed:
        """These in one transaction, by the server's own client."""
        command = [binary("psql"), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", WAREHOUSE, "-U", OWNER]
        command += ["-h", self.endpoint.host, "-p", str(self.endpoint.port)]
        command += [word for statement in statements for word in ("-c", statement)]
        secret = {"PGPASSWORD": self.endpoint.password(OWNER).get_secret_value()}
        return lambda: subprocess.run(command, check=True, env={**os.environ, **secret})

    def delete(self) -> str:
        values = ", ".join(f"'{value}'" for value in self.tids.values())
        return f"DELETE FROM fact.{REPLACE} WHERE tid IN ({values})"


# -- replace -------------------------------------------------------------------------------------------------------


def psql_text(job: Job) -> Timed:
    """Prepared text: the limit for anything that must make it first."""
    return job.psql(job.delete(), rf"\copy fact.{REPLACE} FROM '{job.folder}/revision-{job.revision}.csv' (FORMAT csv)")


def psql_binary(job: Job) -> Timed:
    """Prepared binary."""
    file = f"{job.folder}/revision-{job.revision}.binary"
    return job.psql(job.delete(), rf"\copy fact.{REPLACE} FROM '{file}' (FORMAT binary)")


def _warm() -> None:
    import pandas as pd  # noqa: F401 - pyarrow imports it when first given an array
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401


def ours(job: Job) -> Timed:
    """The product."""
    _warm()

    def work() -> None:
        with closing(postgres.connect(job.url, "bench")) as connection:
            PeriodTables(connection).replace(job.store, load_data.table(REPLACE), load_data.loads(job.store))

    return work


def _processed(paths: list[str], tids: dict[str, str]) -> Any:
    """The original pipeline's frame: codes as stripped strings, a typed period, a number."""
    import pandas as pd

    frame = pd.concat([pd.read_parquet(path).assign(tid=tids[Path(path).stem]) for path in paths], ignore_index=True)
    frame = frame.rename(
        columns=dict(zip((*SOURCE_COLUMNS[:4], "INDHOLD"), (*TARGET_COLUMNS[:4], "indhold"), strict=True))
    )
    for name in TARGET_COLUMNS[:4]:
        frame[name] = frame[name].astype(str).str.strip()
    frame["tid"] = pd.to_datetime(frame["tid"]).dt.date
    frame["indhold"] = pd.to_numeric(frame["indhold"], errors="coerce")
    return frame[list(TARGET_COLUMNS)]


def _stage(cursor: postgres.Cursor, frame: Any, relation: str) -> None:
    text = io.StringIO()
    frame.to_csv(text, sep="\t", index=False, header=False, na_rep="\\N")
    text.seek(0)
    cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS staged (LIKE {relation}) ON COMMIT DROP")
    cursor.execute("TRUNCATE staged")
    cursor.copy_expert(f"COPY staged ({NAMES}) FROM STDIN", text)


def predecessor(job: Job) -> Timed:
    """The original pipeline: pandas, a temporary table, the period compared as text."""
    _warm()

    def work() -> None:
        frame = _processed(job.paths, job.tids)
        with job.cursor() as cursor:
            _stage(cursor, frame, f"fact.{REPLACE}")
            cursor.execute(f"DELETE FROM fact.{REPLACE} WHERE tid::text = ANY(%s)", (list(job.tids.values()),))
            cursor.execute(f"INSERT INTO fact.{REPLACE} ({NAMES}) SELECT {NAMES} FROM staged")

    return work


def _copy(job: Job, text: Any) -> None:
    with job.cursor() as cursor:
        cursor.execute(DELETE, (list(job.tids.values()),))
        cursor.copy_expert(f"COPY fact.{REPLACE} ({NAMES}) FROM STDIN (FORMAT csv)", text, size=1 << 20)


def polars(job: Job) -> Timed:
    """Polars writes the text, the rest is as ours."""
    import polars as pl

    def work() -> None:
        frames = [
            pl.read_parquet(path).with_columns(pl.lit(tid).alias("tid"))
            for path, tid in zip(job.paths, job.tids.values(), strict=True)
        ]
        text = io.BytesIO()
        pl.concat(frames).select([*SOURCE_COLUMNS[:4], "tid", "INDHOLD"]).write_csv(text, include_header=False)
        text.seek(0)
        _copy(job, text)

    return work


def duckdb(job: Job) -> Timed:
    """DuckDB writes the text to a file; its own writer to Postgres is an extension that is not in the wheel."""
    import duckdb

    codes = ", ".join(f'"{name}"' for name in SOURCE_COLUMNS[:4])
    arms = " UNION ALL ".join(
        f"SELECT {codes}, '{tid}', INDHOLD FROM read_parquet('{path}')"
        for path, tid in zip(job.paths, job.tids.values(), strict=True)
    )

    def work() -> None:
        path = job.folder / "duckdb.csv"
        duckdb.sql(f"COPY ({arms}) TO '{path}' (FORMAT csv, HEADER false)")
        with path.open("rb") as text:
            _copy(job, text)

    return work


def to_sql(job: Job) -> Timed:
    """pandas as most people use it."""
    import sqlalchemy

    _warm()
    target = sqlalchemy.create_engine(job.url.get_secret_value())

    def work() -> None:
        frame = _processed(job.paths, job.tids)
        with target.begin() as connection:
            connection.exec_driver_sql(DELETE, (list(job.tids.values()),))
            frame.to_sql(REPLACE, connection, schema="fact", if_exists="append", index=False)

    return work


def adbc(job: Job) -> Timed:
    """Arrow's own driver, binary COPY."""
    import adbc_driver_postgresql.dbapi as driver
    import pyarrow as pa
    import pyarrow.parquet as pq

    _warm()

    def read(path: str, tid: str) -> pa.Table:
        rows = pq.read_table(path)
        rows = rows.append_column("tid", pa.repeat(pa.scalar(tid).cast(pa.date32()), rows.num_rows))
        return rows.select([*SOURCE_COLUMNS[:4], "tid", "INDHOLD"]).rename_columns(TARGET_COLUMNS)

    def work() -> None:
        rows = pa.concat_tables(map(read, job.paths, job.tids.values()))
        url = job.url.get_secret_value().replace("+psycopg2", "")
        with driver.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(job.delete())
            cursor.adbc_ingest(REPLACE, rows, mode="append", db_schema_name="fact")
            connection.commit()

    return work


# -- first load ----------------------------------------------------------------------------------------------------


def first_psql(job: Job) -> Timed:
    """Prepared text, then the indexes."""
    copy = rf"\copy fact.{FIRST} FROM '{job.folder}/held.csv' (FORMAT csv)"
    return job.psql(f"CREATE TABLE fact.{FIRST} ({TYPES})", copy, *INDEXES, f"ANALYZE fact.{FIRST}")


def first_psql_indexed(job: Job) -> Timed:
    """Prepared text into a table that has its indexes: what the order of the steps alone costs."""
    copy = rf"\copy fact.{FIRST} FROM '{job.folder}/held.csv' (FORMAT csv)"
    return job.psql(f"CREATE TABLE fact.{FIRST} ({TYPES})", *INDEXES, copy, f"ANALYZE fact.{FIRST}")


def first_ours(job: Job) -> Timed:
    """The product."""
    _warm()
    held = load_data.store(job.folder)

    def work() -> None:
        with closing(postgres.connect(job.url, "bench")) as connection:
            PeriodTables(connection).rebuild(held, load_data.table(FIRST), load_data.loads(held))

    return work


def first_predecessor(job: Job) -> Timed:
    """The original pipeline: indexes first, then batches of ten periods; its DELETE is left out, in its favour."""
    _warm()
    held = load_data.store(job.folder)

    def work() -> None:
        with job.cursor() as cursor:
            cursor.execute("; ".join([f"CREATE TABLE fact.{FIRST} ({TYPES})", *INDEXES]))
        periods = held.periods()
        for start in range(0, len(periods), 10):
            tids = {period: load_data.tid(period) for period in periods[start : start + 10]}
            frame = _processed([str(held.path(period)) for period in tids], tids)
            with job.cursor() as cursor:
                _stage(cursor, frame, f"fact.{FIRST}")
                cursor.execute(f"INSERT INTO fact.{FIRST} ({NAMES}) SELECT {NAMES} FROM staged")

    return work


# -- unchanged -----------------------------------------------------------------------------------------------------


def unchanged_period(job: Job) -> Timed:
    """One period that is loaded already: its file's footer, and what the database says of it."""
    _warm()
    held, tables = load_data.store(job.folder), PeriodTables(postgres.connect(job.url, "bench"))
    period = held.periods()[-1]

    def work() -> None:
        load = load_data.Load(held.info(period), load_data.tid(period))
        oid = tables.oid(("fact", REPLACE))
        assert tables.is_loaded(load, oid, tables.loaded(REPLACE))

    return work


def unchanged_table(job: Job) -> Timed:
    """All periods, as a sync ends that found nothing new."""
    from varro_assets.statbank.loading import FactLoader

    _warm()
    unused: Any = None  # the description: what is loaded does not depend on it
    held, tables = load_data.store(job.folder), PeriodTables(postgres.connect(job.url, "bench"))
    loader = FactLoader(tables, held, unused, load_data.table(REPLACE))

    def work() -> None:
        assert loader.load_all(held.infos()) == 0

    return work


# -- prepare -------------------------------------------------------------------------------------------------------


def prepare_table(job: Job) -> Timed:
    """The table whose periods are replaced, and the revisions as binary."""
    _warm()
    held = load_data.store(job.folder)

    def work() -> None:
        with closing(postgres.connect(job.url, "bench")) as connection:
            PeriodTables(connection).rebuild(held, load_data.table(REPLACE), load_data.loads(held))
        for revision in load_data.REVISIONS:
            path = job.folder / f"revision-{revision}.csv"
            with job.cursor() as cursor, path.open("rb") as text, path.with_suffix(".binary").open("wb") as prepared:
                cursor.execute(f"CREATE TEMP TABLE revision (LIKE fact.{REPLACE}) ON COMMIT DROP")
                cursor.copy_expert("COPY revision FROM STDIN (FORMAT csv)", text)
                cursor.copy_expert("COPY revision TO STDOUT (FORMAT binary)", prepared)

    return work


# -- measuring -----------------------------------------------------------------------------------------------------

TASKS: dict[str, dict[str, Callable[[Job], Timed]]] = {
    "replace": {way.__name__: way for way in (psql_text, psql_binary, ours, predecessor, polars, duckdb, to_sql, adbc)},
    "first": {
        way.__name__.removeprefix("first_"): way
        for way in (first_psql, first_psql_indexed, first_ours, first_predecessor)
    },
    "unchanged": {way.__name__.removeprefix("unchanged_"): way for way in (unchanged_period, unchanged_table)},
    "prepare": {"table": prepare_table},
}


class Growth:
    """By how many MB this process grew at most, since it was made."""

    def __init__(self) -> None:
        if self._on_linux:
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        self._start = self._peak()

    _on_linux = sys.platform == "linux"

    def _peak(self) -> float:
        if self._on_linux:
            fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            return int(fields["VmHWM"].split()[0]) / 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)

    def so_far(self) -> float:
        return self._peak() - self._start


def wal(job: Job) -> float:
    """MB of write-ahead log since the server was made."""
    with job.cursor() as cursor:
        cursor.execute("SELECT (pg_current_wal_insert_lsn() - '0/0') / 1e6")
        return float((cursor.fetchone() or (0,))[0])


def main() -> None:
    task, name, folder, revision = sys.argv[1:]
    job = Job(Path(folder), int(revision))
    work = TASKS[task][name](job)
    before, growth, start = wal(job), Growth(), time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "grown": growth.so_far(), "wal": wal(job) - before}))


if __name__ == "__main__":
    main()
