"""Pictures on their way from the store to TikTok: downloaded, converted, uploaded once per content and use (TTS §5.3.7, MAG §4.2.3, A062-A066).

``SourceImage`` remembers what became of each picture of the store, refused ones with reason and remedy; ``HostedImage`` what TikTok holds. A picture
that a hundred products share is downloaded once and uploaded once, whichever workers meet it at the same moment.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import BoundedSemaphore, Lock
from typing import NamedTuple, cast
from urllib.parse import urljoin, urlsplit

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.orm import contains_eager

from connector.clients import errors as api
from connector.clients.magento.media import media_url
from connector.clients.tiktok import TikTokClient
from connector.clients.tiktok.catalogue import ImageUse, UploadedImage
from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import listing_text
from connector.domain.picture import DESCRIPTION, Converted, Refused, convert
from connector.models.account import Account, MagentoConnection
from connector.models.product import HostedImage, PolicyImage, SourceImage
from connector.services import connections
from connector.services.products import facts

READY, REFUSED = "ready", "refused"
UPLOAD = "upload:"
#: A picture that was taken is looked at again after this long; the store is asked with the validators it gave, and mostly answers "not modified".
FRESH = timedelta(hours=24)
#: After these, a refused picture is tried again without anybody asking: one that was not found may be there soon.
RETRY = {"picture.missing": timedelta(minutes=30)}
_RETRY_LATER = timedelta(hours=24)
#: How long another worker's upload is waited for, and believed alive.
CLAIM = timedelta(seconds=90)
_CHUNK = 400
_CONVERTING = BoundedSemaphore(2)  # a conversion may hold some hundred megabytes: two at once in a process


class Refusal(NamedTuple):
    """Why a picture is not sent, and what to do."""

    code: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Hosted:
    """``images``: TikTok's picture by source; ``refused`` by source. What is in neither is not uploaded yet."""

    images: dict[str, listing_text.HostedImage] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


Key = tuple[str, str]  #: source, use case


def known(account: Account, wanted: Mapping[str, str]) -> Hosted:
    """What is known of these pictures (source -> use case), without HTTP."""
    if account.magento_id is None:
        return Hosted()
    rows = known_rows(account.magento_id, account.environment, set(wanted.items()))
    return gathered(wanted, rows)


def gathered(wanted: Mapping[str, str], rows: Mapping[Key, SourceImage]) -> Hosted:
    """One product's pictures out of many rows."""
    found = Hosted()
    for source, use_case in wanted.items():
        row = rows.get((source, use_case))
        if row is None:
            continue
        if row.state == REFUSED:
            found.refused[source] = Refusal(row.code or "picture.refused", row.message, row.remedy)
        elif row.hosted is not None and row.hosted.uri:
            found.images[source] = as_domain(row.hosted)
            found.notes[source] = tuple(row.notes)
    return found


def known_rows(magento_id: int, environment: str, keys: Collection[Key]) -> dict[Key, SourceImage]:
    """The rows of any number of pictures, a few hundred at a time, each with what TikTok hosts."""
    rows: dict[Key, SourceImage] = {}
    wanted = sorted(keys)
    for start in range(0, len(wanted), _CHUNK):
        query = (
            select(SourceImage)
            .outerjoin(SourceImage.hosted)
            .options(contains_eager(SourceImage.hosted))
            .execution_options(populate_existing=True)
            .where(
                SourceImage.magento_id == magento_id,
                SourceImage.environment == environment,
                tuple_(SourceImage.source, SourceImage.use_case).in_(wanted[start : start + _CHUNK]),
            )
        )
        rows |= {(row.source, row.use_case): row for row in db.session.scalars(query)}
    return rows


def as_domain(row: HostedImage) -> listing_text.HostedImage:
    return listing_text.HostedImage(row.uri, row.url, row.use_case, row.width, row.height)


def host(account: Account, magento_id: int, wanted: Mapping[str, str], *, again: bool = False) -> Hosted:
    """Have TikTok host these pictures (source -> use case). Refused ones are recorded and do not stop the others.

    ``again``: look at pictures that were refused, and at those that are ready, whatever their age. Raises ``ApiError`` when the store or TikTok is away:
    what was hosted until then stays.
    """
    store = _Store(account.id, account.environment, magento_id, facts.store_facts(account).media_url)
    rows = known_rows(magento_id, account.environment, set(wanted.items()))
    open_ = [(source, use_case) for source, use_case in wanted.items() if again or _is_due(rows.get((source, use_case)))]
    end_reading()
    for source, use_case in open_:
        with _alone((magento_id, account.environment, source, use_case)) as waited:
            if waited:  # somebody else has just been at it
                row = known_rows(magento_id, account.environment, {(source, use_case)}).get((source, use_case))
                end_reading()
                if not _is_due(row):
                    continue
            _host_one(store, source, use_case)
    found = gathered(wanted, known_rows(magento_id, account.environment, set(wanted.items())))
    end_reading()
    return found


