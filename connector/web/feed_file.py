"""A feed's file as an answer, for programs and for browsers alike: the same bytes whenever it is asked for, and a collection that broke off goes on."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Response, request, stream_with_context

from connector.core.db import end_reading
from connector.models.oms import OrderFeed
from connector.services.oms import feed
from connector.web.problems import problem


def feed_file(row: OrderFeed, *, by: str) -> Response:
    """The file of a feed that is ready, or the part that ``Range`` names (RFC 9110 §14); 304 for the copy that the caller has, 416 for a range outside.

    The ETag is the SHA-256. ``by``: who collects it.
    """
    headers = {"ETag": f'"{row.sha256}"', "Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    if request.if_none_match.contains_weak(row.sha256):
        return Response(status=304, headers=headers)
    start, end = 0, row.size
    part = request.range
    same = request.if_range.etag in (None, row.sha256) and request.if_range.date is None
    if part is not None and part.units == "bytes" and len(part.ranges) == 1 and same:
        found = part.range_for_length(row.size)
        if found is None:
            answer = problem(
                416, "No such range", f"The file of feed {row.number} has {row.size} bytes; the range {request.headers['Range']} is not inside it.",
                remedy="Ask for a range inside the file. If your part has all of its bytes, compare its SHA-256 with the ETag: then it is complete.",
                code="api.range",
            )  # fmt: skip
            answer.headers["Content-Range"] = f"bytes */{row.size}"
            answer.headers["ETag"] = headers["ETag"]
            return answer
        start, end = found
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{row.size}"
    headers |= {
        "Content-Length": str(end - start),
        "Content-Type": feed.MEDIA_TYPES[row.format],
        "Content-Disposition": f'attachment; filename="{feed.file_name(row)}"',
    }
    feed_id = row.id
    end_reading()
    body: Iterable[bytes] = () if request.method == "HEAD" else stream_with_context(feed.stream(feed_id, start, end, by=by))
    return Response(body, 206 if "Content-Range" in headers else 200, headers)
