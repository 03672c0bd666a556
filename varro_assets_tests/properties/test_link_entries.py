"""Link files: any link comes back as it was written."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.dimensions.links import link_file
from varro_assets.dimensions.models import Link, MadeBy, MatchType, Unmatched

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
shares = st.integers(0, 10_000).map(lambda number: number / 10_000)
levels = st.lists(st.integers(1, 9), unique=True, max_size=4).map(lambda found: tuple(sorted(found)))
links = st.builds(
    Link,
    column=texts,
    dimension=texts,
    match_type=st.sampled_from(MatchType),
    join=texts,
    join_override=st.none() | texts.filter(bool),
    normalisation=texts,
    coverage=shares,
    levels=levels,
    level_coverage=st.dictionaries(st.integers(1, 9), st.tuples(st.integers(0, 99), st.integers(1, 99)), max_size=3),
    unmatched=st.lists(st.builds(Unmatched, texts, texts, st.booleans()), max_size=3).map(tuple),
    repeated=st.lists(texts, max_size=3).map(tuple),
    score=shares,
    reasons=st.lists(texts, max_size=3).map(tuple),
    note=texts,
    made_by=st.sampled_from(MadeBy),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(links, max_size=4))
def test_round_trip(listed: list[Link]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "TEST1.json"
        link_file.write(path, listed)
        before = path.read_bytes()
        assert link_file.read(path) == listed
        assert not link_file.write(path, link_file.read(path))
        assert path.read_bytes() == before
