"""Everything Dagster loads."""

from varro_assets.defs import graph
from varro_assets.settings import Settings

defs = graph.definitions(Settings.load())
