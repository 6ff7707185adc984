"""Pictures of returns: those that both sides sent (TTS §5.6.5), fetched when somebody looks, checked, drawn anew and kept nowhere here; and those that go
along with a rejection (TTS §5.6.6), uploaded to TikTok.

The addresses stand in TikTok's answers. They are opened by this server, because a page may show pictures of its own site only; so they are judged like any
foreign address: outside practice they are https, name no address of the own network, and lead to nothing but a picture of bounded size.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from connector.clients.errors import ApiError
from connector.clients.tiktok import media
from connector.core import logs
from connector.core.db import db, end_reading
from connector.core.errors import DomainError
from connector.domain.picture import DESCRIPTION, MOST_BYTES, Refused, convert, thumbnail
from connector.models.account import SANDBOX, Account
from connector.models.aftersales import Return
from connector.services import connections

log = logs.get(__name__)

SIDE = 1200  #: pixels; enough to see a stain
MOST_UPLOADED = 6  #: with one rejection (TTS §5.6.6)


def of(return_pk: int, record: int, number: int) -> bytes | None:
    """A WEBP of the ``number``-th picture of the ``record``-th record as they are stored; None when there is none or it cannot be had. Calls its server."""
    found = db.session.get(Return, return_pk)
    address = _address(found.records or [], record, number) if found else ""
    environment = db.session.get_one(Account, found.account_id).environment if found else SANDBOX
    end_reading()
    if not address or not (environment == SANDBOX or allowed(address)):
        return None
    try:
        content = media.picture(connections.connections().transport("tiktok", environment), address, most_bytes=MOST_BYTES)
    except (ApiError, OSError, ValueError) as fault:
        log.warning("return_picture_missing", return_pk=return_pk, fault=repr(fault)[:200])
        return None
    if (drawn := thumbnail(content, SIDE)) is None:
        log.warning("return_picture_missing", return_pk=return_pk, fault="no picture that can be opened")
    return drawn


def _address(records: list[dict[str, Any]], record: int, number: int) -> str:
    try:
        return str(records[record]["images"][number]["url"])
    except (LookupError, TypeError):
        return ""


def allowed(address: str) -> bool:
    """Whether a server of the internet is meant: https, a name, and every address of that name public."""
    parts = urlsplit(address)
    if parts.scheme != "https" or not parts.hostname or parts.port not in (None, 443):
        return False
    try:
        ipaddress.ip_address(parts.hostname)
    except ValueError:
        try:
            found = socket.getaddrinfo(parts.hostname, 443, type=socket.SOCK_STREAM)
        except OSError:
            return False
        return bool(found) and all(ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_global for each in found)
    return False


def upload(account_id: int, files: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """Send ``(name, content)`` to TikTok for a rejection: ``[{image_id, mime_type, width, height}]``. Raises ``DomainError`` (field ``pictures``) for what
    is no picture that TikTok takes, or ``ApiError``. Sending the same again is harmless."""
    if len(files) > MOST_UPLOADED:
        raise DomainError("returns.pictures", f"{len(files)} pictures were chosen.", f"TikTok takes at most {MOST_UPLOADED}.", field="pictures")
    converted = []
    for name, content in files:
        found = convert(content, DESCRIPTION)
        if isinstance(found, Refused):
            raise DomainError(found.code, f"{name} cannot be sent: {found.message}", found.remedy, field="pictures")
        converted.append(found)
    end_reading()
    client = connections.tiktok(account_id)
    sent = []
    for number, each in enumerate(converted, 1):
        answer = client.upload_image(each.content, file_name=f"{number}.jpg", media_type=each.media_type, use_case=DESCRIPTION)
        sent.append({"image_id": answer.uri, "mime_type": each.media_type, "width": answer.width or each.width, "height": answer.height or each.height})
    return sent
