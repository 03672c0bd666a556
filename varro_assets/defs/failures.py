"""Failures: our named errors as Dagster takes them.

What belongs here: the one place where transient and permanent errors become retryable and final failures of a run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dagster import Failure

from varro_assets.errors import VarroError


@contextlib.contextmanager
def named_failures() -> Iterator[None]:
    """Let a named error end the run with its own words, and be retried only if that can help."""
    try:
        yield
    except VarroError as error:
        raise Failure(
            description=str(error), metadata={"error": type(error).__name__}, allow_retries=error.transient
        ) from error
