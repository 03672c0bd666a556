"""Backup and restore: what a home holds that nobody publishes any more, or that people wrote, as one file.

What belongs here: which folders and records go into a backup, and where they go when they come back. The file itself is
the engine's (`backup_file`).
"""

from __future__ import annotations

import contextlib
import csv
import io
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from psycopg2 import sql
from rich.markup import escape

from varro_assets.cli.documenting import refresh
from varro_assets.cli.migrating import Telling
from varro_assets.cli.progress import counted, size, table_bar
from varro_assets.cli.session import Session, session
from varro_assets.context.sources import open_context
from varro_assets.dimensions.classifications import registry
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.engine import backup_file, clock, postgres, staged_folder
from varro_assets.engine.backup_file import Backup, Writer
from varro_assets.engine.disk import fsync
from varro_assets.engine.locks import table_lock
from varro_assets.engine.postgres import Connection
from varro_assets.engine.revisions import revision_record
from varro_assets.engine.server.provision import Warehouse
from varro_assets.errors import ConfigurationError, DamagedBackup, TableBusy, VarroError
from varro_assets.settings import FOLLOW_FILE, Settings
from varro_assets.statbank import manifest, models
from varro_assets.statbank import sync as syncs
from varro_assets.statbank.proof import health
from varro_assets.statbank.sources import Sources

WAIT_SECONDS = 600.0
"""How long a backup waits, at its end, for a table that is being synced."""
_RECORDS = ("period_read", "revision")
"""Tables of schema meta that no file holds; all others follow from the files."""
_HOME_FILES = (FOLLOW_FILE, registry.FILE_NAME)
_FEW = 3
"""Damages of one table that are named."""
_HISTORY = "Dagster's run history is not in it; what is held is reported to Dagster again by a restore."


@dataclass(frozen=True)
class Places:
    """Where the parts of a backup lie in a home."""

    folders: Mapping[str, Path]
    home: Path
    tables: Path
    revisions: Path

    @classmethod
    def of(cls, settings: Settings) -> Places:
        """By the settings."""
        folders = {"dst": settings.dst_dir, "context": settings.context_dir, "admin_regions": settings.boundaries_dir}
        return cls(folders, settings.home, settings.tables_dir, settings.revisions_dir)

    def of_table(self, table: str) -> dict[str, Path]:
        """Name in a backup -> folder, of what belongs to one table alone."""
        dst = self.folders["dst"]
        return {
            f"dst/{folder.relative_to(dst).as_posix()}/{table}": folder / table
            for folder in (self.tables, self.revisions)
        }

    def is_of_table(self, path: Path) -> bool:
        """Whether it is a folder of one table alone; the predecessor's files lie beside them, under other names."""
        ours = path.parent in (self.tables, self.revisions) and models.TABLE_ID.fullmatch(path.name)
        return bool(ours) and path.is_dir()


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A new file; compressed if it ends in .gz or .tgz.", metavar="FILE")],
) -> None:
    """Write all that cannot be had again into one file: periods, revisions, links, notes, varro.toml. Never .env.

    Each table is copied under its lock, so syncs may go on meanwhile. What is damaged is copied as it lies and named,
    and the exit code is 1.
    """
    here = session(context)
    damaged: dict[str, list[str]] = {}
    with here.sources() as (settings, _warehouse, sources):
        target = file.expanduser().absolute()
        places = Places.of(settings)
        with (
            contextlib.closing(postgres.connect(sources.warehouse, "backup")) as connection,
            backup_file.writing(target) as writer,
        ):
            # before the tables, which take long: a name that no backup can hold is refused here
            _add_shared(writer, places)
            tables = _tables(places, connection)
            writer.made.about |= {"made_at": clock.now().isoformat(timespec="seconds"), "tables": tables}
            with _bar(here, len(tables)) as advance, contextlib.closing(_each_locked(sources, tables)) as locked:
                for table in locked:
                    _add_table(writer, places, connection, table)
                    if found := health.damage(sources, table, connection):
                        damaged[table] = [finding.what for finding in found]
                    advance(table)
        made = writer.made
        here.say(f"{counted(len(tables), 'table')}, {counted(len(made.entries), 'file')}, {size(made.bytes)}:")
        here.say(escape(str(target)), whole=True)
        here.say(_HISTORY)
    if damaged:
        _say_damaged(here, damaged)
        raise typer.Exit(1)


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Written by varro backup.", metavar="FILE")],
    table: Annotated[str | None, typer.Option(help="Bring back just this table, of which nothing is held.")] = None,
) -> None:
    """Bring a backup back into a home that is empty, then fill the warehouse from it. Asks the publisher for nothing.

    The whole file is verified before anything is written. Into another folder: varro --home FOLDER restore FILE.
    """
    here = session(context)
    source = file.expanduser().absolute()
    found = backup_file.verified(source)
    places = Places.of(here.settings)
    name = models.table_id(table) if table else None
    _check_names(source, found, name)
    # of several tables at once each stages and sweeps its own, under its lock; everything at once only alone
    only = staged_folder.alone(places.folders["dst"].parent, shared=name is not None)
    with here.sources() as (settings, warehouse, sources), only:
        if name is None:
            staged_folder.refuse_unless_free(places.folders.values())
            _bring_all(source, found, places)
            tables = _tables_in(found)
        else:
            with table_lock(sources.warehouse, name):
                staged_folder.refuse_unless_free(places.of_table(name).values())
                _bring_table(source, found, places, name)
            tables = [name]
        _bring_records(source, found, sources, tables)
        here.say(f"Restored {counted(len(tables), 'table')} from {escape(str(source))}", whole=True)
        failed = _fill(here, settings, warehouse, sources, tables)
    if failed:
        raise typer.Exit(1)


