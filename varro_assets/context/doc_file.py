"""Document file: a generated part, a stamp that proves it, and notes that belong to people.

What belongs here: the layout of a document on disk, and how it is replaced or moved without touching a
byte of the notes. What a document says lies elsewhere.

The layout: generated text; the line ``<!-- varro-assets: 0123456789ab -->`` with the first 12 hex digits of the SHA-256
of all before it; a blank line; then, from the first line that is exactly ``notes:`` to the end, people's own bytes. A
``notes:`` inside a fenced code block (CommonMark 0.31, section 4.5) is text like any other. Line ends that an editor
turned into CRLF, and a byte order mark it put in front, do not count as an edit of the generated part.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from varro_assets.context.text.lines import NOTES, STAMP
from varro_assets.engine.disk import fsync
from varro_assets.engine.files import write_bytes
from varro_assets.errors import HandEdited, NotesConflict

NO_NOTES = f"{NOTES}\n".encode()
"""What a new document ends with, so that people see where to write."""
_BOM = b"\xef\xbb\xbf"
_FENCE = re.compile(rb" {0,3}(`{3,}|~{3,})(.*)")
_STAMP = re.compile(STAMP.pattern.encode(), re.ASCII)


@dataclass(frozen=True)
class Doc:
    """A document as it lies on disk.

    Attributes:
        generated: text above the stamp, or above the notes where there is no stamp.
        notes: people's bytes, from the line ``notes:`` on; empty if there is no such line.
        stamped: the stamp is there.
    """

    generated: str
    notes: bytes
    stamped: bool = True

    @property
    def has_notes(self) -> bool:
        """Somebody wrote something below the line ``notes:``."""
        return bool(self.notes[len(NOTES) :].strip())


def read(path: Path) -> Doc | None:
    """The document; None if there is none.

    Raises:
        HandEdited: its structure is broken, or its generated part was changed by hand.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return _split(path, content)


def write(path: Path, text: str) -> bool:
    """Replace the generated part; the notes stay byte for byte. A document without notes gets an empty ``notes:`` line.

    Args:
        path: of the document.
        text: the generated part, with plain line ends, without stamp and notes.

    Returns:
        Whether anything was written: nothing is when the generated part is this text already.

    Raises:
        HandEdited: the generated part was changed by hand, or the structure is broken; nothing was changed.
        StorageFull: the disk is full; the old document is untouched.
    """
    generated = _checked(text)
    doc = read(path)
    if doc is not None and doc.stamped and doc.notes and doc.generated == generated:
        return False
    write_bytes(path, _composed(generated, doc.notes if doc is not None else b""))
    return True


def move(old: Path, new: Path, text: str) -> bool:
    """Write the document at its new place with the notes of the old, then remove the old and folders left empty.

    A crash in between is healed by the next call: then both are there, and the notes are the same, only on one side, or
    those of one side go on where the other's end.

    Returns:
        Whether anything was changed.

    Raises:
        HandEdited: as `write`, of either document.
        NotesConflict: both hold notes, and different ones; both are kept.
        StorageFull: the disk is full; both are as they were.
    """
    # on a file system that folds case, or through a link, both may be one file
    before = None if _same(old, new) else read(old)
    if before is None:
        return write(new, text)
    after = read(new)
    # after a crash in between somebody may have gone on writing, in one of the two
    if after is None or not after.has_notes or before.notes.startswith(after.notes):
        notes = before.notes
    elif not before.has_notes or after.notes.startswith(before.notes):
        notes = after.notes
    else:
        raise NotesConflict(
            "move the document",
            on=f"{old} to {new}",
            got="both hold notes, and different ones",
            todo=f"Put what shall stay below the line `notes:` of {new}, delete {old}, and run again.",
        )
    content = _composed(_checked(text), notes)
    if not new.exists() or new.read_bytes() != content:
        write_bytes(new, content)
    remove(old, new.parent)
    return True


def _same(old: Path, new: Path) -> bool:
    return old == new or (old.exists() and new.exists() and old.samefile(new))


