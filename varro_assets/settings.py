"""The settings: read once from the environment and `.env`, then passed down as one frozen value.

What belongs here: names, defaults and derived paths. Code below this module receives values and never reads the
environment itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from varro_assets.errors import ConfigurationError

HOME_VARIABLE = "VARRO_HOME"
FOLLOW_FILE = "varro.toml"
SIMULATOR = "simulator"
"""Value of ``DST_API_URL`` that asks for the built-in simulator instead of an address."""
DEMO_POLL = "* * * * *"
"""The demo polls every minute: its publisher costs nothing, and nobody waits until Sunday to see what happens."""


class Settings(BaseSettings):
    """Everything the environment decides. Paths are absolute once loaded.

    A relative ``DATA_DIR``, ``CONTEXT_DIR`` or ``DAGSTER_HOME`` is relative to ``home``, the folder that holds
    `varro.toml`.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_file_encoding="utf-8")

    home: Path
    data_dir: Path = Path("data")
    context_dir: Path = Path("context")
    dagster_home: Path = Path("dagster_home")
    database_url: SecretStr | None = None
    """The user's own Postgres; None means the embedded server."""
    dagster_database_url: SecretStr | None = None
    """Dagster's own storage; None means database ``<name>_dagster`` beside the warehouse."""
    dst_api_url: str = "https://api.statbank.dk/v1"
    dst_site_url: str = "https://www.dst.dk"
    """Where classifications are published: their pages and CSV files."""
    geo_url: str = "https://api.dataforsyningen.dk"
    """Where boundaries are published, ``<geo_url>/<layer>?format=geojson``, for layers ``data/admin_regions`` lacks."""
    dst_api_sleep_seconds: float = Field(default=10.0, ge=0, le=3600, allow_inf_nan=False)
    """Least time between the starts of two requests, over all processes; 0 = off."""
    dst_api_timeout_seconds: float = Field(default=120.0, gt=0, le=3600, allow_inf_nan=False)
    """Longest silence on the wire before a request counts as failed."""
    varro_owner: str = "team:data"
    """Owner shown on every asset: an e-mail address or ``team:name``."""
    varro_poll: str = "weekly"
    """When the catalogue is polled: ``weekly``, ``daily``, ``off``, or a cron expression."""
    varro_poll_timezone: str = "UTC"
    """Time zone of a cron expression in ``VARRO_POLL``."""
    varro_max_tables: int = Field(default=100, ge=1, le=10_000)
    """How many tables may be under way at once when they are synced by themselves: for a staged start."""
    varro_keep_runs_days: int = Field(default=90, ge=1, le=36_500)
    """After so many days a run is deleted from Dagster, unless it holds the last word on a period."""
    varro_webhook_url: SecretStr | None = None
    """Told of every failed run; None tells nobody."""
    varro_ui_url: str = "http://127.0.0.1:3000"
    """Dagster's web server as people reach it: for links in alerts."""
    varro_reload_url: str | None = None
    """Dagster's web server as this machine reaches it, set by `varro up`: asked to load the graph anew. None: as people
    reach it."""
    varro_log: Literal["text", "json"] = "text"
    """How runs log to the console."""

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, values: dict[str, object]) -> dict[str, object]:
        # after the sources are merged: a blank variable in the environment takes back what `.env` sets
        return {name: value for name, value in values.items() if not isinstance(value, str) or value.strip()}

    @field_validator("database_url", "dagster_database_url")
    @classmethod
    def _psycopg2_url(cls, value: SecretStr | None) -> SecretStr | None:
        """Name the driver: SQLAlchemy 2.1 reads a bare ``postgresql://`` as psycopg 3 (dagster issue 33958)."""
        if value is None:
            return None
        scheme, mark, rest = value.get_secret_value().partition("://")
        secret = SecretStr(f"postgresql+psycopg2://{rest}")
        if not mark or scheme not in {"postgresql", "postgres", "postgresql+psycopg2"} or not _names_a_database(secret):
            raise ValueError(
                "must look like postgresql://user:password@host:5432/database, other characters than letters and"
                " digits in the password percent-encoded"
            )
        return secret

    @field_validator("varro_poll")
    @classmethod
    def _poll_time(cls, value: str) -> str:
        value = " ".join(value.split())
        word = value.lower()
        if word in {"weekly", "daily", "off"}:
            return word
        if not _is_cron(value):
            raise ValueError("must be weekly, daily, off, or a cron expression of five fields such as '30 8 * * 1-5'")
        return value

    @field_validator("varro_poll_timezone")
    @classmethod
    def _time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be the name of a time zone, such as UTC or Europe/Copenhagen") from None
        return value

    @field_validator("dst_api_url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        value = value.strip().rstrip("/")
        if value != SIMULATOR and not _is_http(value):
            raise ValueError("must be an http(s) address, or the word 'simulator'")
        return value

    @field_validator("dst_site_url", "geo_url", "varro_ui_url", "varro_reload_url")
    @classmethod
    def _http_site(cls, value: str | None) -> str | None:
        if value is None:
            return None
        value = value.strip().rstrip("/")
        if not _is_http(value):
            raise ValueError("must be an http(s) address")
        return value

    @field_validator("varro_webhook_url")
    @classmethod
    def _http_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_http(value.get_secret_value()):
            raise ValueError("must be an http(s) address")
        return value

    @classmethod
    def load(cls, home: Path | None = None) -> Self:
        """Read the environment and ``<home>/.env``.

        Args:
            home: the project folder; None looks at ``VARRO_HOME``, then for the nearest `varro.toml` upwards from
                the working directory.

        Raises:
            ConfigurationError: no home, or a value that cannot be used.
        """
        root = (home or find_home()).expanduser().resolve()
        try:
            settings = cls(_env_file=root / ".env", home=root)  # type: ignore[call-arg]
        except UnicodeDecodeError as error:
            got = f"byte {error.start} is not UTF-8"
            raise ConfigurationError("read", on=str(root / ".env"), got=got, todo="Save it as UTF-8.") from None
        except ValidationError as error:
            # never print error.input: it may be a password
            first = error.errors(include_input=False, include_url=False)[0]
            name = "_".join(str(part) for part in first["loc"]).upper()
            raise ConfigurationError(
                "use the setting", on=name, got=first["msg"], todo=f"Correct it in {root / '.env'} or the environment."
            ) from None
        paths = {
            name: root / getattr(settings, name).expanduser() for name in ("data_dir", "context_dir", "dagster_home")
        }
        return settings.model_copy(update=paths)

    def environment(self) -> dict[str, str]:
        """The variables that make a child process load these very settings, whatever its own `.env` says."""
        return {
            HOME_VARIABLE: str(self.home),
            "DATA_DIR": str(self.data_dir),
            "CONTEXT_DIR": str(self.context_dir),
            "DAGSTER_HOME": str(self.dagster_home),
            "DATABASE_URL": self.database_url.get_secret_value() if self.database_url else "",
            "DAGSTER_DATABASE_URL": self.dagster_database_url.get_secret_value() if self.dagster_database_url else "",
            "DST_API_URL": self.dst_api_url,
            "DST_SITE_URL": self.dst_site_url,
            "GEO_URL": self.geo_url,
            "DST_API_SLEEP_SECONDS": str(self.dst_api_sleep_seconds),
            "DST_API_TIMEOUT_SECONDS": str(self.dst_api_timeout_seconds),
            "VARRO_OWNER": self.varro_owner,
            "VARRO_POLL": self.varro_poll,
            "VARRO_POLL_TIMEZONE": self.varro_poll_timezone,
            "VARRO_MAX_TABLES": str(self.varro_max_tables),
            "VARRO_KEEP_RUNS_DAYS": str(self.varro_keep_runs_days),
            "VARRO_WEBHOOK_URL": self.varro_webhook_url.get_secret_value() if self.varro_webhook_url else "",
            "VARRO_UI_URL": self.varro_ui_url,
            "VARRO_RELOAD_URL": self.varro_reload_url or "",
            "VARRO_LOG": self.varro_log,
        }

    def for_demo(self) -> Self:
        """The demo's own home below this one's data: own server, the simulator, nothing of the user's."""
        home = self.data_dir / "demo"
        return self.model_copy(
            update={
                "home": home,
                "data_dir": home / "data",
                "context_dir": home / "context",
                "dagster_home": home / "dagster_home",
                "database_url": None,
                "dagster_database_url": None,
                "dst_api_url": SIMULATOR,
                "dst_api_sleep_seconds": 0.0,
                "varro_poll": DEMO_POLL,
            }
        )

    @property
    def follow_file(self) -> Path:
        """`varro.toml`: which tables are followed, and how."""
        return self.home / FOLLOW_FILE

    @property
    def dst_dir(self) -> Path:
        """Everything that came from Statistics Denmark."""
        return self.data_dir / "dst"

    @property
    def metadata_dir(self) -> Path:
        """Catalogue, subjects and tableinfos as published."""
        return self.dst_dir / "metadata"

    @property
    def tables_dir(self) -> Path:
        """One folder of per-period parquet files for each table."""
        return self.dst_dir / "statbank_tables"

    @property
    def classifications_dir(self) -> Path:
        """One folder per classification as published."""
        return self.dst_dir / "mapping_tables"

    @property
    def state_file(self) -> Path:
        """How each table stands after its last run, for programs."""
        return self.dst_dir / "state.json"

    @property
    def revisions_dir(self) -> Path:
        """What changed in held periods: one folder of parquet files per table."""
        return self.dst_dir / "revisions"

    @property
    def links_dir(self) -> Path:
        """Which column of which table joins which dimension: one JSON file per table."""
        return self.dst_dir / "dimension_links"

    @property
    def boundaries_dir(self) -> Path:
        """Boundaries as GeoJSON, ``<layer>.geojson``: the user's own, or fetched."""
        return self.data_dir / "admin_regions"

    @property
    def postgres_dir(self) -> Path:
        """The embedded Postgres server: its data, its password, its log."""
        return self.data_dir / "postgres"


def _names_a_database(url: SecretStr) -> bool:
    # imported here, as in `engine.database_url`, which lies above this module
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return bool(make_url(url.get_secret_value()).database)
    except (ArgumentError, ValueError):
        return False


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _is_cron(text: str) -> bool:
    """Whether it is five fields of numbers, names, ranges, steps and lists that some day of the calendar meets."""
    fields = text.split(" ")
    if len(fields) != 5:
        return False
    limits = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 7, _WEEKDAYS))
    days = [_cron_field(field, *limit) for field, limit in zip(fields, limits, strict=True)]
    if not all(days):
        return False
    # the 31st of February never comes; with a weekday as well either is enough
    return fields[4] != "*" or min(days[2]) <= max(_LONGEST_MONTH[month - 1] for month in days[3])


