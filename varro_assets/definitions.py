"""Everything Dagster loads."""

from varro_assets.defs import graph, worker
from varro_assets.defs.loading import lasting
from varro_assets.settings import Settings

with lasting():
    defs = graph.definitions(Settings.load(), only=worker.tables())
    # Dagster keeps what this makes, and would do it next
    defs.get_repository_def().load_all_definitions()
