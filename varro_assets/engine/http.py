"""HTTP session: paced, retrying requests.

What belongs here: how to ask a service politely and surely. Pacing holds across processes; only transient failures are
tried again; every error names the request. What a reply means is the client's business, not this module's.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import tenacity
from filelock import FileLock
from requests.adapters import HTTPAdapter

from varro_assets.engine.files import write_text
from varro_assets.errors import ConfigurationError, SourceUnavailable

LONGEST_WAIT = 300.0
"""Seconds; a Retry-After beyond it is not waited out but reported."""
USER_AGENT = "varro-assets/0.1"
_LATER = "Try again later; if it lasts, look whether the service announces a closure."
_OFFLINE = "Is this machine on the internet (DNS, proxy)? If it is, try again later."


def host_of(url: str) -> str:
    """``host`` or ``host:port`` of an address, without the user name and password it may hold."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def is_transient(status: int) -> bool:
    """Whether the same request may be answered otherwise later: 408, 429 and all of 5xx."""
    return status in {408, 429} or status >= 500


class Pace:
    """Least time between the starts of two requests to one service, over all processes that share the folder.

    The time of the last request lies in a small file, read and written under a lock.
    """

    def __init__(self, folder: Path, url: str, seconds: float) -> None:
        self.seconds = seconds
        self._file = folder / f"{host_of(url).replace(':', '_')}.pace"

    def wait(self) -> float:
        """Sleep until a request may start, and claim that moment. Returns the seconds slept."""
        if self.seconds <= 0:
            return 0.0
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self._file}.lock"):
            slept = self._remaining()
            time.sleep(slept)
            write_text(self._file, json.dumps(time.time()))
        return slept

    def _remaining(self) -> float:
        try:
            last = float(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0.0
        # a clock that was set back must not make us wait for hours
        return min(max(0.0, last + self.seconds - time.time()), self.seconds)


class Session:
    """Requests to one service.

    Args:
        pace: waits before every attempt.
        timeout: seconds of silence after which an attempt has failed.
        attempts: how often a request is tried when its failures are transient.
        backoff: seconds before the second attempt; doubles each time, with jitter.
        request_id_header: reply header that names the request in the service's own log.
    """

    def __init__(
        self,
        pace: Pace,
        *,
        timeout: float = 120.0,
        attempts: int = 5,
        backoff: float = 1.0,
        request_id_header: str = "",
        on_retry: Callable[[str], None] | None = None,
    ) -> None:
        self._pace, self._timeout, self._attempts, self._backoff = pace, timeout, attempts, backoff
        self._request_id_header, self._on_retry = request_id_header, on_retry
        self._session = requests.Session()
        self._session.headers["User-Agent"] = USER_AGENT
        self._session.mount("http://", HTTPAdapter(max_retries=0))
        self._session.mount("https://", HTTPAdapter(max_retries=0))
        self.requests = 0

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @contextlib.contextmanager
    def post(
        self, url: str, body: Mapping[str, Any], *, what: str, on: str, attempts_at: Mapping[int, int] | None = None
    ) -> Iterator[requests.Response]:
        """POST JSON and yield the reply, its body not yet read.

        Any status but the transient ones is yielded: what it means is the caller's to say.

        Args:
            url: where to.
            body: sent as JSON.
            what: for errors: what is being done.
            on: for errors: to what.
            attempts_at: HTTP status -> attempts, where they differ from the session's.

        Raises:
            SourceUnavailable: transient failures until the attempts ran out.
            ConfigurationError: the address, or a proxy's, cannot be used.
        """
        with self._retried("POST", url, body, what, on, attempts_at or {}) as response:
            yield response

    @contextlib.contextmanager
    def get(self, url: str, *, what: str, on: str) -> Iterator[requests.Response]:
        """GET and yield the reply, its body not yet read; redirects are followed.

        Any status but the transient ones is yielded: what it means is the caller's to say.

        Raises:
            SourceUnavailable, ConfigurationError: as `post`.
        """
        with self._retried("GET", url, None, what, on, {}) as response:
            yield response

    def _retried(
        self, method: str, url: str, body: Mapping[str, Any] | None, what: str, on: str, fewer: Mapping[int, int]
    ) -> requests.Response:
        def exhausted(state: tenacity.RetryCallState) -> bool:
            error = _error_of(state)
            if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
                return True
            return state.attempt_number >= fewer.get(error.status, self._attempts)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(SourceUnavailable),
            stop=exhausted,
            wait=self._wait,
            before_sleep=self._report,
            reraise=True,
        )
        return retrying(self._attempt, method, url, body, what, on)

    def _attempt(self, method: str, url: str, body: Mapping[str, Any] | None, what: str, on: str) -> requests.Response:
        self._pace.wait()
        self.requests += 1
        try:
            # a redirected POST would silently lose its body
            follow = method == "GET"
            response = self._session.request(
                method, url, json=body, stream=True, timeout=self._timeout, allow_redirects=follow
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            got = f"{type(error).__name__} from {url}: {_innermost(error)}"
            todo = _OFFLINE if any(isinstance(one, socket.gaierror) for one in _causes(error)) else _LATER
            raise SourceUnavailable(what, on=on, got=got, todo=todo) from error
        except requests.RequestException as error:
            got = f"{type(error).__name__} from {url}: {_innermost(error)}"
            raise ConfigurationError(what, on=on, got=got, todo="Check the address, and the proxy if any.") from error
        if not is_transient(response.status_code):
            return response
        with response:
            later = _retry_after(response)
            pause = "" if later is None else f", to be asked again in {later:.0f} s"
            got = f"HTTP {response.status_code} from {url}{pause}{self.request_id(response)}"
            raise SourceUnavailable(what, on=on, got=got, todo=_LATER, status=response.status_code, retry_after=later)

    def request_id(self, response: requests.Response) -> str:
        """The service's own id of a request, ready to end an error message; empty when it sent none."""
        value = response.headers.get(self._request_id_header, "") if self._request_id_header else ""
        return f" (request id {value})" if value else ""

    def _wait(self, state: tenacity.RetryCallState) -> float:
        asked = _error_of(state).retry_after
        if asked is not None:
            return asked
        return float(tenacity.wait_random_exponential(multiplier=self._backoff, max=60)(state))

    def _report(self, state: tenacity.RetryCallState) -> None:
        if self._on_retry:
            seconds = state.upcoming_sleep
            wait = f"in {seconds:.0f} s" if seconds >= 1 else "in less than a second"
            self._on_retry(f"{_error_of(state).problem} Trying again {wait}.")


def _error_of(state: tenacity.RetryCallState) -> SourceUnavailable:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, SourceUnavailable):
        raise TypeError("retrying without a transient error") from error
    return error


def _retry_after(response: requests.Response) -> float | None:
    """Seconds until the service wants to be asked again (RFC 9110 10.2.3: seconds or a date)."""
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        # the RFC knows no zone but GMT; a date without one must not be read as local time
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from, down to the first that happened."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _innermost(error: BaseException) -> str:
    *_, first = _causes(error)
    return str(first) or type(first).__name__
