"""What the README says, done: its commands in their order, its queries on the demo, its files and targets looked up."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from varro_assets.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
SERVICES = {"varro up", "make up", "varro --demo up"}
"""These run until Ctrl-C: test_up.py has them."""
REFUSED = {
    "varro revisions FOLK1A --as-of": "Nothing of FOLK1A was held on",
    "varro restore": "it is not empty",
    "varro migrate-legacy": "No such file or directory",
    "varro forget": "nothing of it is held",
}
"""These are for another home than a new one, and are refused in it for just that reason."""


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def _commands() -> list[str]:
    lines = [line.split("#")[0].strip() for block in _blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


def test_every_make_target_of_the_readme_is_one() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`?make ([a-z-]+)", README))
    assert {"demo", "test", "check", "bench"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_file_the_readme_names_is_there() -> None:
    for name in (
        ".env.example",
        "docs/architecture.md",
        "docs/decisions",
        "docs/performance.md",
        "CHANGELOG.md",
        "varro.toml",
    ):
        assert name in README
        assert (PROJECT / name).exists(), name


@pytest.mark.parametrize("name", ["docs/operating.md", ".env.example"])
def test_every_setting_is_told(name: str) -> None:
    inner = {"HOME", "VARRO_RELOAD_URL"}  # the folder itself; what `varro up` sets
    told = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", (PROJECT / name).read_text(encoding="utf-8")))
    assert {field.upper() for field in Settings.model_fields} - inner <= told


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home as a clone has it, with the simulator in place of the real API."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("varro.toml", "workspace.yaml", "dagster_home/dagster.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(PROJECT / name, folder / name)
    (folder / ".env").write_text("DST_API_URL=simulator\nDST_API_SLEEP_SECONDS=0\n", encoding="utf-8")
    assert _run(folder, "varro demo").returncode == 0  # what `make demo` runs once it has installed
    return folder


def _run(home: Path, command: str) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)
    assert words[0] == "varro", command
    environment = {**os.environ, "VARRO_HOME": str(home), "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-c", "from varro_assets.cli.app import main; main()", *words[1:]],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_commands_of_the_readme_in_their_order(home: Path) -> None:
    commands = [line for line in _commands() if line.startswith("varro") and line not in SERVICES]
    assert len(commands) > 10
    for command in commands:
        done = _run(home, command)
        reason = next((why for begin, why in REFUSED.items() if command.startswith(begin)), None)
        assert done.returncode == (0 if reason is None else 1), f"{command}\n{done.stdout}\n{done.stderr}"
        assert (reason or "") in " ".join((done.stdout + done.stderr).split()), (
            f"{command}\n{done.stdout}\n{done.stderr}"
        )
    assert "Everything is up to date" in _run(home, "varro sync").stdout


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_queries_of_the_readme(home: Path) -> None:
    queries = _blocks("sql")
    assert queries
    for query in queries:
        done = _run(home, f"varro --demo psql -c {shlex.quote(query)}")
        assert done.returncode == 0, f"{query}\n{done.stderr}"
        rows = re.search(r"\((\d+) rows?\)", done.stdout)
        assert rows is not None
        assert int(rows[1]) > 0, query


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_second_demo_fetches_nothing_and_says_so(home: Path) -> None:
    done = _run(home, "varro demo")
    assert done.returncode == 0
    assert "Everything is up to date" in done.stdout
    assert "nothing fetched" in done.stdout
