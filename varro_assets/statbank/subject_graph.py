"""Subject graph: the subject tree as a GML file, for readers that walk it as a graph.

What belongs here: turning subjects into nodes and edges. Node ``0`` is the root above the top subjects; each node has
``description``, ``active`` and ``tables``, the ids on it.
"""

from __future__ import annotations

from collections.abc import Iterable

from varro_assets.statbank.models import Subject

ROOT, ROOT_TITLE = "0", "DST"


def gml(subjects: Iterable[Subject]) -> str:
    """The tree as GML: letters outside ASCII as character references, as the format wants it."""
    # imported here: it takes a tenth of a second to load, which only a new tree shall cost
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_node(ROOT, description=ROOT_TITLE, active=1, tables=[])
    for top in subjects:
        for path in top.walk():
            node = path[-1]
            tables = [table.id for table in node.tables]
            graph.add_node(node.id, description=node.description.strip(), active=int(node.active), tables=tables)
            graph.add_edge(path[-2].id if len(path) > 1 else ROOT, node.id)
    return "\n".join(nx.generate_gml(graph)) + "\n"
