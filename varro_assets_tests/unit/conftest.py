"""The `varro` command, called in this process, in a home of the test's own."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from dagster import DagsterInstance
from psycopg2 import sql
from sqlalchemy import make_url

from varro_assets.cli import app
from varro_assets.cli.session import DAGSTER_STORAGE_VARIABLE
from varro_assets.engine.server.provision import OWNER
from varro_assets.engine.server.server import Endpoint
from varro_assets.settings import Settings
from varro_assets.simulator import Simulator
from varro_assets.warehouse import prepare
from varro_assets_tests.postgres_fixture import administrator, when_left
from varro_assets_tests.ready_homes import ReadyHomes

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Both streams with line breaks and padding flattened, for looking up phrases."""
        return " ".join(f"{self.out} {self.err}".split())


@dataclass(frozen=True)
class Varro:
    """The command and its surroundings."""

    home: Path
    settings: Settings
    simulator: Simulator
    database: str
    _run: Callable[[tuple[str, ...], str], Said]
    _ready: ReadyHomes

    def __call__(self, *arguments: str, answer: str = "") -> Said:
        return self._run(arguments, answer)

    def good(self, *arguments: str) -> Said:
        """A call that must end well."""
        said = self(*arguments)
        assert said.code == 0, said.words
        return said

    def follow(self, *entries: str) -> None:
        """Write varro.toml."""
        (self.home / "varro.toml").write_text(f"[tables]\nfollow = {json.dumps(list(entries))}\n", encoding="utf-8")

    def asked(self, function: str | None = None) -> list[str]:
        """The functions of the API asked for since the last `forget`."""
        return [line.function for line in self.simulator.requests if function in {None, line.function}]

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Ask the warehouse."""
        connection = psycopg2.connect(self.libpq)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def synced(self) -> None:
        """What a first `varro sync` leaves: done once in a test process, copied from then on."""
        database = make_url(self.database).database
        assert database is not None
        self._ready.bring("synced by the command", self.home, database, lambda: self.good("sync"))
        self.simulator.forget_requests()

    @property
    def libpq(self) -> str:
        """The warehouse's address without SQLAlchemy's driver."""
        return make_url(self.database).set(drivername="postgresql").render_as_string(hide_password=False)

    @contextmanager
    def dagster(self) -> Iterator[DagsterInstance]:
        """Dagster's instance as the command sees it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(DAGSTER_STORAGE_VARIABLE, self.database)
            with DagsterInstance.from_config(str(self.home / "dagster_home")) as instance:
                yield instance


@pytest.fixture(scope="session")
def ready_database(postgres_server: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database that holds the warehouse's schema and Dagster's, to be copied: setting both up takes seconds."""
    name = f"ready_{secrets.token_hex(6)}"
    with closing(administrator(postgres_server)) as connection, connection.cursor() as cursor:
        when_left(cursor, sql.SQL("CREATE DATABASE {} OWNER {}").format(*map(sql.Identifier, (name, OWNER))))
        url = postgres_server.url(name, OWNER)
        prepare(url)
        storage = {"storage": {"postgres": {"postgres_url": url.get_secret_value()}}, "telemetry": {"enabled": False}}
        home = tmp_path_factory.mktemp("dagster_home")
        (home / "dagster.yaml").write_text(json.dumps(storage), encoding="utf-8")
        with DagsterInstance.from_config(str(home)) as instance:
            assert instance.get_runs_count() == 0
            assert instance.all_asset_keys() == []
            assert instance.get_dynamic_partitions("KORD1") == []
        yield name
        when_left(cursor, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def warehouse_database(postgres_server: Endpoint, ready_database: str) -> Iterator[str]:
    """A copy of it for one test."""
    name = f"test_{secrets.token_hex(6)}"
    copy = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
    with closing(administrator(postgres_server)) as connection, connection.cursor() as cursor:
        when_left(cursor, copy.format(*map(sql.Identifier, (name, OWNER, ready_database))))
        yield name
        when_left(cursor, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def varro(
    tmp_path: Path,
    settings: Settings,
    simulator: Simulator,
    warehouse_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ready_homes: ReadyHomes,
) -> Varro:
    """Calls ``varro``; the home follows KORD1 (5 years, 40 rows), the database is the test's own."""
    (tmp_path / "dagster_home").mkdir()
    shutil.copyfile(PROJECT / "dagster_home" / "dagster.yaml", tmp_path / "dagster_home" / "dagster.yaml")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", warehouse_url)
    monkeypatch.setenv("DAGSTER_DATABASE_URL", warehouse_url)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)

    def run(arguments: tuple[str, ...], answer: str) -> Said:
        from io import StringIO

        monkeypatch.setattr("sys.argv", ["varro", *arguments])
        monkeypatch.setattr("sys.stdin", StringIO(answer))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    ready = Varro(tmp_path, settings, simulator, warehouse_url, run, ready_homes)
    ready.follow("KORD1")
    return ready