# -- what goes in --------------------------------------------------------------------------------------------------


def _tables(places: Places, connection: Connection) -> list[str]:
    """Every table that a file or a record speaks of."""
    found = {
        path.name
        for folder in (places.tables, places.revisions)
        if folder.is_dir()
        for path in folder.iterdir()
        if places.is_of_table(path)
    }
    with postgres.transaction(connection, "read which tables are recorded") as cursor:
        for name in _RECORDS:
            cursor.execute(sql.SQL("SELECT DISTINCT table_id FROM {}").format(sql.Identifier("meta", name)))
            found |= {row[0] for row in cursor.fetchall()}
    return sorted(found)


def _each_locked(sources: Sources, tables: Sequence[str]) -> Generator[str]:
    """Every table once, locked until the next is asked for; those that others hold come last, and are waited for."""
    busy = []
    for table in tables:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(table_lock(sources.warehouse, table))
            except TableBusy:
                busy.append(table)
            else:
                yield table
    for table in busy:
        with table_lock(sources.warehouse, table, wait=WAIT_SECONDS):
            yield table


def _add_table(writer: Writer, places: Places, connection: Connection, table: str) -> None:
    for name, folder in places.of_table(table).items():
        _add_folder(writer, name, folder)
    for record in _RECORDS:
        content = io.BytesIO()
        statement = sql.SQL("COPY (SELECT * FROM {} WHERE table_id = {}) TO STDOUT (FORMAT csv, HEADER)").format(
            sql.Identifier("meta", record), sql.Literal(table)
        )
        with postgres.transaction(connection, f"copy {record} of", on=table) as cursor:
            cursor.copy_expert(statement, content)
        writer.add_bytes(f"meta/{table}/{record}.csv", content.getvalue())


def _add_shared(writer: Writer, places: Places) -> None:
    """All but the folders of tables: each file is replaced whole, so it is of some moment while this runs."""
    for name, folder in places.folders.items():
        _add_folder(writer, name, folder, without=places.is_of_table)
    for name in _HOME_FILES:
        if (places.home / name).is_file():
            writer.add(f"home/{name}", places.home / name)


def _add_folder(writer: Writer, name: str, folder: Path, without: Callable[[Path], bool] = lambda _path: False) -> None:
    for path in _files(folder, without):
        # what somebody takes away in the meantime is not there to be kept
        with contextlib.suppress(FileNotFoundError):
            writer.add(f"{name}/{path.relative_to(folder).as_posix()}", path)


