"""Documents on disk: what people wrote stays, and what is broken is refused untouched."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from varro_assets.context import doc_file
from varro_assets.errors import HandEdited, NotesConflict

TEXT = "table: fact.folk1a\n\nexamples:\n\n```sql\nSELECT 1\n```\n"
NEWER = TEXT.replace("SELECT 1", "SELECT 2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fact" / "borgere" / "folk1a.md"


def with_notes(path: Path, notes: bytes) -> None:
    doc_file.write(path, TEXT)
    path.write_bytes(path.read_bytes().removesuffix(b"notes:\n") + notes)


def refused(path: Path, match: str) -> None:
    """Writing is refused, with the path and advice, and changes nothing."""
    before = path.read_bytes()
    with pytest.raises(HandEdited, match=match) as caught:
        doc_file.write(path, NEWER)
    assert path.read_bytes() == before
    assert str(path) in str(caught.value)
    assert "notes:" in str(caught.value)
    assert caught.value.problem in (doc_file.intact(path) or "")


def test_the_layout(path: Path) -> None:
    assert doc_file.read(path) is None
    assert doc_file.intact(path) == f"{path} does not exist."
    assert doc_file.write(path, TEXT.rstrip("\n"))
    content = path.read_bytes().decode()
    assert re.fullmatch(re.escape(TEXT) + r"<!-- varro-assets: [0-9a-f]{12} -->\n\nnotes:\n", content)
    doc = doc_file.read(path)
    assert doc == doc_file.Doc(TEXT, b"notes:\n")
    assert not doc.has_notes
    assert doc_file.intact(path) is None


def test_the_same_text_again_touches_nothing(path: Path) -> None:
    with_notes(path, b"notes:\nmine")
    os.utime(path, ns=(1, 1))
    inode = path.stat().st_ino
    assert not doc_file.write(path, TEXT)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (1, inode)


@pytest.mark.parametrize(
    "notes",
    [
        b"notes:",
        b"notes:\r\nline\r\nno end",
        b"notes:\n\xef\xbb\xbfBOM in the middle\n",
        b"notes:\n\xff\xfe not UTF-8 \x00\n",
        b"notes:\n```\nnever closed\n",
        b"notes:\nnotes:\n<!-- varro-assets: 0123456789ab -->\n\nnotes:\n",
        b"notes:\n\n\n",
        b"notes:\nlone\rreturn",
    ],
)
def test_notes_survive_byte_for_byte(path: Path, notes: bytes) -> None:
    with_notes(path, notes)
    assert doc_file.write(path, NEWER)
    assert path.read_bytes().endswith(b"-->\n\n" + notes)
    assert doc_file.read(path) == doc_file.Doc(NEWER, notes)
    assert doc_file.write(path, TEXT)
    moved = path.with_name("moved.md")
    assert doc_file.move(path, moved, NEWER)
    assert doc_file.read(moved) == doc_file.Doc(NEWER, notes)


def test_a_deleted_notes_line_comes_back(path: Path) -> None:
    with_notes(path, b"")
    assert doc_file.write(path, TEXT)
    assert path.read_bytes().endswith(b"-->\n\nnotes:\n")


def test_an_editor_that_turns_line_ends_and_adds_a_mark_has_edited_nothing(path: Path) -> None:
    with_notes(path, b"notes:\nmine\n")
    windows = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(windows)
    assert doc_file.intact(path) is None
    assert not doc_file.write(path, TEXT)
    assert path.read_bytes() == windows
    assert doc_file.write(path, NEWER)
    assert path.read_bytes().endswith(b"-->\n\nnotes:\r\nmine\r\n")
    assert path.read_bytes().startswith(b"table:")


def test_a_generated_part_edited_by_hand(path: Path) -> None:
    with_notes(path, b"notes:\nmine\n")
    path.write_bytes(path.read_bytes().replace(b"SELECT 1", b"SELECT 1, 2"))
    refused(path, "not as it was written")


def test_text_between_the_generated_part_and_the_notes(path: Path) -> None:
    with_notes(path, b"my remark\n\nnotes:\nmine\n")
    refused(path, "text between")


@pytest.mark.parametrize("notes", [b"my remark\n", b" notes:\nindented\n", b"notes: on the same line\n", b"Notes:\nx"])
def test_text_below_that_no_notes_line_begins(path: Path, notes: bytes) -> None:
    with_notes(path, notes)
    refused(path, "text between")


@pytest.mark.parametrize(
    "opening", [b"```\n", b"~~~\n", b"   ```` sql\n", b"```\n~~~\n", b"````\n```\n", b"```\n``` x\n"]
)
def test_a_code_block_that_swallows_the_notes(path: Path, opening: bytes) -> None:
    with_notes(path, b"notes:\nmine\n")
    path.write_bytes(opening + path.read_bytes().replace(b"```sql\nSELECT 1\n```\n", b""))
    refused(path, "not closed")


@pytest.mark.parametrize("line", [b"    ```\n", b"`` `\n", b"``` a`b\n", b"text ```\n"])
def test_what_looks_like_a_code_block_and_is_none(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(line + b"notes:\nmine")
    assert doc_file.write(path, TEXT)
    assert doc_file.read(path) == doc_file.Doc(TEXT, b"notes:\nmine")


def test_the_predecessors_document(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"table: fact.folk1a\n```\nnotes:\n```\ndim docs: x\n\nnotes:\n- theirs")
    assert "another program" in (doc_file.intact(path) or "")
    assert doc_file.write(path, TEXT)
    assert doc_file.read(path) == doc_file.Doc(TEXT, b"notes:\n- theirs")


@pytest.mark.parametrize("content", [b"", b"somebody's own file\n", b"```\nnotes:\n```\n"])
def test_a_file_that_is_no_document(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    refused(path, "neither a stamp nor a line")


def test_a_document_that_begins_with_its_notes_after_a_byte_order_mark(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xef\xbb\xbfnotes:\nmine")
    assert doc_file.write(path, TEXT)
    assert doc_file.write(path, NEWER)
    assert doc_file.read(path) == doc_file.Doc(NEWER, b"notes:\nmine")


@pytest.mark.parametrize(
    "text", ["a\nnotes:\nb", "```\nopen", "a\r\nb", "<!-- varro-assets: 0123456789ab -->\n", "\ufeffa", "a\n~~~\nb"]
)
def test_a_generated_text_with_structure_of_its_own_is_a_mistake(path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="structure"):
        doc_file.write(path, text)
    assert not path.exists()


def test_a_generated_text_may_speak_of_notes_in_a_code_block(path: Path) -> None:
    text = "```\nnotes:\n<!-- varro-assets: 0123456789ab -->\n```\n"
    assert doc_file.write(path, text)
    assert not doc_file.write(path, text)


# -- moving --------------------------------------------------------------------------------------------------------


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "fact" / "økonomi" / "priser" / "folk1a.md"


def test_a_move_takes_the_notes_and_leaves_no_empty_folder(path: Path, new: Path, tmp_path: Path) -> None:
    with_notes(path, b"notes:\nmine")
    assert doc_file.move(path, new, NEWER)
    assert doc_file.read(new) == doc_file.Doc(NEWER, b"notes:\nmine")
    assert sorted(entry.name for entry in (tmp_path / "fact").iterdir()) == ["økonomi"]
    os.utime(new, ns=(1, 1))
    assert not doc_file.move(path, new, NEWER)
    assert new.stat().st_mtime_ns == 1


def test_a_folder_with_something_else_stays(path: Path, new: Path) -> None:
    with_notes(path, b"notes:\nmine")
    other = path.with_name("other.md")
    other.write_text("x")
    doc_file.move(path, new, TEXT)
    assert other.read_text() == "x"
    assert not path.exists()


def test_a_move_to_where_it_is(path: Path) -> None:
    with_notes(path, b"notes:\nmine")
    assert not doc_file.move(path, path, TEXT)
    assert doc_file.read(path) == doc_file.Doc(TEXT, b"notes:\nmine")


def test_a_move_down_into_a_folder_beside_it(path: Path) -> None:
    with_notes(path, b"notes:\nmine")
    below = path.parent / "deeper" / path.name
    doc_file.move(path, below, TEXT)
    doc_file.move(below, path, TEXT)
    assert doc_file.read(path) == doc_file.Doc(TEXT, b"notes:\nmine")
    assert list(path.parent.iterdir()) == [path]


def test_a_crash_between_writing_and_removing_heals(path: Path, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_notes(path, b"notes:\nmine")

    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(doc_file, "remove", crash)
        with pytest.raises(KeyboardInterrupt):
            doc_file.move(path, new, NEWER)
    assert path.exists()
    assert new.exists()
    assert doc_file.move(path, new, NEWER)
    assert not path.exists()
    assert doc_file.read(new) == doc_file.Doc(NEWER, b"notes:\nmine")


@pytest.mark.parametrize(
    ("old", "other", "kept"),
    [
        (b"notes:\nmine", b"notes:\n", b"notes:\nmine"),
        (b"notes:\r\n\r\n", b"notes:\nmine", b"notes:\nmine"),
        (b"notes:\nmine", b"notes:\nmine", b"notes:\nmine"),
    ],
)
def test_of_two_the_one_with_notes_wins(path: Path, new: Path, old: bytes, other: bytes, kept: bytes) -> None:
    with_notes(path, old)
    with_notes(new, other)
    assert doc_file.move(path, new, NEWER)
    assert doc_file.read(new) == doc_file.Doc(NEWER, kept)
    assert not path.exists()


def test_two_different_notes_are_both_kept(path: Path, new: Path) -> None:
    with_notes(path, b"notes:\nmine")
    with_notes(new, b"notes:\nhers")
    before = path.read_bytes(), new.read_bytes()
    with pytest.raises(NotesConflict) as caught:
        doc_file.move(path, new, NEWER)
    assert (path.read_bytes(), new.read_bytes()) == before
    assert str(path) in str(caught.value)
    assert str(new) in str(caught.value)


def test_a_move_of_what_was_edited_by_hand_changes_nothing(path: Path, new: Path) -> None:
    with_notes(path, b"notes:\nmine")
    path.write_bytes(b"mine too\n" + path.read_bytes())
    with pytest.raises(HandEdited):
        doc_file.move(path, new, NEWER)
    assert not new.exists()
    assert path.exists()