@dataclass(frozen=True, slots=True)
class _Store:
    account_id: int
    environment: str
    magento_id: int
    media_url: str


def _is_due(row: SourceImage | None) -> bool:
    if row is None:
        return True
    now = utcnow()
    if row.state == REFUSED:
        return row.retry_at is not None and row.retry_at <= now
    return row.hosted is None or not row.hosted.uri or row.checked_at + FRESH <= now


# --- one picture


@dataclass(frozen=True, slots=True)
class _File:
    """The store's bytes, or None when they are still the ones that were hosted."""

    content: bytes | None
    validators: dict[str, str] = field(default_factory=dict)


def _host_one(store: _Store, source: str, use_case: str) -> None:
    row = known_rows(store.magento_id, store.environment, {(source, use_case)}).get((source, use_case))
    end_reading()
    try:
        file = _content(store, source, use_case, row)
        if file.content is None:
            _record(store, source, use_case, checked_at=utcnow())
            return
        digest = hashlib.sha256(file.content).hexdigest()
        if row is not None and row.source_hash == digest and row.state == READY and row.hosted is not None and row.hosted.uri:
            _record(store, source, use_case, validators=file.validators, checked_at=utcnow())
            return
        with _CONVERTING:
            picture = convert(file.content, use_case)
        if isinstance(picture, Refused):
            raise _NotTaken(picture.code, picture.message, picture.remedy, source_hash=digest, validators=file.validators)
        hosted_id = _hosted(store, picture, use_case, source)
    except _NotTaken as refused:
        _record(
            store, source, use_case, state=REFUSED, hosted_id=None, notes=[], code=refused.code, message=refused.message, remedy=refused.remedy,
            checked_at=utcnow(), retry_at=utcnow() + RETRY.get(refused.code, _RETRY_LATER), **refused.values,
        )  # fmt: skip
        return
    _record(
        store, source, use_case, state=READY, hosted_id=hosted_id, source_hash=digest, validators=file.validators, notes=list(picture.notes), code=None,
        message="", remedy="", checked_at=utcnow(), retry_at=None,
    )  # fmt: skip


class _NotTaken(DomainError):
    """A picture that is refused, with what is to be recorded beside the reason."""

    def __init__(self, code: str, message: str, remedy: str, **values: object) -> None:
        super().__init__(code, message, remedy)
        self.values: dict[str, object] = {"source_hash": "", "validators": {}, **values}


def _content(store: _Store, source: str, use_case: str, row: SourceImage | None) -> _File:
    """The bytes of a picture: of the policy's upload, or downloaded from the store when they have changed."""
    if source.startswith(UPLOAD):
        number = source.removeprefix(UPLOAD)
        content = db.session.scalar(select(PolicyImage.content).where(PolicyImage.id == int(number))) if number.isdigit() else None
        end_reading()
        if content is None:
            raise _NotTaken("picture.missing", "The default image of the image policy is not there any more.", "Upload it to the image policy again.")
        return _File(content)
    url = _address(store, source, use_case)
    client = connections.magento_for(store.account_id)
    end_reading()
    asked = row.validators if row is not None and row.hosted is not None and row.hosted.uri and row.state == READY else {}
    try:
        file = client.media(url, etag=asked.get("etag", ""), last_modified=asked.get("last_modified", ""))
    except api.NotFound as missing:
        text = f"The store does not have the picture {source} (HTTP {missing.status})."
        raise _NotTaken("picture.missing", text, "Upload it to the product in Magento again, or remove it from the gallery.") from missing
    except api.Redirected as away:
        text = f"The store sends the download of {source} on to {away.location or 'nowhere'}."
        raise _NotTaken("picture.redirected", text, "Correct the base URL for media in Magento (Stores > Configuration > Web).") from away
    except api.Rejected as refused:
        if refused.code == "net.too_large":
            raise _NotTaken("picture.too_heavy", f"The picture {source} is larger than 32 MB.", "Upload a smaller one to Magento.") from refused
        raise _NotTaken("picture.not_given", f"The picture {source} could not be downloaded: {refused}.", api.describe(refused).advice) from refused
    if file is None:
        return _File(None)
    return _File(file.content, {key: value for key, value in (("etag", file.etag), ("last_modified", file.last_modified)) if value})


def _address(store: _Store, source: str, use_case: str) -> str:
    """Where a picture lies. Files of the gallery are below ``catalog/product``; a description may name its own, of the store's hosts only: a product text
    must not make us call strangers."""
    if use_case != DESCRIPTION and "://" not in source:
        return media_url(store.media_url, f"catalog/product/{source.lstrip('/')}")
    if source.startswith("data:"):
        raise _NotTaken(
            "picture.embedded", "A picture is embedded in the description's text.", "Upload it to Magento's media gallery and insert it from there."
        )
    url = urljoin(store.media_url, source)
    if "://" not in source and not source.startswith("/"):
        url = media_url(store.media_url, source)
    base = db.session.scalar(select(MagentoConnection.base_url).where(MagentoConnection.id == store.magento_id)) or ""
    own = {urlsplit(each).netloc.lower() for each in (store.media_url, base)}
    if urlsplit(url).scheme not in ("http", "https") or urlsplit(url).netloc.lower() not in own:
        text = f"The picture {source[:200]} of the description lies on another server."
        raise _NotTaken("picture.elsewhere", text, "Upload it to Magento's media gallery and insert it from there.")
    return url