def _files(folder: Path, without: Callable[[Path], bool]) -> Iterator[Path]:
    """Every file below, hidden ones apart: of ours, these are not yet complete."""
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return  # none was made yet, or it went since its parent was read
    for path in paths:
        if path.name.startswith(".") or without(path):
            continue
        if path.is_dir():
            yield from _files(path, without)
        else:
            yield path


def _say_damaged(here: Session, damaged: Mapping[str, Sequence[str]]) -> None:
    """Name what is not whole; a backup of what is left is worth having, but not in the place of an older one."""
    here.say(f"\n[red]Not whole[/]: of {counted(len(damaged), 'table')} something is gone or damaged.")
    for table, problems in damaged.items():
        for problem in problems[:_FEW]:
            here.say(f"[bold]{table}[/]  {escape(problem)}")
        if len(problems) > _FEW:
            here.say(f"[bold]{table}[/]  and {len(problems) - _FEW} more")
    here.say(f"Keep your earlier backups. What mends it: {here.command} doctor --deep")


# -- what comes back -----------------------------------------------------------------------------------------------


def _check_names(source: Path, found: Backup, table: str | None) -> None:
    """Only what a backup puts there, so that a file made by somebody else writes nowhere else."""
    known = {"dst", "context", "admin_regions", "meta"}
    homes = {f"home/{name}" for name in _HOME_FILES}
    odd = [name for name in found.entries if name.split("/")[0] not in known and name not in homes]
    if odd:
        got, todo = f"{odd[0]} is nothing that a backup holds", "Nothing was changed. Use another copy of it."
        raise DamagedBackup("use the backup", on=str(source), got=got, todo=todo)
    if table is not None and table not in _tables_in(found):
        got = f"nothing of {table} is in it"
        raise ConfigurationError("restore", on=f"{table} from {source}", got=got, todo="Name another table.")


def _tables_in(found: Backup) -> list[str]:
    """Every table of the backup: it holds records of each, also where no period was held any more."""
    named = {name.split("/")[1] for name in found.entries if name.startswith("meta/")}
    return sorted(filter(models.TABLE_ID.fullmatch, named))


def _bring_all(source: Path, found: Backup, places: Places) -> None:
    """Write everything beside its place, then let each folder take it; a kill in between leaves whole folders."""
    token = uuid.uuid4().hex
    targets = {**places.folders, "home": places.home}
    staged = {name: staged_folder.beside(folder.parent, token, name) for name, folder in places.folders.items()}
    staged["home"] = staged_folder.beside(places.home, token, "home")

    def place(name: str) -> Path | None:
        root, _, rest = name.partition("/")
        return staged[root] / rest if root in staged else None

    with staged_folder.swept(staged.values()):
        places.folders["dst"].parent.mkdir(parents=True, exist_ok=True)
        backup_file.take_out(source, found, place, places.folders["dst"].parent)
        for name in (*places.folders, "home"):
            if not staged[name].is_dir():
                continue
            if name == "home":
                _replace_files(staged[name], targets[name])
            else:
                staged_folder.take_place(staged[name], targets[name])


def _replace_files(staged: Path, home: Path) -> None:
    for path in staged.iterdir():
        target = home / path.name
        if target.is_file() and target.read_bytes() != path.read_bytes():
            target.replace(target.with_name(f"{target.name}.before-restore"))
        path.replace(target)
    fsync(home)


def _bring_table(source: Path, found: Backup, places: Places, table: str) -> None:
    token = uuid.uuid4().hex
    targets = places.of_table(table)
    staged = {name: staged_folder.beside(folder.parent, token, table) for name, folder in targets.items()}

    def place(name: str) -> Path | None:
        for prefix, folder in staged.items():
            if name.startswith(f"{prefix}/"):
                return folder / name.removeprefix(f"{prefix}/")
        return None

    with staged_folder.swept(staged.values()):
        places.tables.mkdir(parents=True, exist_ok=True)
        backup_file.take_out(source, found, place, places.tables)
        # the periods last: with them the table counts as restored
        for name in reversed(targets):
            if staged[name].is_dir():
                staged_folder.take_place(staged[name], targets[name])


