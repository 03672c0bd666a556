"""Loading: making very many objects that live as long as their process.

What belongs here: what makes loading all definitions quick, whatever they are.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Keep the garbage collector from everything that exists when the block ends.

    It would look through all definitions again and again while Dagster goes on building: 5 of the 17 seconds that a
    catalogue of 2,240 tables took. Nothing is lost: none of it is ever thrown away.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()
