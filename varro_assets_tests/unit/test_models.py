"""What the API says, parsed: what is taken as it comes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from varro_assets.errors import InvalidTableId, UnexpectedResponse
from varro_assets.statbank import models
from varro_assets.statbank.models import CatalogueEntry, Subject, TableInfo
from varro_assets_tests.table_bodies import body, entry, info, variable


def parsed(raw: Any) -> TableInfo:
    return models.parse(TableInfo, raw, what="fetch the description of table", on="FOLK1A", context=" (request id 7)")


def refused(raw: Any) -> str:
    with pytest.raises(UnexpectedResponse) as caught:
        parsed(raw)
    told = str(caught.value)
    assert "FOLK1A" in told
    assert "request id 7" in told
    return told


@pytest.mark.parametrize("text", ["folk1a", " FOLK1A\n", "Folk1A"])
def test_a_table_id_in_any_case(text: str) -> None:
    assert models.table_id(text) == "FOLK1A"


@pytest.mark.parametrize(
    "text",
    [
        "", "A", "NINECHARS", "FOLK 1A", "FOLK1A;", "FOLK'A", 'FOLK"A', "a/b", "../AB12", "FOLK1Æ", "straß", "ﬁ12",
        "ıx", "FOLK1A\x00", "１２３", "*", "x" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_table_id(text: str) -> None:
    with pytest.raises(InvalidTableId) as caught:
        models.table_id(text)
    assert "varro search" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_table() -> None:
    made = info(dimensions={"OMRÅDE": ("000", "084"), "ALDER": ("0", "100-", "IALT")}, tids=("2024K1", "2024K2"))
    assert made.columns == ("OMRÅDE", "ALDER", "TID", "INDHOLD")
    assert made.time.id == "Tid"
    assert made.tids == ("2024K1", "2024K2")
    assert [dimension.id for dimension in made.dimensions] == ["OMRÅDE", "ALDER"]
    assert [dimension.column for dimension in made.variables] == ["OMRÅDE", "ALDER", "TID"]
    assert made.dense_rows == 6
    assert made.variables[0].values[0].text == "000 (label)"


def test_time_need_not_come_last() -> None:
    raw = body()
    raw["variables"] = [raw["variables"][-1], *raw["variables"][:-1]]
    assert parsed(raw).columns == ("OMRÅDE", "KØN", "TID", "INDHOLD")
    assert parsed(raw).tids == ("2024K1", "2024K2")


def test_what_may_be_absent_or_null() -> None:
    made = parsed(body(documentation=None, footnote=None, contacts=[{"name": "", "phone": None, "mail": None}]))
    assert (made.documentation, made.footnote) == (None, None)
    bare = {key: value for key, value in body().items() if key in {"id", "text", "updated", "variables"}}
    made = parsed(bare)
    assert (made.description, made.unit, made.suppressedDataValue, made.active) == ("", "", "0", True)
    assert made.variables[0].map is None


def test_what_the_publisher_may_add() -> None:
    raw = body(newField={"a": [1]})
    raw["variables"][0] |= {"map": "Denmark_municipality_07", "unit": "x"}
    raw["variables"][0]["values"][0]["note"] = "new"
    made = parsed(raw)
    assert made.variables[0].map == "Denmark_municipality_07"
    assert "newField" not in made.model_dump()


def test_texts_of_any_length_and_content() -> None:
    raw = body(text="T" * 1000, footnote={"text": "a\r\n&apos; 🙂", "mandatory": True})
    raw["variables"][0]["values"][0]["text"] = "æ" * 1000
    raw["variables"][0]["values"][1]["text"] = ""
    made = parsed(raw)
    assert made.variables[0].values[0].text == "æ" * 1000
    assert made.footnote is not None
    assert made.footnote.text == "a\r\n&apos; 🙂"


def test_codes_are_text_and_stay_as_they_are() -> None:
    codes = ("000", "084", "0600", "100-", "NA", "null", "1e5", " x", "TOT", "ÆØÅ")
    assert info(dimensions={"A": codes}).dimensions[0].codes == codes
    raw = body()
    raw["variables"][0]["values"][0]["id"] = 7
    assert "variables.0.values.0.id" in refused(raw)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"id": "folk1a"}, "id"),
        ({"id": "../../AB12"}, "id"),
        ({"id": "FOLK1A\n"}, "id"),
        ({"id": None}, "id"),
        ({"updated": ""}, "updated"),
        ({"updated": "yesterday"}, "updated"),
        ({"updated": "2025-08-11T08:00:00+02:00"}, "updated"),
        ({"updated": "2025-08-11T06:00:00Z"}, "updated"),
        ({"updated": 20250811}, "updated"),
        ({"variables": []}, "variables"),
        ({"variables": None}, "variables"),
        ({"variables": {}}, "variables"),
        ({"variables": [variable("A", ["1"])]}, "exactly one time variable, this one has none"),
        ({"variables": [variable("T1", ["1"], time=True), variable("T2", ["2"], time=True)]}, "['T1', 'T2']"),
        ({"variables": [variable("A", []), variable("Tid", ["2024"], time=True)]}, "no codes for A"),
        ({"variables": [variable("A", ["1"]), variable("Tid", [], time=True)]}, "no codes for Tid"),
        ({"variables": [variable("A", ["1", "2", "1"]), variable("Tid", ["2024"], time=True)]}, "A is declared twice"),
        ({"variables": [variable("A", ["1"]), variable("Tid", ["1", "1"], time=True)]}, "Tid is declared twice"),
        ({"variables": [variable("A", [""]), variable("Tid", ["1"], time=True)]}, "variables.0.values.0.id"),
        ({"variables": [variable("", ["1"]), variable("Tid", ["1"], time=True)]}, "variables.0.id"),
        ({"footnote": "a text"}, "footnote"),
    ],
)
def test_what_is_not_of_the_documented_shape(change: dict[str, Any], place: str) -> None:
    assert place in refused(body() | change)


@pytest.mark.parametrize("raw", [None, [], "FOLK1A", 7, {}])
def test_what_is_no_table_at_all(raw: Any) -> None:
    assert "not as documented" in refused(raw)


@pytest.mark.parametrize(
    "text", ["2025-08-11T08:00:00", "2025-08-11 08:00:00", "2025-08-11T08:00", "2025-08-11T08:00:00.000"]
)
def test_one_moment_has_one_spelling(text: str) -> None:
    """Catalogue, description and database are compared as text; two spellings would be due for ever."""
    assert info(updated=text).updated == "2025-08-11T08:00:00"
    assert CatalogueEntry.model_validate(entry("FOLK1A", text)).updated == "2025-08-11T08:00:00"


def test_the_content_key_tells_one_publication_from_another() -> None:
    base = info()
    assert info(text="Another title", unit="x", footnote=None).content_key == base.content_key
    different = [
        info(updated="2025-08-12T08:00:00"),
        info(dimensions={"OMRÅDE": ("000",), "KØN": ("M", "K")}),
        info(dimensions={"OMRÅDE": ("084", "000"), "KØN": ("M", "K")}),
        info(dimensions={"OMRÅDE": ("000", "084"), "SEX": ("M", "K")}),
        info(dimensions={"KØN": ("M", "K"), "OMRÅDE": ("000", "084")}),
        info(tids=("2024K1", "2024K2", "2024K3")),
    ]
    assert len({base.content_key, *(other.content_key for other in different)}) == 7


@pytest.mark.parametrize("change", [{"id": "a/b"}, {"variables": []}, {"updated": "soon"}, {"active": "perhaps"}])
def test_a_catalogue_line_of_another_shape(change: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedResponse, match="entry 1"):
        models.parse(CatalogueEntry, entry("FOLK1A", **change), what="fetch the catalogue", on="(entry 1)")


def test_a_subject_tree() -> None:
    leaf = {"id": "20021", "description": "Folketal", "active": True, "hasSubjects": False, "subjects": []}
    tables = [{"id": "FOLK1A", "text": "x"}, {"id": "FOLK1B"}]
    middle = {"id": "3401", "description": "Befolkning", "subjects": [leaf | {"tables": tables}]}
    root = Subject.model_validate({"id": "1", "description": "Borgere", "subjects": [middle]})
    assert [[node.id for node in path] for path in root.walk()] == [["1"], ["1", "3401"], ["1", "3401", "20021"]]
    assert [table.id for table in list(root.walk())[-1][-1].tables] == ["FOLK1A", "FOLK1B"]
