"""Magento's three ways of saying no (MAG §3.1): the JSON envelope, the masked 500, the plain-text crash."""

from __future__ import annotations

import secrets
from typing import Any
from xml.sax.saxutils import escape

CRASH_TEXT = "An error has happened during application run. See exception log for details.\n"

_PAGE = """<!doctype html>
<html xmlns="http://www.w3.org/1999/xhtml" >
<head>
    <title>{title}</title>
    <meta http-equiv="Content-Type" content="text/html; charset=utf-8" />
    <meta name="robots" content="*"/>
</head>
<body>
    <main class="page-main">

{body}
    </main>
</body>
</html>
"""


class RestError(Exception):
    """Format A. `parameters` is a list (%1) or an object (%name); `keep` commits what was written before the refusal."""

    def __init__(self, status: int, message: str, parameters: Any = None, errors: list | None = None, keep: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.parameters = parameters
        self.errors = errors
        self.keep = keep

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"message": self.message}
        if self.errors:
            body["errors"] = self.errors
        if self.parameters is not None:
            body["parameters"] = self.parameters
        return body


class Masked(RestError):
    """The 500 of production mode: everything that is not a business error."""

    def __init__(self) -> None:
        report = secrets.token_hex(7)[:13]
        super().__init__(500, f"Internal Error. Details are available in Magento log file. Report ID: webapi-{report}")


class Crash(Exception):
    """A PHP type error: 500 `text/plain`."""

    keep = False


def required(*names: str) -> RestError:
    """`"%fieldName" is required`: one fault is the message itself, several are listed (MAG §3.1)."""
    template = '"%fieldName" is required. Enter and try again.'
    if len(names) == 1:
        return RestError(400, template, {"fieldName": names[0]})
    faults = [{"message": template, "parameters": {"fieldName": name}} for name in names]
    return RestError(400, "One or more input exceptions have occurred.", errors=faults)


def no_such(field: str, value: Any) -> RestError:
    return RestError(404, "No such entity with %fieldName = %fieldValue", {"fieldName": field, "fieldValue": value})


def wrong_type(name: str, value: Any, expected: str) -> RestError:
    shown = value if isinstance(value, str) else "Array" if isinstance(value, (list, dict)) else value
    return RestError(
        400,
        f'Error occurred during "{name}" processing. The "{shown}" value\'s type is invalid. The "{expected}" type was expected. Verify and try again.',
    )


NOT_FOUND = "The entity that was requested doesn't exist. Verify the entity and try again."
NO_ROUTE = "Request does not match any route."


def error_page() -> str:
    record = secrets.token_hex(32)
    body = (
        "<h1>There has been an error processing your request</h1>\n"
        "    <p><em>Exception printing is disabled by default for security reasons.</em></p>\n\n"
        f"    <p>Error log record number: {record}</p>"
    )
    return _PAGE.format(title="There has been an error processing your request", body=body)


def maintenance_page() -> str:
    body = (
        "<h1>Service Temporarily Unavailable</h1>\n<p>\n    The server is temporarily unable to service your request due to"
        " maintenance downtime or capacity problems.\n    Please try again later.\n</p>"
    )
    return _PAGE.format(title="Error 503: Service Unavailable", body=body)


def to_xml(value: Any) -> str:
    """The same answer for `Accept: application/xml`; list elements are `<item>`."""
    return f'<?xml version="1.0"?>\n<response>\n{_xml(value, 1)}</response>\n'


def _xml(value: Any, depth: int) -> str:
    pad = "  " * depth
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [("item", element) for element in value]
    else:
        return f"{pad}{escape(str(value))}\n"
    out = []
    for name, element in pairs:
        if isinstance(element, (dict, list)):
            out.append(f"{pad}<{name}>\n{_xml(element, depth + 1)}{pad}</{name}>\n")
        else:
            text = "" if element is None else str(element).lower() if isinstance(element, bool) else str(element)
            out.append(f"{pad}<{name}>{escape(text)}</{name}>\n")
    return "".join(out)
