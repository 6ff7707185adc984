"""One HTTP transport for both remote systems: sending, timing, pacing, retrying reads, recording. It knows neither TikTok nor Magento.

A write is sent once. When its answer is lost (connection broken, time-out, 5xx, unreadable body) the error is `Uncertain`; when it
cannot have left this machine it is `Unavailable`.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Generic, NoReturn, TypeVar
from urllib.parse import parse_qsl, urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from connector.clients.answer import Answer
from connector.clients.errors import (
    ApiError,
    CircuitOpen,
    ForbiddenHost,
    ForbiddenRequest,
    RateLimited,
    Redirected,
    Rejected,
    Unavailable,
    Uncertain,
    Unexpected,
)
from connector.clients.limits import Breaker, Limiter

log = logging.getLogger(__name__)
T = TypeVar("T")

USER_AGENT = "tiktok-shop-connector"
TRIES = 3
WHOLE = 1 << 20  # bytes: an answer is read in one piece as a rule
PATIENCE = 5.0  # seconds in all for the retries of one read, and the longest wait for the limiter; jobs do the long waits
SECRET_QUERY = frozenset({"app_secret", "auth_code", "refresh_token", "access_token", "sign", "shop_cipher"})
_SECRET_BODY = re.compile(rb'("(?:access_token|refresh_token)"\s*:\s*")[^"]*')


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One attempt, for the API-calls page. Secrets are masked; personal data in the bodies is not."""

    system: str
    operation: str
    account: str
    method: str
    host: str
    path: str
    query: dict[str, str]
    request_body: bytes | None
    status: int | None
    response_body: bytes | None
    code: str | None  # ours, None when all went well
    remote_code: str | None
    request_id: str | None
    error_class: str | None
    ms: float
    attempt: int
    started_at: datetime
    context: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """What to send and how to read it. `prepare` runs per attempt (fresh time, nonce and signature); `read` returns the value or
    raises an `ApiError`. `safe` calls may be repeated after a lost answer."""

    system: str
    operation: str
    account: str
    family: str
    safe: bool
    prepare: Callable[[], requests.PreparedRequest]
    read: Callable[[Answer], T]
    secret_answer: bool = False
    read_timeout: float | None = None
    most_bytes: int | None = None  # a longer answer is not read to its end: `Rejected` net.too_large
    trace: dict[str, str] = field(default_factory=dict)  # `read` leaves request_id and remote_code here, for the record


