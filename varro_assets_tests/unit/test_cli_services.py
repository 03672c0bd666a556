"""Demo and up: what they print is right where it is typed, and a home's services run once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from varro_assets.cli import services
from varro_assets.cli.foreground import Service
from varro_assets.cli.session import Session
from varro_assets.engine.server.server_locks import FileLock
from varro_assets_tests.unit.conftest import Varro


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `varro` in a virtual environment of a project, in which the shell stands."""
    ours = _program(tmp_path / "project" / ".venv" / "bin")
    monkeypatch.setattr(sys, "executable", str(ours.with_name("python")))
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    return ours


def _program(folder: Path) -> Path:
    folder.mkdir(parents=True)
    program = folder / "varro"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_a_command_that_the_shell_does_not_find_is_told_by_its_path(installed: Path) -> None:
    assert services._typed() == ".venv/bin/varro"


def test_a_command_that_the_shell_finds_is_told_by_its_name(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join(("/nowhere", str(installed.parent))))
    assert services._typed() == "varro"


def test_another_command_of_that_name_is_not_meant(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(_program(tmp_path / "another").parent))
    assert services._typed() == ".venv/bin/varro"


def test_from_elsewhere_the_path_is_whole_and_quoted(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "else where").mkdir()
    monkeypatch.chdir(tmp_path / "else where")
    assert services._typed() == str(installed)
    monkeypatch.chdir(tmp_path)
    assert services._typed() == "project/.venv/bin/varro"


@pytest.mark.parametrize("demo", [True, False])
def test_what_is_next_leads_from_the_demo_to_the_real_thing(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], demo: bool
) -> None:
    monkeypatch.setenv("VARRO_HOME", str(installed.parents[2]))
    services._say_next(Session(demo=demo))
    said = capsys.readouterr().out
    assert "\n  .venv/bin/varro --demo up           the Dagster UI" in said
    assert "\n  .venv/bin/varro search befolkning   the real StatBank; then varro follow, varro sync\n" in said


def test_a_home_is_served_once_at_a_time(varro: Varro, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins long before the web server of the first has its port."""
    lock = varro.settings.data_dir / "up.lock"
    begun: list[bool] = []

    def run(*_: object) -> int:
        begun.append(FileLock(lock).acquire())
        return 0

    monkeypatch.setattr(Service, "run", run)
    monkeypatch.setattr(services, "_refuse_taken", lambda _port: None)
    assert varro("up").code == 0
    first = FileLock(lock)
    assert first.acquire()  # given back by the one before
    said = varro("up")
    first.release()
    assert said.code == 1
    assert f"Could not run varro up of the home {varro.home}: it runs already." in said.words
    assert varro("up").code == 0
    assert begun == [False, False]


@pytest.mark.slow
def test_killed_services_hold_up_no_others_although_what_they_started_lives_on(tmp_path: Path) -> None:
    started = (
        "import subprocess, sys\n"
        "from pathlib import Path\n"
        "from types import SimpleNamespace\n"
        "from varro_assets.cli import services\n"
        "folder = Path(sys.argv[1])\n"
        "with services._alone(SimpleNamespace(data_dir=folder, home=folder)):\n"
        "    # the least careful way to start anything; it ends with its input\n"
        "    subprocess.Popen(['cat'], close_fds=False)\n"
        "    print('ready', flush=True)\n"
        "    import time; time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", started, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    lock = FileLock(tmp_path / "up.lock")
    assert not lock.acquire()
    process.kill()
    process.wait(240)
    assert lock.acquire()
    lock.release()
    process.stdin.write("it lives\n")
    process.stdin.close()
    assert process.stdout.read() == "it lives\n"
