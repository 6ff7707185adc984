"""What a browser sends, before anybody reads it."""

from __future__ import annotations

from typing import Any

from flask import Flask, Request
from werkzeug.datastructures import ImmutableMultiDict, iter_multi_items


def init_app(app: Flask) -> None:
    app.request_class = Incoming


class Words(ImmutableMultiDict[str, Any]):
    """The fields of a form or of an address, their text without NUL: it has no meaning there, and PostgreSQL keeps it in no text."""

    def __init__(self, mapping: Any = None) -> None:
        pairs = iter_multi_items(mapping) if mapping else ()
        super().__init__([(name, value.replace("\x00", "") if isinstance(value, str) else value) for name, value in pairs])


class Incoming(Request):
    parameter_storage_class = Words