def _cron_field(field: str, lowest: int, highest: int, names: tuple[str, ...]) -> set[int]:
    """What a field stands for; empty if it cannot be read."""
    found: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        ends = [_cron_value(end, lowest, names) for end in ((first, last) if dash else (first,))]
        if span == "*":
            ends = [lowest, highest]
        elif step and not dash:
            ends.append(highest)
        if None in ends or ("/" in part and not (step.isdecimal() and 0 < int(step) <= highest)):
            return set()
        low, high = (end for end in (ends[0], ends[-1]) if end is not None)
        if not lowest <= low <= high <= highest:
            return set()
        found.update(range(low, high + 1, int(step or 1)))
    return found


def _cron_value(text: str, lowest: int, names: tuple[str, ...]) -> int | None:
    if text in names:
        return names.index(text) + lowest
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 3 else None


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def find_home(start: Path | None = None) -> Path:
    """The project folder: ``VARRO_HOME``, or the nearest folder upwards that holds `varro.toml`.

    Raises:
        ConfigurationError: neither is there.
    """
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named)
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FOLLOW_FILE).is_file():
            return folder
    raise ConfigurationError(
        "find the project folder",
        on=f"from {here} upwards",
        got=f"no {FOLLOW_FILE} there",
        todo=f"Change into the project, or set {HOME_VARIABLE} to it.",
    )
