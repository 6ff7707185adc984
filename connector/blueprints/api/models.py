"""The bodies of the API. Views build their answers from them and read queries with them, and the OpenAPI description is made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from connector.domain.oms_events import Event

LARGEST_ID = 2**31 - 1


class Problem(BaseModel):
    """RFC 7807: what happened, and what to do about it."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    code: str | None = Field(None, description="Stable; programs may look at it.")
    field: str | None = Field(None, description="The field at fault, dotted.")
    remedy: str | None = Field(None, description="What to do, for a person.")
    reference: str | None = Field(None, description="Under which the log holds more.")


class FeedsQuery(BaseModel):
    """Which feeds to list."""

    account: int | None = Field(None, ge=1, le=LARGEST_ID, description="Only feeds of this account.")
    after: int = Field(0, ge=0, le=2**53 - 1, description="Feeds after the one with this id: remember the last one that you collected.")
    format: Literal["jsonl", "csv"] | None = Field(None, description="Only this format.")
    limit: int = Field(100, ge=1, le=500)


class Feed(BaseModel):
    """One file of new and changed orders."""

    id: int
    account_id: int
    number: int = Field(description="Counts the feeds of the account; a feed in two formats has one number.")
    format: Literal["jsonl", "csv"]
    rows: int
    bytes: int
    sha256: str
    url: str = Field(description="Where the file is, below PUBLIC_URL.")
    created_at: datetime
    collected_at: datetime | None


class Feeds(BaseModel):
    feeds: list[Feed]
    more: bool = Field(description="There are more: ask again with after = the last id.")


class EventsBody(BaseModel):
    """What has happened, oldest first."""

    events: list[Event] = Field(min_length=1, max_length=1000)


class EntryProblem(BaseModel):
    """An entry that was not taken. The others were."""

    id: str
    field: str
    message: str
    remedy: str


class EventsAnswer(BaseModel):
    accepted: int = Field(description="New ones; they are carried out at once, in their order.")
    repeated: int = Field(description="Known ones; they have no second effect.")
    rejected: list[EntryProblem]


class BatchQuery(BaseModel):
    """Which lines of a batch to show."""

    after: int = Field(0, ge=0, le=LARGEST_ID, description="Lines after this one.")
    limit: int = Field(1000, ge=1, le=5000)


class BatchLine(BaseModel):
    """What became of one line of the file."""

    line: int
    id: str = Field(description="Your own id of the update; empty when the line has none.")
    order_id: str
    type: str
    state: Literal["received", "done", "ignored", "failed"] = Field(description="received: not carried out yet; ignored: it was so already, or is repeated.")
    code: str | None
    message: str
    remedy: str


class Batch(BaseModel):
    """A file of updates with the results so far."""

    id: int
    account_id: int
    file_name: str
    rows: int
    created_at: datetime
    repeated: bool = Field(description="The same bytes had been sent before; this is the batch that they made then.")
    counts: dict[str, int] = Field(description="Lines by state.")
    lines: list[BatchLine]
    more: bool = Field(description="There are more lines: ask again with after = the last line.")


class OrderUpdate(BaseModel):
    """What the OMS has said of the order, and what became of it."""

    id: str
    type: str
    state: Literal["received", "done", "ignored", "failed"]
    code: str | None
    message: str
    remedy: str
    received_at: datetime


class Order(BaseModel):
    """An order as it stands in a feed, and the OMS's own updates of it. Money is decimal text; statuses are TikTok's own words."""

    model_config = ConfigDict(extra="allow")

    number: str = Field(description="TikTok order id.")
    account: str
    status: str = Field(description="TikTok's status.")
    state: str = Field(description="The connector's own state.")
    tag: str = Field(description="For example: cancel after shipped.")
    store_order: dict[str, Any]
    currency: str
    total: str | None
    totals: dict[str, str]
    buyer: dict[str, str]
    address: dict[str, Any]
    lines: list[dict[str, Any]]
    packages: list[dict[str, Any]]
    cancellation: dict[str, Any]
    updates: list[OrderUpdate]


class FeedReady(BaseModel):
    """The call that we make to the feed-ready address when a feed can be collected. Signed like events; any 2xx is fine.

    A test call has the event ``test`` and ``account``, ``account_id`` and ``created_at`` only.
    """

    model_config = ConfigDict(extra="allow")

    event: Literal["feed.ready"]
    feed_id: int
    account: str = Field(description="The account's title, which a person may change.")
    account_id: int = Field(description="The account's number, as in the addresses of this API.")
    number: int
    format: Literal["jsonl", "csv"]
    rows: int
    bytes: int
    sha256: str
    url: str
    created_at: datetime