class Transport:
    """Owns the connections. Thread-safe; a forked child gets connections of its own.

    `before_send` may raise (a database transaction is open) and then nothing is sent. `record` is called once per attempt and cannot
    break the call. `allowed_hosts` gets "host" or "host:port" in lower case. `refuses` looks at the finished request and says why it may not be sent.
    """

    def __init__(
        self,
        *,
        before_send: Callable[[], None] | None = None,
        record: Callable[[CallRecord], None] | None = None,
        limiter: Limiter | None = None,
        breaker: Breaker | None = None,
        context: Callable[[], Mapping[str, object]] | None = None,
        allowed_hosts: Callable[[str], bool] | re.Pattern[str] | None = None,
        refuses: Callable[[requests.PreparedRequest], str | None] | None = None,
        timeouts: tuple[float, float] = (3.05, 20.0),
        pool_size: int = 16,
        verify: bool | str = True,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._before_send, self._record, self._context = before_send, record, context
        self.limiter, self.breaker = limiter, breaker
        self._allowed = allowed_hosts.fullmatch if isinstance(allowed_hosts, re.Pattern) else allowed_hosts
        self._refuses = refuses
        self._timeouts, self._pool_size, self._verify = timeouts, pool_size, verify
        self._sleep, self.now = sleep, now
        self._session, self._pid = self._connect(), os.getpid()

    def send(self, call: Call[T]) -> T:
        """Send, with up to three tries of a read that failed for a moment. Raises `ApiError` only."""
        give_up = time.monotonic() + PATIENCE
        for attempt in range(1, TRIES + 1):
            try:
                return self._attempt(call, attempt)
            except ApiError as error:
                pause = error.retry_after
                if pause is None:
                    pause = 0.25 * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
                if not (call.safe and error.retriable) or attempt == TRIES or time.monotonic() + pause > give_up:
                    raise
            self._sleep(pause)
        raise AssertionError("unreachable")

    def close(self) -> None:
        self._session.close()

    # one attempt

    def _attempt(self, call: Call[T], attempt: int) -> T:
        if self._before_send is not None:
            self._before_send()
        self._wait_for_turn(call)
        request = self._build(call)
        self._guard_host(call, request)
        started, began = self.now(), time.monotonic()
        answer: Answer | None = None
        error: BaseException | None = None
        call.trace.clear()
        try:
            answer = self._exchange(call, request, started)
            return self._understand(call, answer)
        except BaseException as failure:  # a job's time-out lands here too
            error = failure
            raise
        finally:
            self._report(call, error)
            self._write_record(call, request, answer, error, started, (time.monotonic() - began) * 1000, attempt)

    def _wait_for_turn(self, call: Call[T]) -> None:
        if self.breaker is not None and (wait := self.breaker.check(call.account)):
            raise CircuitOpen(
                f"{call.operation} was not sent: too many recent calls of this account failed. Next try in {wait:.0f} s.",
                system=call.system,
                operation=call.operation,
                retry_after=wait,
            )
        if self.limiter is not None:
            wait, reserved = self.limiter.acquire(call.account, call.family, write=not call.safe, max_wait=PATIENCE)
            if not reserved:
                raise RateLimited(
                    f"{call.operation} was not sent: this account's limit is used up for {wait:.0f} s.",
                    system=call.system,
                    operation=call.operation,
                    retry_after=wait,
                )
            if wait > 0:
                self._sleep(wait)

    def _build(self, call: Call[T]) -> requests.PreparedRequest:
        """Refuses what cannot be put on the wire, such as a pasted key with a line break or a letter no header may hold."""
        try:
            request = call.prepare()
            for value in request.headers.values():
                if isinstance(value, str):
                    value.encode("latin-1")
        except (requests.RequestException, UnicodeError) as fault:
            raise Rejected(
                f"{call.operation} was not sent: the address or a key holds a character that cannot be sent ({type(fault).__name__})",
                system=call.system,
                operation=call.operation,
                code="net.unsendable",
            ) from fault
        return request

    def _guard_host(self, call: Call[T], request: requests.PreparedRequest) -> None:
        host = urlsplit(request.url or "").netloc.lower()
        if self._allowed is not None and not self._allowed(host):
            raise ForbiddenHost(
                f"{call.operation} was not sent: this account may not call {host}.",
                system=call.system,
                operation=call.operation,
            )
        if self._refuses is not None and (reason := self._refuses(request)) is not None:
            raise ForbiddenRequest(f"{call.operation} was not sent: {reason}", system=call.system, operation=call.operation)

    def _exchange(self, call: Call[T], request: requests.PreparedRequest, started: float) -> Answer:
        connect, read = self._timeouts
        try:
            response = self.session.send(
                request,
                timeout=(connect, call.read_timeout or read),
                allow_redirects=False,
                verify=self._verify,
                proxies={},
                stream=True,
            )
            # requests itself would read in pieces of 10 kB; each costs a turn for the interpreter, which a busy thread gives away slowly
            body = b"".join(_at_most(call, response))
        except requests.RequestException as failure:
            self._lost(call, failure, host=urlsplit(request.url or "").netloc)
        return Answer(response.status_code, response.headers, body, request.url or "", started, self.now())

    def _lost(self, call: Call[T], failure: requests.RequestException, *, host: str) -> NoReturn:
        """No whole answer: name the cause, and tell a request that never left from one whose effect is unknown."""
        facts: dict[str, Any] = {"system": call.system, "operation": call.operation}
        causes = list(_causes(failure))
        certificate = next((c for c in causes if isinstance(c, ssl.SSLError) and _in_handshake(c)), None)
        if certificate is not None:
            raise Unavailable(f"{host}: the certificate was not accepted: {certificate}", code="net.certificate", **facts) from failure
        unsent = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
        if isinstance(failure, requests.ConnectTimeout) or any(isinstance(c, unsent) for c in causes):
            raise Unavailable(f"{host} cannot be reached", code="net.unreachable", **facts) from failure
        timeout = isinstance(failure, requests.Timeout) or any(isinstance(c, TimeoutError) for c in causes)
        text = f"{host} did not answer in time" if timeout else f"{host} closed the connection before answering"
        if call.safe:
            raise Unavailable(text, code="net.timeout" if timeout else "net.unavailable", **facts) from failure
        raise Uncertain(f"{text}; the change may have been made", **facts) from failure

    def _understand(self, call: Call[T], answer: Answer) -> T:
        facts: dict[str, Any] = {"system": call.system, "operation": call.operation, "status": answer.status}
        if 300 <= answer.status < 400 and answer.status != 304:
            location = answer.headers.get("Location", "")
            raise Redirected(f"The server redirects to {location or 'nowhere'}", location=location, **facts)
        try:
            return call.read(answer)
        except (ValueError, KeyError, TypeError, AttributeError, LookupError) as fault:
            text = f"{call.operation}: the answer (HTTP {answer.status}, {answer.media_type or 'no type'}) is not in a known shape"
            if not call.safe and answer.status < 400:
                raise Uncertain(f"{text}; the change may have been made", **facts) from fault
            unexpected = Unexpected(text, **facts)
            unexpected.retriable = isinstance(fault, json.JSONDecodeError)
            raise unexpected from fault

    # bookkeeping

    def _report(self, call: Call[T], error: BaseException | None) -> None:
        answered = error is None or isinstance(error, ApiError)
        if self.breaker is not None and answered:
            failed = isinstance(error, Unavailable | Uncertain) and not isinstance(error, RateLimited)
            self.breaker.report(call.account, not failed)
        if isinstance(error, RateLimited) and self.limiter is not None:
            self.limiter.slow_down(call.account, call.family, write=not call.safe, retry_after=error.retry_after)

    def _write_record(
        self,
        call: Call[T],
        request: requests.PreparedRequest,
        answer: Answer | None,
        error: BaseException | None,
        started: float,
        ms: float,
        attempt: int,
    ) -> None:
        if self._record is None:
            return
        url = urlsplit(request.url or "")
        known = error if isinstance(error, ApiError) else None
        body = request.body.encode() if isinstance(request.body, str) else request.body
        received = None if answer is None else answer.body
        if call.secret_answer and received is not None:
            received = _SECRET_BODY.sub(rb"\1***", received)
        try:
            self._record(
                CallRecord(
                    system=call.system,
                    operation=call.operation,
                    account=call.account,
                    method=request.method or "",
                    host=url.netloc,
                    path=url.path,
                    query=masked_query(url.query),
                    request_body=body if isinstance(body, bytes) else None,
                    status=None if answer is None else answer.status,
                    response_body=received,
                    code=known.code if known else None,
                    remote_code=(known and known.remote_code) or call.trace.get("remote_code"),
                    request_id=(known and known.request_id) or call.trace.get("request_id"),
                    error_class=None if error is None else type(error).__name__,
                    ms=round(ms, 1),
                    attempt=attempt,
                    started_at=datetime.fromtimestamp(started, UTC),
                    context=dict(self._context()) if self._context else {},
                )
            )
        except Exception:  # the remote effect is real: a fault in the bookkeeping must not hide it
            log.exception("the record of %s %s could not be written", call.system, call.operation)

    @property
    def session(self) -> requests.Session:
        if self._pid != os.getpid():
            self._session, self._pid = self._connect(), os.getpid()
        return self._session

    def _connect(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_connections=8, pool_maxsize=self._pool_size, max_retries=0)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session


def _at_most(call: Call[T], response: requests.Response) -> Iterator[bytes]:
    """The body in pieces, up to the call's limit: by what the server says first, then by what really comes."""
    said, read = response.headers.get("Content-Length", ""), 0
    if call.most_bytes is not None and said.isdigit() and int(said) > call.most_bytes:
        raise _too_large(call, response)
    for piece in response.iter_content(WHOLE):
        read += len(piece)
        if call.most_bytes is not None and read > call.most_bytes:
            raise _too_large(call, response)
        yield piece


def _too_large(call: Call[T], response: requests.Response) -> Rejected:
    response.close()
    text = f"{call.operation}: the answer is larger than {call.most_bytes:,} bytes"
    return Rejected(text, system=call.system, operation=call.operation, status=response.status_code, code="net.too_large")


def masked_query(query: str) -> dict[str, str]:
    """Query parameters by name with the secret ones masked; a shop cipher keeps its start, to tell shops apart."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return {k: (v[:6] + "***" if k == "shop_cipher" else "***") if k in SECRET_QUERY else v for k, v in pairs}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it wraps (urllib3 keeps causes in `reason` and `args`) and so on."""
    seen: set[int] = set()
    todo: list[BaseException] = [error]
    while todo:
        current = todo.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [getattr(current, "reason", None), current.__cause__, current.__context__, *current.args]
        todo += [i for i in inner if isinstance(i, BaseException)]


def _in_handshake(error: ssl.SSLError) -> bool:
    return isinstance(error, ssl.SSLCertVerificationError) or error.reason in {
        "WRONG_VERSION_NUMBER",
        "UNKNOWN_PROTOCOL",
    }
