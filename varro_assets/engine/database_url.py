"""Database URL: ``postgresql+psycopg2://user:password@host:5432/database``, taken apart.

What belongs here: reading such a URL as Dagster's storage reads it, which is SQLAlchemy's way. Nothing connects here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL


def parse(url: str) -> URL:
    """The parts of a URL.

    Raises:
        ValueError: it is none. The error says nothing of the text, which may hold a password.
    """
    # imported here: it takes a fifth of a second to load, which no command without a database shall pay
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("not the URL of a database") from None