def _bring_records(source: Path, found: Backup, sources: Sources, tables: Sequence[str]) -> None:
    """Put back the records of these tables that the database lacks."""
    wanted = {f"meta/{table}/{record}.csv": record for table in tables for record in _RECORDS}
    read = backup_file.contents(source, found, wanted.__contains__)
    with contextlib.closing(postgres.connect(sources.warehouse, "restore")) as connection:
        for name, content in read.items():
            _insert(connection, wanted[name], content, name)


def _insert(connection: Connection, record: str, content: bytes, name: str) -> None:
    header = next(csv.reader(io.StringIO(content.decode())), [])
    columns = sql.SQL(", ").join(map(sql.Identifier, header))
    target, staged = sql.Identifier("meta", record), sql.Identifier(f"restored_{record}")
    with postgres.transaction(connection, "restore", on=name) as cursor:
        cursor.execute(sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP").format(staged, target))
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER)").format(staged, columns)
        cursor.copy_expert(statement, io.BytesIO(content))
        cursor.execute(
            sql.SQL("INSERT INTO {0} ({1}) SELECT {1} FROM {2} ON CONFLICT DO NOTHING").format(target, columns, staged)
        )


def _fill(here: Session, settings: Settings, warehouse: Warehouse, sources: Sources, tables: Sequence[str]) -> bool:
    """Warehouse, Dagster and documents from the files; returns whether anything failed."""
    # imported here: Dagster takes seconds to import, which no other command shall pay
    from varro_assets.cli import runs
    from varro_assets.defs import health as shown

    failed, filled = False, []
    with _bar(here, len(tables)) as advance:
        for table in tables:
            advance(table)
            try:
                if manifest.read_usable(sources.store(table).folder) is None:
                    here.say(f"[yellow]{table}[/]  {_without_manifest(here, sources, table)}")
                    continue
                syncs.load_table(sources, table, Telling(here), only=())
            except VarroError as error:
                here.say(f"[bold]{table}[/]  [red]{escape(str(error))}[/]")
                failed = True
                continue
            filled.append(table)
    context = open_context(settings, warehouse.url, on_retry=here.errors.print)
    with contextlib.closing(postgres.connect(sources.warehouse, "restore")) as connection:
        dimensions = DimTables(connection)
        for dimension in context.library.all().values():
            dimensions.load(dimension)
    catalogue = sources.catalogue.read()
    followed = set(here.followed(catalogue)) if catalogue else set()
    with here.dagster_environment(settings, warehouse), runs.dagster_instance() as instance:
        for table in filled:
            if table in followed:
                shown.report_again(instance, table, syncs.held_periods(sources, table))
    if catalogue is None:
        here.say(f"No catalogue was in it, so no document is written. Fetch one: {here.command} sync")
        return failed
    report = refresh(here, settings, warehouse, context, touched=filled)
    return failed or bool(report.problems)


def _without_manifest(here: Session, sources: Sources, table: str) -> str:
    """Record what its ledger says, since nothing is to be loaded; returns what is to be told of the table."""
    store, ledger = sources.store(table), sources.ledger(table)
    with (
        table_lock(sources.warehouse, table),
        contextlib.closing(postgres.connect(sources.warehouse, f"restore {table}")) as connection,
    ):
        held = manifest.readable(store, lambda _code, error: here.say(escape(error.problem)))
        if ledger.begun:
            # where nothing is held nothing was under way, and the ledger would count as begun anew
            if held:
                ledger.recover(held, revision_record.recorded(connection, table))
            revision_record.record(connection, ledger, held, lambda error: here.say(escape(error.problem)))
    if not store.periods():
        return f"no period is held, only what was recorded: {here.command} revisions {table}"
    return f"its first load was not complete; to go on: {here.command} sync {table}"


@contextlib.contextmanager
def _bar(here: Session, total: int) -> Iterator[Callable[[str], None]]:
    with table_bar(here.console, "tables") as progress:
        task = progress.add_task("", total=total, table="")
        yield lambda table: progress.update(task, advance=1, table=table)