def _hosted(store: _Store, picture: Converted, use_case: str, source: str) -> int:
    """The id of what TikTok hosts for these bytes; they are uploaded by exactly one worker, the others wait for it."""
    content_hash = hashlib.sha256(picture.content).hexdigest()
    deadline = time.monotonic() + CLAIM.total_seconds()
    while True:
        hosted_id, mine = _claim(store.environment, content_hash, use_case)
        if mine:
            return _upload(store, picture, use_case, source, hosted_id)
        if hosted_id:
            return hosted_id
        if time.monotonic() > deadline:
            raise api.Unavailable("Another worker is still uploading this picture.", system="tiktok", operation="upload_image", retry_after=5)
        time.sleep(0.1)


def _claim(environment: str, content_hash: str, use_case: str) -> tuple[int, bool]:
    """(row, True): ours to upload; (row, False): hosted already; (0, False): another worker is at it. The unique constraint decides."""
    here = (HostedImage.environment == environment, HostedImage.content_hash == content_hash, HostedImage.use_case == use_case)
    with unit_of_work() as session:
        row = session.execute(select(HostedImage.id, HostedImage.uri, HostedImage.created_at).where(*here)).one_or_none()
        if row is not None and row.uri:
            return row.id, False
        now = utcnow()
        if row is None:
            dialect = dialect_of(session)
            values = {"environment": environment, "content_hash": content_hash, "use_case": use_case, "uri": "", "created_at": now}
            made = session.execute(dialect.insert(HostedImage).values(values).on_conflict_do_nothing().returning(HostedImage.id)).scalar()
            return (made, True) if made else (0, False)
        if row.created_at + CLAIM > now:
            return 0, False
        taken = update(HostedImage).where(HostedImage.id == row.id, HostedImage.uri == "", HostedImage.created_at == row.created_at).values(created_at=now)
        return (row.id, True) if session.execute(taken.execution_options(synchronize_session=False)).rowcount else (0, False)


def _upload(store: _Store, picture: Converted, use_case: str, source: str, hosted_id: int) -> int:
    try:
        client = connections.tiktok(store.account_id)
        end_reading()
        made = _sent(client, picture, cast(ImageUse, use_case))
    except BaseException as error:
        with unit_of_work() as session:  # nobody waits for an upload that failed
            session.execute(delete(HostedImage).where(HostedImage.id == hosted_id, HostedImage.uri == ""))
        if isinstance(error, api.Rejected) and not error.transient:
            text = f"TikTok Shop refused the picture {source}: {error.remote_message or error}."
            raise _NotTaken("picture.refused", text, "Use another picture.") from error
        raise
    with unit_of_work() as session:
        values = {"uri": made.uri, "url": made.url, "width": made.width or picture.width, "height": made.height or picture.height}
        session.execute(update(HostedImage).where(HostedImage.id == hosted_id).values(**values).execution_options(synchronize_session=False))
    return hosted_id


def _sent(client: TikTokClient, picture: Converted, use_case: ImageUse) -> UploadedImage:
    """One upload; after a lost answer once more, which is harmless (TTS §5.3.7)."""
    for last in (False, True):
        try:
            return client.upload_image(picture.content, file_name="picture.jpg", media_type=picture.media_type, use_case=use_case)
        except api.Uncertain:
            if last:
                raise
    raise AssertionError("unreachable")


def _record(store: _Store, source: str, use_case: str, **values: object) -> None:
    """Insert or change the row of a picture."""
    key = {"magento_id": store.magento_id, "environment": store.environment, "source": source, "use_case": use_case}
    with unit_of_work() as session:
        dialect = dialect_of(session)
        statement = dialect.insert(SourceImage).values({**key, **values})
        session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


# --- one at a time within a process

_locks: dict[object, tuple[Lock, int]] = {}
_locks_guard = Lock()


@contextmanager
def _alone(key: object) -> Iterator[bool]:
    """One thread for a picture; the value tells whether another one had it before."""
    with _locks_guard:
        lock, users = _locks.get(key, (Lock(), 0))
        _locks[key] = (lock, users + 1)
    try:
        waited = not lock.acquire(blocking=False)
        if waited:
            lock.acquire()
        try:
            yield waited
        finally:
            lock.release()
    finally:
        with _locks_guard:
            lock, users = _locks[key]
            if users > 1:
                _locks[key] = (lock, users - 1)
            else:
                del _locks[key]
