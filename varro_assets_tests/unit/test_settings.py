"""Settings: where a value comes from, what is refused and without telling secrets, and what a child process gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from varro_assets.errors import ConfigurationError
from varro_assets.settings import SIMULATOR, Settings, find_home

PASSWORD = "hemmelig-Æble-42"
URL = f"postgresql://varro:{PASSWORD}@db.example.org:5433/warehouse"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "varro.toml").write_text("")
    return folder.resolve()


def dotenv(home: Path, text: str) -> None:
    (home / ".env").write_text(text, encoding="utf-8")


def test_the_defaults(home: Path) -> None:
    settings = Settings.load(home)
    assert settings.home == home
    assert settings.data_dir == home / "data"
    assert settings.context_dir == home / "context"
    assert settings.dagster_home == home / "dagster_home"
    assert settings.database_url is None
    assert settings.dagster_database_url is None
    assert settings.dst_api_url == "https://api.statbank.dk/v1"
    assert settings.dst_api_sleep_seconds == 10.0
    assert settings.follow_file == home / "varro.toml"
    assert settings.metadata_dir == home / "data" / "dst" / "metadata"
    assert settings.tables_dir == home / "data" / "dst" / "statbank_tables"
    assert settings.postgres_dir == home / "data" / "postgres"


def test_the_environment_goes_before_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv(home, "DST_API_SLEEP_SECONDS=3\nVARRO_OWNER=team:file\nDATA_DIR=from-file\n")
    monkeypatch.setenv("DST_API_SLEEP_SECONDS", "7")
    monkeypatch.setenv("DATA_DIR", "/elsewhere")
    settings = Settings.load(home)
    assert settings.dst_api_sleep_seconds == 7.0
    assert settings.varro_owner == "team:file"
    assert settings.data_dir == Path("/elsewhere")


@pytest.mark.parametrize("blank", ["", "  ", '""', "\t"])
def test_blank_is_unset(home: Path, blank: str) -> None:
    names = ("DATABASE_URL", "DAGSTER_DATABASE_URL", "DST_API_URL", "DST_API_SLEEP_SECONDS", "DATA_DIR", "VARRO_OWNER")
    dotenv(home, "".join(f"{name}={blank}\n" for name in names))
    assert Settings.load(home) == Settings.load(home).model_copy(
        update={"database_url": None, "dst_api_url": "https://api.statbank.dk/v1", "dst_api_sleep_seconds": 10.0}
    )
    assert Settings.load(home).data_dir == home / "data"
    assert Settings.load(home).varro_owner == "team:data"


def test_a_blank_variable_takes_back_what_the_file_sets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv(home, f"DATABASE_URL={URL}\n")
    assert Settings.load(home).database_url is not None
    monkeypatch.setenv("DATABASE_URL", "")
    assert Settings.load(home).database_url is None


def test_other_variables_are_nobodys_business(home: Path) -> None:
    dotenv(home, "SOMETHING_ELSE=1\nHOME=/nowhere\n")
    assert Settings.load(home).home == home


def test_paths_below_the_users_own_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    dotenv(home, "DATA_DIR=~/statbank\nCONTEXT_DIR=../context\n")
    settings = Settings.load(home)
    assert settings.data_dir == Path("/home/somebody/statbank")
    assert settings.context_dir == home / ".." / "context"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg2://u@h/d"),
        ("postgres://u:p@h:5433/d?sslmode=require", "postgresql+psycopg2://u:p@h:5433/d?sslmode=require"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg2://u@h/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql+psycopg2:///d?host=/run/postgresql"),
    ],
)
def test_the_driver_is_named(home: Path, given: str, read: str) -> None:
    dotenv(home, f"DATABASE_URL={given}\nDAGSTER_DATABASE_URL={given}\n")
    settings = Settings.load(home)
    assert settings.database_url == SecretStr(read)
    assert settings.dagster_database_url == SecretStr(read)


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://varro:{PASSWORD}@h/d",
        f"postgresql+asyncpg://varro:{PASSWORD}@h/d",
        f"varro:{PASSWORD}@h/d",
        f"postgresql://varro:{PASSWORD}@h",
        f"postgresql://varro:{PASSWORD}@h/",
        f"postgresql://varro:{PASSWORD}@h:port/d",
        f"postgresql://varro:{PASSWORD}/@h:99x/d",
        f"postgresql:/varro:{PASSWORD}@h/d",
    ],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "DAGSTER_DATABASE_URL"])
def test_a_url_that_cannot_be_used_is_refused_without_its_password(home: Path, name: str, url: str) -> None:
    dotenv(home, f"{name}={url}\n")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(home)
    told = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert PASSWORD not in told
    assert name in told
    assert str(home / ".env") in told
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DST_API_URL", "api.statbank.dk/v1"),
        ("DST_API_URL", "ftp://api.statbank.dk"),
        ("DST_API_URL", "https://"),
        ("DST_API_URL", "http://:80/v1"),
        ("DST_API_URL", "http://host:port/v1"),
        ("DST_API_URL", "http://[::1/v1"),
        ("DST_API_URL", "simulated"),
        ("DST_API_SLEEP_SECONDS", "-1"),
        ("DST_API_SLEEP_SECONDS", "nan"),
        ("DST_API_SLEEP_SECONDS", "inf"),
        ("DST_API_SLEEP_SECONDS", "1e9"),
        ("DST_API_SLEEP_SECONDS", "ten"),
        ("DST_API_TIMEOUT_SECONDS", "0"),
        ("DST_API_TIMEOUT_SECONDS", "-5"),
        ("VARRO_POLL", "hourly"),
        ("VARRO_POLL", "0 22 * *"),
        ("VARRO_POLL", "0 22 * * * *"),
        ("VARRO_POLL", "60 22 * * 0"),
        ("VARRO_POLL", "0 24 * * 0"),
        ("VARRO_POLL", "0 22 31 2 *"),
        ("VARRO_POLL", "5-1 * * * *"),
        ("VARRO_POLL", "*/0 * * * *"),
        ("VARRO_POLL", "1, * * * *"),
        ("VARRO_POLL", "-5 * * * *"),
        ("VARRO_POLL", "*-5 * * * *"),
        ("VARRO_POLL_TIMEZONE", "Copenhagen"),
        ("VARRO_POLL_TIMEZONE", "../etc/passwd"),
    ],
)
def test_other_values_that_cannot_be_used(home: Path, name: str, value: str) -> None:
    dotenv(home, f"{name}={value}\n")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(home)
    assert name in str(caught.value)
    assert str(home / ".env") in str(caught.value)


def test_a_file_that_is_no_text(home: Path) -> None:
    (home / ".env").write_bytes("DATABASE_URL=postgresql://u:blåbær@h/d\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="UTF-8") as caught:
        Settings.load(home)
    assert "bl" not in str(caught.value).replace("blank", "")


@pytest.mark.parametrize(
    "url", ["https://api.statbank.dk/v1/", "http://127.0.0.1:8000", "https://[::1]:8/v1", SIMULATOR]
)
def test_addresses(home: Path, url: str) -> None:
    dotenv(home, f"DST_API_URL={url}\n")
    assert Settings.load(home).dst_api_url == url.rstrip("/")


def test_passwords_are_never_shown(home: Path) -> None:
    dotenv(home, f"DATABASE_URL={URL}\nDAGSTER_DATABASE_URL={URL}\n")
    settings = Settings.load(home)
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert PASSWORD not in shown
    assert settings.database_url is not None
    assert PASSWORD in settings.database_url.get_secret_value()


def test_settings_do_not_change(home: Path) -> None:
    with pytest.raises(ValidationError):
        Settings.load(home).data_dir = home  # type: ignore[misc]


# -- home --------------------------------------------------------------------------------------------------------------


def test_home_is_found_upwards(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = home / "a" / "b"
    below.mkdir(parents=True)
    assert find_home(below) == home
    assert find_home(home) == home
    monkeypatch.chdir(below)
    assert Settings.load().home == home
    (below / "varro.toml").write_text("")
    assert find_home(below) == below


def test_home_by_name_goes_first(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARRO_HOME", str(tmp_path))
    assert find_home(home) == tmp_path
    monkeypatch.setenv("VARRO_HOME", "")
    assert find_home(home) == home
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VARRO_HOME", "~/project")
    assert Settings.load().home == home


def test_a_folder_of_that_name_is_no_project_file(tmp_path: Path) -> None:
    (tmp_path / "varro.toml").mkdir()
    with pytest.raises(ConfigurationError, match="VARRO_HOME"):
        find_home(tmp_path)


# -- for others --------------------------------------------------------------------------------------------------------


def test_a_child_process_loads_these_very_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv(home, f"DATABASE_URL={URL}\nDST_API_SLEEP_SECONDS=0.25\nDST_API_TIMEOUT_SECONDS=33.5\nVARRO_OWNER=a@b.dk\n")
    settings = Settings.load(home)
    dotenv(home, "DATABASE_URL=postgresql://other@h/d\nDST_API_SLEEP_SECONDS=99\nVARRO_OWNER=team:other\n")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == settings


def test_a_child_process_of_the_demo_gets_nothing_of_the_users(home: Path) -> None:
    dotenv(home, f"DATABASE_URL={URL}\nDAGSTER_DATABASE_URL={URL}\nDST_API_URL=https://api.statbank.dk/v1\n")
    demo = Settings.load(home).for_demo()
    below = home / "data" / "demo"
    assert demo.home == below
    assert all(
        below in path.parents for path in (demo.data_dir, demo.context_dir, demo.dagster_home, demo.postgres_dir)
    )
    assert demo.follow_file == below / "varro.toml"
    assert (demo.database_url, demo.dagster_database_url) == (None, None)
    assert (demo.dst_api_url, demo.dst_api_sleep_seconds) == (SIMULATOR, 0.0)
    assert not any(PASSWORD in value for value in demo.environment().values())
    # the demo's home may even hold the user's own .env, and the child be started below the project
    below.mkdir(parents=True)
    dotenv(below, f"DATABASE_URL={URL}\n")
    script = (
        "from varro_assets.settings import Settings as S; s = S.load(); print(s.home, s.database_url, s.dst_api_url)"
    )
    inherited = {"PATH": os.environ["PATH"], "DATABASE_URL": URL}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=inherited | demo.environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert done.stdout.split() == [str(below), "None", SIMULATOR]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("Weekly", "weekly"),
        ("daily", "daily"),
        ("OFF", "off"),
        ("* * * * *", "* * * * *"),
        (" 5  8 * * mon-fri ", "5 8 * * mon-fri"),
        ("0,30 8-16/2 1,15 jan,jul *", "0,30 8-16/2 1,15 jan,jul *"),
        ("*/5 * * * 7", "*/5 * * * 7"),
        ("0 0 31 2,3 *", "0 0 31 2,3 *"),
        ("0 0 31 2 mon", "0 0 31 2 mon"),
    ],
)
def test_when_to_poll(home: Path, monkeypatch: pytest.MonkeyPatch, given: str, read: str) -> None:
    monkeypatch.setenv("VARRO_POLL", given)
    assert Settings.load(home).varro_poll == read


def test_a_cron_expression_is_one_for_dagster_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster import ScheduleDefinition  # imported here: no other test of this module needs it

    for given in ("5 8 * * mon-fri", "0,30 8-16/2 1,15 jan,jul *", "*/5 * * * 7", "0 0 31 2,3 *", "3/7 * * * *"):
        monkeypatch.setenv("VARRO_POLL", given)
        ScheduleDefinition(job_name="poll", cron_schedule=Settings.load(home).varro_poll)
