"""The registry of map layers, and the arithmetic between two publishers' codes."""

from __future__ import annotations

import pytest

from varro_assets.context.maps.geo_layers import DEFAULT, LAYERS, layer
from varro_assets.errors import ConfigurationError
from varro_assets_tests.map_material import nuts


@pytest.mark.parametrize(
    ("name", "key", "kode"),
    [
        ("kommuner", "0101", "101"),
        ("kommuner", "101", "101"),
        ("regioner", "1084", "084"),
        ("regioner", "84", "084"),
        ("regioner", "084", "084"),
        ("landsdele", "DK011", "01"),
        ("landsdele", "dk042", "09"),
        ("landsdele", "DK041", "10"),
        ("landsdele", "9", "09"),
    ],
)
def test_a_key_finds_its_member(name: str, key: str, kode: str) -> None:
    made = layer(name)
    member = made.member(key, made.members(nuts()))
    assert member is not None
    assert (member.kode, member.niveau) == (kode, made.niveau)
    assert made.own_code(key) == kode, "the padding without a dimension is the one StatBank uses"


@pytest.mark.parametrize(("name", "key"), [("kommuner", "0999"), ("kommuner", "Aarhus"), ("landsdele", "DK099")])
def test_an_unknown_key_finds_none(name: str, key: str) -> None:
    made = layer(name)
    assert made.member(key, made.members(nuts())) is None


def test_a_member_of_another_level_is_not_meant() -> None:
    made = layer("kommuner")
    assert made.member("0084", made.members(nuts())) is None
    assert set(made.members(nuts())) == {101, 147, 751}


def test_codes_take_the_dimensions_own_padding() -> None:
    made = layer("kommuner")
    found = made.member("0101", made.members(nuts(("0101", 3, "København"))))
    assert found is not None
    assert found.kode == "0101"


def test_two_members_of_one_number_are_nobodys() -> None:
    made = layer("landsdele")
    dimension = nuts(("1", 2, "a"), ("01", 2, "b"), ("02", 2, "c"))
    assert {number: member.kode for number, member in made.members(dimension).items()} == {2: "02"}


def test_layers_without_a_dimension_keep_their_code() -> None:
    assert layer("sogne").own_code("7001") == "7001"
    assert layer("postnumre").own_code("783") == "0783"
    assert layer("valglandsdele").own_code("A") == "A"
    assert layer("politikredse").own_code("1460") == "1460"
    assert layer("sogne").dimension is None


def test_every_niveau_of_a_dimension_has_one_layer() -> None:
    levels = [(made.dimension, made.niveau) for made in LAYERS.values() if made.dimension]
    assert sorted(levels) == [("nuts", 1), ("nuts", 2), ("nuts", 3)]
    assert all(name == made.name and made.tolerance > 0 for name, made in LAYERS.items())
    assert set(DEFAULT) == {name for name, made in LAYERS.items() if made.dimension}


def test_an_unknown_layer_is_refused_with_those_known() -> None:
    with pytest.raises(ConfigurationError, match="kommuner"):
        layer("../etc")