def remove(path: Path, keep: Path) -> None:
    """Delete a file, and the folders above it that it leaves empty.

    Args:
        path: the file; nothing happens to the file if it is not there.
        keep: a folder that stays, with all above it.
    """
    path.unlink(missing_ok=True)
    staying = {keep, *keep.parents}
    for folder in path.parents:
        if folder in staying:
            break
        # not empty, or gone already
        with contextlib.suppress(OSError):
            folder.rmdir()
    for folder in path.parents:
        # another may remove what lies beside it, and then the folder
        with contextlib.suppress(FileNotFoundError):
            fsync(folder)
            break


def intact(path: Path) -> str | None:
    """What is wrong with the document on disk; None if its next regeneration will go through and keep the notes."""
    try:
        doc = read(path)
    except HandEdited as error:
        return str(error)
    if doc is None:
        return f"{path} does not exist."
    return None if doc.stamped else f"{path} has no stamp: it was written by another program."


def _composed(generated: str, notes: bytes) -> bytes:
    body = generated.encode()
    return body + f"<!-- varro-assets: {_hash(body)} -->\n\n".encode() + (notes or NO_NOTES)


def _hash(generated: bytes) -> str:
    return hashlib.sha256(generated).hexdigest()[:12]


def _checked(text: str) -> str:
    """The text with one line end at its end; a ValueError if it would not be found again as it is."""
    generated = text.rstrip("\n") + "\n"
    body = generated.encode()
    marks = list(_marks(body))
    if "\r" in generated or generated.startswith("\ufeff") or marks != [("end", len(body))]:
        raise ValueError(f"a generated text must not hold document structure: {marks[0][0]} at byte {marks[0][1]}")
    return generated


def _split(path: Path, content: bytes) -> Doc:
    stamp: tuple[int, int, str] | None = None
    start = end = len(content)
    for mark, position in _marks(content):
        if mark == "notes":
            start = position
            break
        if mark == "fence":
            raise _edited(path, "a code block that is opened and not closed before the line `notes:`")
        if mark == "stamp" and stamp is None:
            end = content.find(b"\n", position) + 1 or len(content)
            match = _STAMP.match(content, position)
            stamp = (position, end, match[1].decode() if match else "")
    notes = content[start:]
    if stamp is None:
        if not notes:
            raise _edited(path, "neither a stamp nor a line `notes:`")
        return Doc(_normal(content[:start]).decode(errors="replace"), notes, stamped=False)
    position, end, expected = stamp
    body = _normal(content[:position])
    if _hash(body) != expected:
        raise _edited(path, "a generated part that is not as it was written")
    if content[end:start].strip():
        raise _edited(path, "text between the generated part and the line `notes:`")
    return Doc(body.decode(), notes)


def _normal(generated: bytes) -> bytes:
    return generated.removeprefix(_BOM).replace(b"\r\n", b"\n")


def _marks(content: bytes) -> Iterator[tuple[str, int]]:
    """Marks of structure outside code blocks, each with its first byte.

    ``stamp`` for each stamp, then one of ``notes``, ``fence`` (a code block that is never closed) and ``end``.
    """
    fence, opened = b"", 0
    position = len(_BOM) if content.startswith(_BOM) else 0
    for ended_line in content[position:].split(b"\n"):
        line = ended_line.removesuffix(b"\r")
        match = _FENCE.fullmatch(line)
        if fence:
            # closed by the same sign, at least as often, and nothing behind it
            if match and match[1].startswith(fence) and not match[2].strip(b" \t"):
                fence = b""
        elif match and not (match[1].startswith(b"`") and b"`" in match[2]):
            fence, opened = match[1], position
        elif line == NOTES.encode():
            yield "notes", position
            return
        elif _STAMP.fullmatch(line):
            yield "stamp", position
        position += len(ended_line) + 1
    yield ("fence", opened) if fence else ("end", len(content))


def _edited(path: Path, got: str) -> HandEdited:
    return HandEdited(
        "renew the document",
        on=str(path),
        got=got,
        todo=(
            "Nothing was changed. Move your text below a line `notes:` of its own at the end, restore what is above it "
            "or delete that, and run again."
        ),
    )
