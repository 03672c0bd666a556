"""Storage pool: connections to Dagster's storage that are kept for as long as somebody asks it a lot, and no longer.

What belongs here: the switch by which a storage keeps connections, and closing them. Without it a storage opens one for
each of some hundred questions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dagster import DagsterInstance

_POOL = {"statement_timeout": 60_000, "pool_recycle": 60, "max_overflow": 2}


@contextlib.contextmanager
def pooled(instance: DagsterInstance) -> Iterator[None]:
    """Let the instance's storage keep its connections while the block lasts."""
    instance.optimize_for_webserver(**_POOL)
    try:
        yield
    finally:
        # an instance that is disposed of does not close them, and the code server makes one for every tick: they would
        # stay until memory is tidied up (13 after 35 ticks were seen)
        for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            engine = getattr(storage, "_engine", None)
            if engine is not None and engine.dialect.name == "postgresql":
                engine.dispose()
