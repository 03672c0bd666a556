"""Source of boundaries: the reply of the service that publishes them.

What belongs here: one GET per layer, judged by its shape before anybody stores it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import requests
import urllib3

from varro_assets.context.maps.geo_features import collection
from varro_assets.context.maps.geo_layers import Layer
from varro_assets.engine.http import Session
from varro_assets.errors import BrokenStream, MaintenancePage, SourceRefused, UnexpectedResponse

LARGEST = 200 << 20
"""Bytes; the municipalities in full detail are some 30 MB, the parishes more."""
CHUNK_BYTES = 1 << 18


def fetch(session: Session, url: str, layer: Layer) -> bytes:
    """The layer's GeoJSON as published.

    Args:
        session: does pacing and retries.
        url: address of the service, ``https://api.dataforsyningen.dk``.
        layer: which one.

    Raises:
        SourceUnavailable: no answer, or 408, 429, 5xx, until the attempts ran out.
        MaintenancePage: a page for people with status 200.
        SourceRefused: the service has no such layer (404), or refuses it.
        UnexpectedResponse: more than 200 MB.
        BrokenStream: the reply broke off.
        InvalidBoundaries: it is no GeoJSON FeatureCollection.
    """
    what, on = "fetch the boundaries of", layer.name
    address = f"{url.rstrip('/')}/{layer.name}?format=geojson"
    with session.get(address, what=what, on=on) as response:
        context = session.request_id(response)
        _refuse_other_than_data(response, address, what, on, context)
        content = _read(response, what, on, context)
    collection(content, f"{on} from {address}")
    return content


def _refuse_other_than_data(response: requests.Response, address: str, what: str, on: str, context: str) -> None:
    status = response.status_code
    is_page = "html" in response.headers.get("Content-Type", "").lower()
    if status == requests.codes.ok and is_page:
        raise MaintenancePage(
            what,
            on=on,
            got=f"an HTML page with status {status} from {address}{context}",
            todo="The service is probably closed for maintenance; try again later. Or check GEO_URL.",
        )
    if status != requests.codes.ok:
        raise SourceRefused(
            what,
            on=on,
            got=f"HTTP {status} from {address}{context}",
            todo=f"Check GEO_URL, or put a file of your own at data/admin_regions/{on}.geojson.",
            status=status,
        )


def _read(response: requests.Response, what: str, on: str, context: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    with _broken_named(what, on, context):
        for part in response.iter_content(CHUNK_BYTES):
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise UnexpectedResponse(
                    what,
                    on=on,
                    got=f"more than {LARGEST >> 20} MiB{context}",
                    todo=f"Put a smaller file of your own at data/admin_regions/{on}.geojson.",
                )
    return b"".join(parts)


@contextlib.contextmanager
def _broken_named(what: str, on: str, context: str) -> Iterator[None]:
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise BrokenStream(
            what, on=on, got=f"{type(error).__name__}: {error}{context}", todo="Nothing was stored. Try again later."
        ) from error
