"""Interruption: a run that dies between any two of its steps is completed by the next one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from varro_assets.context import holdings, page_record
from varro_assets.settings import Settings
from varro_assets_tests.conftest import PROJECT
from varro_assets_tests.documents.conftest import FEW, Home, note


class Death(BaseException):
    """Nothing of ours catches it."""


class Reaper:
    """Counts steps that change something, and dies at one of them.

    Attributes:
        steps: so far.
        at: the step at which to die; 0 = never.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = self.at = 0
        self._watch(monkeypatch, Path, "replace")
        self._watch(monkeypatch, Path, "unlink")
        self._watch(monkeypatch, holdings, "remember")
        self._watch(monkeypatch, page_record, "remember")

    def _watch(self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
        does = getattr(owner, name)

        def step(*arguments: object, **options: object) -> object:
            # temporary files are taken away on the way out
            if not str(arguments[0]).endswith(".tmp") or name == "replace":
                self.steps += 1
                if self.steps == self.at:
                    raise Death
            return does(*arguments, **options)

        monkeypatch.setattr(owner, name, step)


def change(home: Home, chance: random.Random, kinds: list[str]) -> None:
    """One publication, edit or wish."""
    universe, table = home.simulator.universe, chance.choice(FEW)
    match chance.choice(kinds):
        case "move":
            leaf = chance.choice(["20015", "20021", "20004"])
            if leaf not in universe.table(table).subjects:
                home.age_the_subject_tree()
                universe.move(table, to=leaf)
        case "revise_classification":
            universe.revise_classification("nuts", kode="084", titel=f"Region {chance.randrange(10**6)}")
            home.fetch("nuts")
        case "annotate":
            universe.annotate(table, text=f"Note {chance.randrange(10**6)}")
        case "relabel":
            universe.relabel(table)
        case kind:
            universe.publish(kind, table)
    home.sync(*FEW)


KINDS = [
    "move",
    "move",
    "publish_period",
    "relabel",
    "annotate",
    "change_dimensions",
    "revise_classification",
    "restate",
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_any_history_ends_like_a_new_home_with_the_notes(
    few: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    kept = {table: note(few.fact_doc(table), f"mine about {table}\r\n".encode()) for table in FEW}
    reaper = Reaper(monkeypatch)
    deaths = 0
    for _ in range(6):
        reaper.at = 0
        change(few, chance, KINDS)
        reaper.steps, reaper.at = 0, chance.choice([0, *range(1, 12)])
        try:
            few.document()
        except Death:
            deaths += 1
        if chance.random() < 0.3:
            table = chance.choice(FEW)
            lying = list((few.settings.context_dir / "fact").rglob(f"{table.lower()}.md"))
            if len(lying) == 1:
                kept[table] = note(lying[0], b"more\n")
    reaper.at = 0
    report = few.document()
    assert report.problems == {}
    assert deaths
    assert few.generated() == few.as_if_new(tmp_path / "new")
    for table, notes in kept.items():
        assert few.fact_doc(table).read_bytes().endswith(b"\n" + notes)
    assert few.document().tables == []


@pytest.mark.slow
@pytest.mark.timeout(1500)  # many whole runs: this only ends a wait without hope
def test_a_run_that_dies_at_each_step_in_turn(few: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A period comes and a table moves; whatever was still to be written is written by the next run."""
    reaper = Reaper(monkeypatch)
    kept = note(few.fact_doc("BY1"), b"mine\n")
    subjects = ["20015", "20004"]
    step = 0
    finished = False
    while not finished:
        step += 1
        here = few.simulator.universe.table("BY1").subjects[0]
        few.age_the_subject_tree()
        few.simulator.universe.move("BY1", to=next(leaf for leaf in subjects if leaf != here))
        few.simulator.universe.publish_period("BY1")
        few.sync("BY1")
        reaper.steps, reaper.at = 0, step
        try:
            few.document()
            finished = True
        except Death:
            reaper.at = 0
            assert few.document().problems == {}
            found = few.generated()
            assert found == few.as_if_new(tmp_path / "new"), step
            assert few.fact_doc("BY1").read_bytes().endswith(b"\n" + kept), step
    assert step > 8


VICTIM = """
import sys
from varro_assets.context import documents
from varro_assets.context.sources import open_context
from varro_assets.settings import Settings
settings = Settings.load()
print("ready", flush=True)
documents.write(open_context(settings, settings.database_url), everything=True)
"""


def environment(settings: Settings) -> dict[str, str]:
    url = settings.database_url
    assert url is not None
    return os.environ | {
        "VARRO_HOME": str(settings.home),
        "DATABASE_URL": url.get_secret_value(),
        "DST_API_URL": settings.dst_api_url,
        "DST_SITE_URL": settings.dst_site_url,
        "GEO_URL": settings.geo_url,
    }


@pytest.mark.slow
@pytest.mark.timeout(1500)  # many whole runs: this only ends a wait without hope
def test_killed_processes_leave_nothing_behind(documented: Home, tmp_path: Path) -> None:
    """SIGKILL at random moments, on files that have to be written again; then one quiet run."""
    chance = random.Random(5)
    before = documented.generated()
    kept = note(documented.fact_doc("FOLK1A"), b"mine\n")
    for _ in range(8):
        # on a busy machine those before it may have died before they wrote any of them again
        left = [path for path in documented.files() if path.suffix != ".md"]
        for path in chance.sample(left, min(10, len(left))):
            path.unlink()
        process = subprocess.Popen(
            [sys.executable, "-c", VICTIM], env=environment(documented.settings), cwd=PROJECT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        process.stdout.close()
    assert documented.document(everything=True).problems == {}
    assert documented.generated() == before
    assert documented.fact_doc("FOLK1A").read_bytes().endswith(kept)


def test_half_written_files_of_the_dead_are_swept(few: Home) -> None:
    folder = few.settings.context_dir / "fact"
    dead, alive, own = (folder / name for name in (".by1.md.abc.tmp", ".by1.md.xyz.tmp", "list.tmp"))
    for path in (dead, alive, own):
        path.write_bytes(b"half")
    os.utime(dead, (0, 0))
    os.utime(own, (0, 0))
    assert few.document().problems == {}
    assert [path.exists() for path in (dead, alive, own)] == [False, True, True]


@pytest.mark.slow
def test_several_at_once(few: Home, tmp_path: Path) -> None:
    """Two processes document while tables are synced; afterwards one run finds everything as it should be."""
    processes = [
        subprocess.Popen([sys.executable, "-c", VICTIM], env=environment(few.settings), cwd=PROJECT,
                         stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]  # fmt: skip
    for table in FEW:
        few.simulator.universe.publish_period(table)
        few.sync(table)
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    assert few.document().problems == {}
    assert few.generated() == few.as_if_new(tmp_path / "new")


def test_notes_written_between_the_two_halves_of_a_move(few: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new document was there when the run died, the old one still too; somebody went on writing in the new one."""
    old = few.fact_doc("FOLK1A")
    note(old, b"first\n")
    few.age_the_subject_tree()
    few.simulator.universe.move("FOLK1A", to="20015")
    few.sync("FOLK1A")
    remove = Path.unlink
    with monkeypatch.context() as patch:

        def die(path: Path, missing_ok: bool = False) -> None:
            if path == old:
                raise Death
            remove(path, missing_ok=missing_ok)

        patch.setattr(Path, "unlink", die)
        with pytest.raises(Death):
            few.document()
    (new,) = {*(few.settings.context_dir / "fact").rglob("folk1a.md")} - {old}
    kept = note(new, b"second\n")
    assert few.document().problems == {}
    assert not old.exists()
    assert new.read_bytes().endswith(kept)
