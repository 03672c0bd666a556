"""Every real tableinfo has a document, and every subject of the real tree a path of its own."""

from __future__ import annotations

import json
from pathlib import Path

import sqlglot

from varro_assets.context import doc_file
from varro_assets.context.cards import card, fact_columns
from varro_assets.context.places import DocumentPaths
from varro_assets.context.text import fact_doc, subject_page
from varro_assets.context.text.examples import fact_examples
from varro_assets.dimensions.classifications import code_list
from varro_assets.dimensions.links import linking
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.models import Subject
from varro_assets_tests.recorded.conftest import only
from varro_assets_tests.recorded.test_descriptions import described


def test_every_description_makes_a_document(material: Path, tmp_path: Path) -> None:
    for path in sorted((material / "tableinfo").glob("*.json")):
        info = described(path)
        made = card(info, [], [], {}, info.tids, 1, DocumentPaths([]))
        examples = fact_examples(made)
        document = tmp_path / f"{path.stem}.md"
        assert doc_file.write(document, fact_doc.text(made, examples))
        assert not doc_file.write(document, fact_doc.text(made, examples))
        text = document.read_text("utf-8")
        assert text.startswith(f"table: fact.{info.id.lower()}\nid: {info.id}\n")
        assert all(f"\n- {column.name}: values [" in text for column in made.columns)
        assert all(len(sqlglot.parse(example.sql, dialect="postgres")) == 1 for example in examples)


def test_the_areas_of_folk1a_join_and_the_country_is_the_total(recorded: Path) -> None:
    info = described(only(recorded, "tableinfo/FOLK1A_da*.json"))
    area = fact_columns(info)[0]
    dimension = code_list.dimension_of(area, name="nuts")
    link = linking.propose(area, [dimension])
    assert link is not None
    made = card(info, [], [link], {"nuts": dimension}, info.tids, 1, DocumentPaths([]))
    text = fact_doc.text(made, fact_examples(made))
    line = next(one for one in text.splitlines() if one.startswith("- omrade: "))
    assert line.startswith("- omrade: join dim.nuts on omrade=kode; levels [1, 2]; exact; level 1")
    assert "; not in dim.nuts: 000=Hele landet (total); total 000=Hele landet" in line
    assert "dim docs: /dim/nuts.md\n" in text


def test_every_subject_has_a_path_of_its_own(material: Path) -> None:
    body = json.loads(only(material, "subjects/subjects_recursive_*.json").read_text("utf-8"))
    roots = tuple(Subject.model_validate(one) for one in body)
    leaves = [path for root in roots for path in root.walk() if not path[-1].subjects]
    filled = [
        Subject.model_validate(leaf[-1].model_dump() | {"tables": [{"id": f"T{number}"}]})
        for number, leaf in enumerate(leaves)
    ]
    assert filled
    # each leaf as the catalogue sees it: with a table on it
    places = [
        place
        for leaf, node in zip(leaves, filled, strict=True)
        for found in Catalogue("x", "", {}, (_chain(leaf[:-1], node),)).places.values()
        for place in found
    ]
    paths = DocumentPaths(places)
    pages = [paths.subject_path(place) for place in places]
    assert len(set(pages)) == len(pages) == len(leaves)
    assert all(page == page.lower() and " " not in page and "/." not in page for page in pages)
    index = subject_page.index(places, paths)
    assert len(index) < 20_000, "it is to be compact"
    assert all(f"(/subjects/{paths.parts(place)[0]})" in index for place in places)


def _chain(above: tuple[Subject, ...], node: Subject) -> Subject:
    """The leaf below copies of what is above it, alone."""
    for parent in reversed(above):
        node = Subject(id=parent.id, description=parent.description, subjects=(node,))
    return node
