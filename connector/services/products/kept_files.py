"""Files that a person uploaded and has not confirmed yet: kept under the instance folder for a day, named by a token that cannot be guessed."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path

from connector.core.errors import DomainError
from connector.services import settings

KEEP_SECONDS = 24 * 3600
_TOKEN = re.compile(r"[0-9a-f]{32}")


def keep(data: bytes) -> str:
    """Store a file, and clear away what nobody confirmed; the token that ``read`` takes."""
    folder, token = _folder(), secrets.token_hex(16)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.stat().st_mtime < time.time() - KEEP_SECONDS:
            old.unlink(missing_ok=True)
    part = folder / f"{token}.part"
    part.touch(mode=0o600)
    part.write_bytes(data)
    part.rename(folder / token)
    return token


def read(token: str) -> bytes:
    """Raises ``DomainError`` (field ``file``) when it is not kept any more."""
    try:
        return _path(token).read_bytes()
    except OSError as gone:
        raise DomainError("file.gone", "The file is not kept any more.", "Choose it again.", field="file") from gone


def forget(token: str) -> None:
    _path(token).unlink(missing_ok=True)


def _path(token: str) -> Path:
    if not _TOKEN.fullmatch(token):
        raise DomainError("file.gone", "The file is not kept any more.", "Choose it again.", field="file")
    return _folder() / token


def _folder() -> Path:
    return settings.config().instance / "uploads"
