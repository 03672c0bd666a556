"""Small files: the old one or the whole new one, whatever happens in between."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from varro_assets.engine import files
from varro_assets.errors import StorageFull

OLD = "old\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "varro.toml"
    path.write_text(OLD)
    return path


def test_a_new_file_and_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "æøå.json"
    files.write_json(path, {"text": "Hele landet", "område": ["Ærø", None, 1.5]})
    text = path.read_text(encoding="utf-8")
    assert "område" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"text": "Hele landet", "område": ["Ærø", None, 1.5]}
    assert [entry.name for entry in path.parent.iterdir()] == ["æøå.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_line_ends_are_the_callers(file: Path) -> None:
    files.write_text(file, "a\r\nb\n")
    assert file.read_bytes() == b"a\r\nb\n"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_replaced_file_keeps_its_mode(file: Path, mode: int) -> None:
    file.chmod(mode)
    files.write_text(file, "new")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", mode)


@pytest.mark.parametrize("step", ["fsync", "fdopen"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_the_old_file(file: Path, step: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, step, full)
    with pytest.raises(StorageFull) as caught:
        files.write_text(file, "new")
    monkeypatch.undo()
    assert file.read_text() == OLD
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    for part in ("varro.toml", os.strerror(number), "Free some space"):
        assert part in str(caught.value)


def test_no_room_even_for_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(StorageFull):
        files.write_text(tmp_path / "new" / "file", "new")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_disk_that_is_really_full(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_the_full_device(prefix: str, suffix: str, dir: Path) -> tuple[int, str]:  # noqa: A002
        return os.open("/dev/full", os.O_WRONLY), str(dir / f"{prefix}{suffix}")

    monkeypatch.setattr(files.tempfile, "mkstemp", on_the_full_device)
    with pytest.raises(StorageFull):
        files.write_text(file, "new" * 100_000)
    assert file.read_text() == OLD


def test_other_complaints_of_the_system_keep_their_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(PermissionError):
        files.write_text(file, "new")
    assert file.read_text() == OLD
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_text_that_is_no_unicode_leaves_the_old_file(file: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        files.write_text(file, "\ud800")
    assert file.read_text() == OLD
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_process_killed_before_the_rename_leaves_the_old_file(file: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from varro_assets.engine import files\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_text(Path(sys.argv[1]), 'new')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(file)], check=False, timeout=240)
    assert done.returncode == -signal.SIGKILL
    assert file.read_text() == OLD
    assert all(entry == file or entry.name.startswith(f".{file.name}.") for entry in file.parent.iterdir())
    files.write_text(file, "new")
    assert file.read_text() == "new"


def test_what_is_fsynced_before_the_rename_and_after(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    files.write_text(file, "new")
    assert steps == ["file", "rename", "folder"]


def test_a_folder_taken_away_before_the_file_is_there_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, make, taken = tmp_path / "a" / "b", tempfile.mkstemp, []

    def taken_away(prefix: str, suffix: str, dir: Path) -> tuple[int, str]:  # noqa: A002
        if len(taken) < 2:
            taken.append(dir)
            dir.rmdir()
        return make(prefix=prefix, suffix=suffix, dir=dir)

    monkeypatch.setattr(files.tempfile, "mkstemp", taken_away)
    files.write_text(folder / "file", "new")
    assert (folder / "file").read_text() == "new"
    assert taken == [folder, folder]


def test_a_file_in_the_place_of_the_folder_is_named(file: Path) -> None:
    with pytest.raises(FileExistsError):
        files.write_text(file / "below", "new")


def test_a_folder_that_goes_while_we_look_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.md", "b/2.md", "b/2.txt", "c/d/3.md"):
        files.write_text(tmp_path / name, "")
    (tmp_path / "c" / "folder.md").mkdir()
    assert [str(path.relative_to(tmp_path)) for path in files.below(tmp_path, ".md")] == [
        "a/1.md", "b/2.md", "c/d/3.md", "c/folder.md",
    ]  # fmt: skip
    look = os.scandir

    def goes(folder: str | int) -> object:
        # rmtree looks as well, by descriptor
        if isinstance(folder, str) and Path(folder).name == "b":
            shutil.rmtree(folder)
        return look(folder)

    monkeypatch.setattr(files.os, "scandir", goes)
    assert [path.name for path in files.below(tmp_path, ".md")] == ["1.md", "3.md", "folder.md"]
    assert files.below(tmp_path / "never", ".md") == []


def test_a_file_that_goes_has_no_age(tmp_path: Path) -> None:
    for place, name in enumerate(("new", "old")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - place, 1000 - place))
    known = [tmp_path / name for name in ("new", "gone", "old")]
    assert files.by_age(known) == [(999, tmp_path / "old"), (1000, tmp_path / "new")]
