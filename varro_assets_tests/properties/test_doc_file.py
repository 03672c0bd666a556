"""Whatever people write below ``notes:``, and whatever happens to the document, their bytes stay."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.context import doc_file
from varro_assets.context.places import LONGEST_PART, DocumentPaths, path_part
from varro_assets.context.text.lines import folded
from varro_assets.statbank.catalog import Place

awkward = st.sampled_from(
    [
        b"notes:",
        b"```",
        b"~~~",
        b"\r\n",
        b"\n",
        b"<!-- varro-assets: 0123456789ab -->\n",
        b"\xef\xbb\xbf",
        b"\xff",
        b" ",
    ]
)
notes = st.lists(st.one_of(st.binary(max_size=12), awkward), max_size=8).map(b"".join).map(b"notes:\n".__add__)
lines = st.one_of(
    st.text(max_size=30).map(folded).map("note: {}".format), st.sampled_from(["```sql\nnotes:\nx\n```", "", "- a"])
)
texts = st.lists(lines, min_size=1, max_size=5).map("\n".join)
steps = st.lists(st.tuples(st.sampled_from(["a/x.md", "a/b/x.md", "c/x.md"]), texts), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(notes, texts, steps)
def test_notes_survive_any_regenerations_and_moves(written: bytes, first: str, then: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "a" / "x.md"
        doc_file.write(here, first)
        here.write_bytes(here.read_bytes().removesuffix(b"notes:\n") + written)
        for place, text in then:
            there = Path(folder) / place
            doc_file.move(here, there, text)
            here = there
            doc = doc_file.read(here)
            assert doc is not None
            assert doc.notes == written
            assert doc.generated == text.rstrip("\n") + "\n"
            assert [path for path in Path(folder).rglob("*") if path.is_file()] == [here]
            stamp = here.stat()
            assert not doc_file.write(here, text)
            assert (here.stat().st_mtime_ns, here.stat().st_ino) == (stamp.st_mtime_ns, stamp.st_ino)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80) | st.lists(awkward, max_size=10).map(b"".join), texts)
def test_any_file_is_either_kept_from_its_notes_on_or_refused_untouched(content: bytes, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.md"
        path.write_bytes(content)
        try:
            doc_file.write(path, text)
        except doc_file.HandEdited:
            assert path.read_bytes() == content
        else:
            after = doc_file.read(path)
            assert after is not None
            assert after.notes == doc_file.NO_NOTES or content.endswith(after.notes)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=300))
def test_a_part_of_a_path_is_always_safe(title: str) -> None:
    part = path_part(title)
    assert part
    assert part not in {".", ".."}
    assert not part.startswith(".")
    assert not set(part) & {"/", "\\", "\0", "\n", " "}
    assert len(part.encode()) <= LONGEST_PART
    assert path_part(part) == part or len(part.encode()) >= LONGEST_PART - 4


titles = st.sampled_from(["Priser", "priser", "Priser ", "Index", "A/B", "A_B", "", "..", "Priser (2)", "x" * 300])


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.integers(1, 12).map(str), titles, min_size=1, max_size=8), st.booleans())
def test_no_two_subjects_share_a_path(subjects: dict[str, str], deep: bool) -> None:
    above = (("Borgere",), ("1",)) if deep else ((), ())
    places = [Place((*above[0], title), (*above[1], node)) for node, title in subjects.items()]
    paths = DocumentPaths(places)
    found = {paths.subject_path(place) for place in places}
    assert len(found) == len(places)
    assert "subjects/index.md" not in found
    assert all(len(part.encode()) <= LONGEST_PART for place in places for part in paths.parts(place))
    again = DocumentPaths(reversed(places))
    assert [paths.parts(place) for place in places] == [again.parts(place) for place in places]
