"""Demo and up: what they print is right where it is typed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from varro_assets.cli import services
from varro_assets.cli.session import Session


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
