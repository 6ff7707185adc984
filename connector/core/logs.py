"""Structured logs on standard error; secrets and buyer data never pass through here."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_KEY = re.compile(r"(?i)(secret|token|password|cipher|authorization|cookie|access_key|sign\b|email|phone|address|recipient)")
_SECRET_PAIR = re.compile(r"(?i)\b((?:app_secret|access_token|refresh_token|auth_code|shop_cipher|sign|password|oauth_\w+)=)[^&\s\"',]+")


def redact(text: str) -> str:
    """Blank the values of secret parameters inside a free text (a URL, an exception)."""
    return _SECRET_PAIR.sub(r"\1***", text)


def _scrub(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in entry.items():
        if isinstance(value, str):
            entry[key] = "***" if _SECRET_KEY.search(key) else redact(value)
    return entry


#: What every line goes through, whoever wrote it.
_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _scrub,
]


def formatter(*, json_lines: bool) -> logging.Formatter:
    """The form of every line on standard error: one JSON object, or words for a person."""
    renderer = structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processor=renderer)


def configure(level: str = "INFO", *, json_lines: bool = False) -> None:
    """Install the one handler of the process."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(json_lines=json_lines))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    logging.getLogger("rq").setLevel(logging.WARNING)


def get(name: str) -> Any:
    """A logger that takes facts as keyword arguments."""
    return structlog.stdlib.get_logger(name)
