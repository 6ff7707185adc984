"""The drop folder (A255): ``instance/oms/<account id>/in``. A file that is whole is taken as a batch and moved to ``done`` or ``failed``.

Beside it stands ``<name>.result.json``: what was taken in, and which line was not and why. Names that begin with a dot or end in .part, .tmp or .filepart
are somebody's unfinished work; any other file is read when it has not changed for ten seconds.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path

import orjson

from connector.core import logs
from connector.core.db import db, end_reading
from connector.core.errors import DomainError
from connector.models.oms import FOLDER, UPDATE_FAILED, OmsUpdate
from connector.services import settings
from connector.services.oms import batches, connection
from connector.services.oms.updates import UNREADABLE

log = logs.get(__name__)

STABLE_SECONDS = 10.0
UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
SUFFIXES = (".csv", ".txt", ".json", ".jsonl", ".ndjson")
RESULT = ".result.json"
#: Bytes that the name of a file may have.
LONGEST_NAME = 255
AT_ONCE = 100
ACTOR = "drop folder"


def place(account_id: int) -> Path:
    """The account's folder; ``in``, ``done`` and ``failed`` are below it."""
    return Path(settings.config().instance) / "oms" / str(int(account_id))


def look(account_id: int, *, stable_seconds: float = STABLE_SECONDS) -> list[str]:
    """Take every whole file, oldest first; the names that were moved. Nothing happens while the connection has no drop folder.

    Raises ``DomainError`` when the others are taken, naming files that could not be read or moved.
    """
    row = connection.get(account_id)
    wanted = row is not None and row.active and row.drop_folder
    end_reading()
    if not wanted:
        return []
    home = place(account_id)
    for name in ("in", "done", "failed"):
        (home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    taken, stuck = [], []
    for path in _whole(home / "in", stable_seconds):
        if len(taken) == AT_ONCE:
            break
        try:
            _take(account_id, home, path)
            taken.append(_shown(path))
        except FileNotFoundError:
            continue  # its sender has taken it back
        except OSError as fault:
            stuck.append(f"{_shown(path)} ({fault.strerror or fault})")
        except Exception as fault:
            db.session.rollback()
            log.exception("drop_folder_file", account_id=account_id)
            stuck.append(f"{_shown(path)} ({type(fault).__name__}, see the log)")
    if stuck:
        raise DomainError(
            "oms.folder_stuck", f"{len(stuck)} of the drop folder's files cannot be taken: {', '.join(stuck[:10])}.",
            f"Let the user that runs the connector read them and move them from {home / 'in'} to the folders done and failed beside it.",
        )  # fmt: skip
    return taken


def _whole(folder: Path, stable_seconds: float) -> list[Path]:
    """Plain files that nobody has touched for a while. Links and folders are left alone: they may lead out of here.

    What counts is when this machine saw the file change; its own date is the sender's, whose clock may be ahead.
    """
    found = []
    now = time.time()
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.casefold()
            if name.startswith(".") or name.endswith(UNFINISHED) or not entry.is_file(follow_symlinks=False):
                continue
            facts = entry.stat(follow_symlinks=False)
            if now - facts.st_ctime >= stable_seconds:
                found.append((facts.st_mtime, Path(entry.path)))
    return [path for _, path in sorted(found)]


def _take(account_id: int, home: Path, path: Path) -> None:
    data = _content(path)
    shown = _shown(path)
    result: dict[str, object] = {"file": shown}
    try:
        if not path.name.casefold().endswith(SUFFIXES):
            raise DomainError("oms.file_name", f"{shown} is neither a .csv nor a .json or .jsonl file.", "Name it by what it holds.")
        taken = batches.take(account_id, data, file_name=shown, source=FOLDER, actor=ACTOR)
        bad = [line for line in _all_lines(taken.batch.id) if line.state == UPDATE_FAILED and line.code == UNREADABLE]
        result |= {
            "batch": taken.batch.id,
            "same_file_as_before": taken.repeated,
            "rows": taken.batch.rows,
            "rejected": [{"line": line.line, "field": line.data.get("field", ""), "message": line.message, "remedy": line.remedy} for line in bad],
        }
        where = "failed" if len(bad) == taken.batch.rows else "done"
    except DomainError as refused:
        result |= {"rows": 0, "rejected": [{"line": 0, "field": "file", "message": refused.message, "remedy": refused.remedy}]}
        where = "failed"
    end_reading()
    target = _free(home / where, path.name)
    beside = target.with_name(target.name + RESULT)
    beside.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    try:
        shutil.move(path, target)  # "in" may be a volume of its own
    except OSError:
        beside.unlink()  # the file is tried again, and must leave nothing behind each time
        if path.exists():
            target.unlink(missing_ok=True)  # copied from another volume, where it cannot be removed
        raise


def _shown(path: Path) -> str:
    """The file's name for people and for JSON; bytes that are no UTF-8 are question marks."""
    return os.fsencode(path.name).decode("utf-8", "replace").replace("\ufffd", "?")


def _content(path: Path) -> bytes:
    """The file's bytes, at most a little more than is allowed; a link that has taken its place is refused."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("no plain file")
        return file.read(batches.MAX_BYTES + 1)


def _all_lines(batch_id: int) -> list[OmsUpdate]:
    found: list[OmsUpdate] = []
    after = 0
    while page := batches.lines(batch_id, after=after):
        found += page
        after = page[-1].line
    return found


def _free(folder: Path, name: str) -> Path:
    """A name in ``folder`` that is not taken: name.csv, name-2.csv, ... A long one is cut so that its result can stand beside it."""
    stem, suffix = os.path.splitext(name)
    for number in range(1, 100_000):
        end = suffix if number == 1 else f"-{number}{suffix}"
        room = LONGEST_NAME - len(os.fsencode(end + RESULT))
        found = folder / (os.fsdecode(os.fsencode(stem)[: max(1, room)]) + end)
        if not found.exists() and not found.with_name(found.name + RESULT).exists():
            return found
    raise OSError(f"{folder} is full of files called {name}")
