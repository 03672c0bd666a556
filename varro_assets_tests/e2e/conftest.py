"""The real command in processes of its own, with the embedded server, in a copy of a project's home."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

PROJECT = Path(__file__).parents[2]
VARRO = [str(Path(sys.executable).with_name("varro"))]
PATIENCE = 600.0
"""Seconds. Ends a wait that is hopeless and measures nothing: a busy machine takes many times what ours takes."""
STATUSES = """
import json, sys
from varro_assets.cli.runs import dagster_instance
from varro_assets.cli.session import Session
here = Session(demo="--demo" in sys.argv)
with here.sources() as (settings, warehouse, _), here.dagster_environment(settings, warehouse):
    with dagster_instance() as instance:
        print(json.dumps([run.status.value for run in instance.get_runs()]))
"""


@dataclass
class Home:
    """A project home, and ``varro`` in it."""

    folder: Path
    environment: dict[str, str]
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(self, *arguments: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run to its end."""
        return subprocess.run(
            [*VARRO, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def good(self, *arguments: str) -> str:
        """Run to a good end; what it printed."""
        done = self(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start and leave running, as a shell would: in a process group of its own."""
        log = (self.folder / "started.log").open("w", encoding="utf-8")
        process = subprocess.Popen(
            [*VARRO, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run_statuses(self, *options: str) -> list[str]:
        """Of Dagster's runs, newest first."""
        done = subprocess.run(
            [sys.executable, "-c", STATUSES, *options],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return list(json.loads(done.stdout))

    def log(self) -> str:
        """What the process started last has printed."""
        return (self.folder / "started.log").read_text(encoding="utf-8")

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on behalf of this home: by its folder in command line or environment."""
        mine = str(self.folder)
        found = []
        for process in psutil.process_iter():
            try:
                named = mine in " ".join(process.cmdline()) or mine in process.environ().get("VARRO_HOME", "")
                living = process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if named and living and process.pid != os.getpid():
                found.append(process)
        return found

    def end(self) -> None:
        """Nothing started here outlives the test."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    # Dagster gives each of its parts a minute to end
                    process.wait(PATIENCE / 2)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(PATIENCE)
        for command in (("--demo", "db", "stop", "--force"), ("db", "stop", "--force")):
            self(*command)
        left = self.processes()
        for one in left:
            # it may end by itself while one looks at it
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=60)


def wait_for(what: Callable[[], object], seconds: float = PATIENCE, *, but: Callable[[], str] = str) -> None:
    """Wait until it is true.

    Args:
        what: is awaited.
        seconds: at most; the end of a wait in vain, no measure of anything.
        but: says how things stand instead, for the failure.
    """
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain. {but()}"
        time.sleep(0.1)


def make_home(folder: Path) -> Home:
    """A home that follows nothing, in a folder that the server's account may reach."""
    (folder / "dagster_home").mkdir(parents=True)
    (folder / "varro.toml").write_text("[tables]\nfollow = []\n", encoding="utf-8")
    for name in ("workspace.yaml", "dagster_home/dagster.yaml"):
        shutil.copyfile(PROJECT / name, folder / name)
    dropped = {"PYTHONDONTWRITEBYTECODE", "DATABASE_URL", "DAGSTER_DATABASE_URL", "DAGSTER_HOME", "CONTEXT_DIR"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    ours = {"VARRO_HOME": str(folder), "DATA_DIR": "data", "DST_API_SLEEP_SECONDS": "0", "COLUMNS": "120"}
    return Home(folder, {**kept, **ours})


@pytest.fixture
def home(reachable_folder: Path) -> Iterator[Home]:
    """A home of the test's own; its embedded server is stopped when the test ends."""
    made = make_home(reachable_folder / "home")
    yield made
    made.end()
