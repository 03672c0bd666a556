"""The subject tree as a graph: what a reader with networkx gets back."""

from __future__ import annotations

import networkx as nx

from varro_assets.statbank import subject_graph
from varro_assets.statbank.models import Subject


def test_a_reader_gets_the_tree_back() -> None:
    tree = Subject.model_validate(
        {
            "id": "1",
            "description": "Borgere",
            "subjects": [
                {"id": "3401", "description": "Husstande ", "subjects": [], "tables": [{"id": "FOLK1A"}]},
                {"id": "3402", "description": "Børn og æbler", "active": False, "tables": [{"id": "A1"}, {"id": "B2"}]},
            ],
        }
    )
    graph = nx.parse_gml(subject_graph.gml([tree]))
    assert set(graph.edges) == {("0", "1"), ("1", "3401"), ("1", "3402")}
    assert graph.nodes["3402"]["description"] == "Børn og æbler"
    assert graph.nodes["3402"]["active"] == 0
    assert graph.nodes["3402"]["tables"] == ["A1", "B2"]
    assert graph.nodes["3401"]["tables"] == ["FOLK1A"]
    assert graph.nodes["3401"]["description"] == "Husstande"


def test_the_same_tree_gives_the_same_text() -> None:
    tree = [Subject(id="1", description="Borgere")]
    assert subject_graph.gml(tree) == subject_graph.gml(tree)
    assert nx.parse_gml(subject_graph.gml([])).nodes["0"]["description"] == "DST"
