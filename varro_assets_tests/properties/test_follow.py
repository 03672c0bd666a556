"""varro.toml as laws: what is added can be read, what is removed is gone, and nothing else moves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets import follow
from varro_assets.follow import FollowFile

_ids = st.from_regex(r"\A[A-Z0-9]{2,8}\Z")
_entries = st.one_of(
    _ids,
    st.from_regex(r"\A[A-Z0-9]{0,4}[*?][A-Z0-9]{0,3}\Z"),
    st.from_regex(r"\Asubject:[a-zæøå0-9 ,.\"'\\#/]{0,20}[a-zæøå0-9]\Z"),
)
_lists = st.lists(_entries, max_size=6, unique_by=lambda entry: entry.strip().casefold())
_comments = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "varro.toml"


def laid_out(entries: list[str], comments: list[str], multiline: bool) -> str:
    quoted = [tomlkit.item(entry).as_string() for entry in entries]
    if not multiline:
        return f"[tables]\nfollow = [{', '.join(quoted)}] # end\nexclude = ['ZZ9']\n"
    lines = "".join(f"  {entry}, # {comment}\n" for entry, comment in zip(quoted, comments, strict=False))
    return f"# top\n[tables]\nfollow = [\n{lines}]\nexclude = ['ZZ9'] # end\n"


@given(_lists, _lists, st.data(), st.lists(_comments, min_size=6, max_size=6), st.booleans())
@settings(deadline=None)
def test_a_change_does_what_it_says(
    file: Path, before: list[str], more: list[str], data: st.DataObject, comments: list[str], multiline: bool
) -> None:
    gone = data.draw(st.lists(st.sampled_from(before), unique=True)) if before else []
    keys = {entry.casefold() for entry in before}
    file.write_text(laid_out(before, comments, multiline), encoding="utf-8", newline="")
    assert list(follow.read(file).tables.follow) == before
    new = [entry for entry in more if entry.casefold() not in keys]
    assert follow.change(file, add=more, remove=gone) == (new, gone)
    spec = follow.read(file)
    assert list(spec.tables.follow) == [entry for entry in before if entry not in gone] + new
    assert spec.tables.exclude == ("ZZ9",)
    assert "# end" in file.read_text(encoding="utf-8")
    # and back
    assert follow.change(file, remove=new) == ([], new)
    assert list(follow.read(file).tables.follow) == [entry for entry in before if entry not in gone]


@given(st.lists(_ids, unique=True, max_size=20), _lists, _lists)
@settings(deadline=None)
def test_any_choice(tables: list[str], entries: list[str], excluded: list[str]) -> None:
    spec = FollowFile.model_validate({"tables": {"follow": entries, "exclude": excluded}})
    chosen = spec.resolve(tables, {})
    assert len(set(chosen)) == len(chosen)
    in_catalogue = [table for table in chosen if table in tables]
    assert in_catalogue == [table for table in tables if table in chosen]
    unknown = chosen[len(in_catalogue) :]
    assert unknown == sorted(unknown)
    assert set(unknown) <= set(entries)
    assert not set(chosen) & set(excluded)
    everything = FollowFile.model_validate({"tables": {"follow": [*entries, "*"]}}).resolve(tables, {})
    assert everything[: len(tables)] == tables
