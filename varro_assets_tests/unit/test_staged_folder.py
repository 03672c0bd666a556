"""Staged folder: it takes a free place, and nothing that somebody put there ever goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from varro_assets.engine import staged_folder
from varro_assets.errors import ConfigurationError

TOKEN = "0123456789abcdef" * 2


def staged_at(target: Path) -> Path:
    folder = staged_folder.beside(target.parent, TOKEN, target.name)
    folder.mkdir(parents=True)
    (folder / "new").write_text("new", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["note.md", ".git/HEAD", ".staging-mine/note", ".restore-notes/a", "below/.keep"])
def test_what_lies_there_is_named_and_stays(tmp_path: Path, name: str) -> None:
    target = tmp_path / "context"
    (target / name).parent.mkdir(parents=True)
    (target / name).write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        staged_folder.take_place(staged_at(target), target)
    assert name in refused.value.problem
    assert ("hidden" in refused.value.todo) is ("." in name.replace("note.md", ""))
    assert (target / name).read_text(encoding="utf-8") == "mine"
    assert not (target / "new").exists()


def test_links_count_as_files(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "context"
    target.mkdir()
    (target / "notes").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="not empty: notes"):
        staged_folder.refuse_unless_free([target])
    (tmp_path / "dst").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="it is a link"):
        staged_folder.refuse_unless_free([tmp_path / "dst"])


@pytest.mark.parametrize("there", [None, "", "a/b", f".staging-12-{TOKEN}/c", f"T/.restore-{TOKEN}-KORD1/d"])
def test_a_place_without_files_is_taken(tmp_path: Path, there: str | None) -> None:
    target = tmp_path / "data" / "dst"
    if there is not None:
        (target / there).mkdir(parents=True)
        for folder in target.rglob(f".*{TOKEN}*"):
            (folder / "half.parquet").write_bytes(b"PAR1")
    staged_folder.take_place(staged_at(target), target)
    assert [path.name for path in target.iterdir()] == ["new"]


def test_only_leavings_of_that_name_are_swept(tmp_path: Path) -> None:
    staged_at(tmp_path / "context")
    (tmp_path / ".restore-notes-context").mkdir()
    with staged_folder.swept([staged_folder.beside(tmp_path, "f" * 32, "dst")]):
        assert len(list(tmp_path.iterdir())) == 2
    with staged_folder.swept([staged_folder.beside(tmp_path, "f" * 32, "context")]):
        assert [path.name for path in tmp_path.iterdir()] == [".restore-notes-context"]


@pytest.mark.parametrize("came", ["note.md", f".staging-12-{TOKEN}/c"])
def test_what_comes_before_the_rename_is_left_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, came: str
) -> None:
    target = tmp_path / "context"
    staged = staged_at(target)
    clear = staged_folder._clear

    def cleared(folder: Path) -> None:
        clear(folder)
        (folder / came).parent.mkdir(parents=True)
        (folder / came).write_text("mine", encoding="utf-8")

    monkeypatch.setattr(staged_folder, "_clear", cleared)
    with pytest.raises(ConfigurationError, match=r"note\.md" if came == "note.md" else "meanwhile"):
        staged_folder.take_place(staged, target)
    assert (target / came).read_text(encoding="utf-8") == "mine"
    assert (staged / "new").is_file()


def test_a_file_where_a_folder_is_to_be_is_left_and_named(tmp_path: Path) -> None:
    target = tmp_path / "context"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="context"):
        staged_folder.take_place(staged_at(target), target)
    assert target.read_text(encoding="utf-8") == "mine"


def test_one_restore_of_everything_or_several_of_a_table_each(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "data"
    with staged_folder.alone(folder):
        for shared in (False, True):
            with pytest.raises(ConfigurationError, match="another restore"), staged_folder.alone(folder, shared=shared):
                pass
    with (
        staged_folder.alone(folder, shared=True),
        staged_folder.alone(folder, shared=True),
        pytest.raises(ConfigurationError, match="another restore"),
        staged_folder.alone(folder),
    ):
        pass
    with pytest.raises(KeyboardInterrupt), staged_folder.alone(folder):
        raise KeyboardInterrupt
    with staged_folder.alone(folder):
        pass
