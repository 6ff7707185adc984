"""The bodies of the API. Views build their answers from them and read queries with them, and the OpenAPI description is made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from connector.domain.oms_events import Event

LARGEST_ID = 2**31 - 1
UpdateState = Literal["received", "done", "ignored", "failed"]


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


class Query(BaseModel):
    """A misspelt parameter is refused: without it the answer would be another one."""

    model_config = ConfigDict(extra="forbid")


class FeedsQuery(Query):
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

    index: int = Field(description="Where it stands in events, from 0.")
    id: str = Field(description="Its id, as far as it could be read.")
    field: str
    message: str
    remedy: str


class EventsAnswer(BaseModel):
    accepted: int = Field(description="New ones; they are carried out at once, in their order.")
    repeated: int = Field(description="Known ones; they have no second effect.")
    rejected: list[EntryProblem]


class BatchQuery(Query):
    """Which lines of a batch to show."""

    after: int = Field(0, ge=0, le=LARGEST_ID, description="Lines after this one.")
    limit: int = Field(1000, ge=1, le=5000)


class BatchLine(BaseModel):
    """What became of one line of the file."""

    line: int
    id: str = Field(description="Your own id of the update; empty when the line has none.")
    order_id: str
    type: str
    state: UpdateState = Field(description="received: not carried out yet; ignored: it was so already, is repeated, or a person has set it aside.")
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
    state: UpdateState
    code: str | None
    message: str
    remedy: str
    received_at: datetime


class UpdatesQuery(Query):
    """Which updates to list."""

    after: int = Field(0, ge=0, le=2**53 - 1, description="Updates after the one with this number.")
    state: UpdateState | None = Field(None, description="Only updates in this state.")
    id: str = Field("", max_length=100, description="Only the update with this id of your own.")
    order_id: str = Field("", max_length=60, description="Only updates that name the order so.")
    limit: int = Field(100, ge=1, le=500)


class Update(OrderUpdate):
    """One update, whichever way it came."""

    number: int = Field(description="Ours; they count up as updates come.")
    order_id: str = Field(description="As the update named the order, known here or not.")
    source: Literal["event", "pull", "import", "folder"]


class Updates(BaseModel):
    updates: list[Update]
    more: bool = Field(description="There are more: ask again with after = the last number.")


class Carrier(BaseModel):
    """A carrier that a parcel may be shipped with."""

    name: str = Field(description="What shipped may say; case, accents and punctuation do not count.")
    tiktok: str = Field(description="TikTok's name of the carrier: the same, or the one that the order policy maps the name to.")


class Carriers(BaseModel):
    carriers: list[Carrier]


class StoreOrder(BaseModel):
    """The order in the store; null while it is not there."""

    number: str | None
    state: str | None = Field(description="The store's own word.")
    status: str | None = Field(description="The store's own word.")


class Fulfillment(BaseModel):
    type: str = Field(description="FULFILLMENT_BY_SELLER, or FULFILLMENT_BY_TIKTOK, which is not yours to ship.")
    shipping_type: str = Field(description="SELLER: you choose the carrier. TIKTOK: the parcel goes by TikTok's logistics, and shipped is refused.")
    delivery_option: str
    warehouse_id: str


class Buyer(BaseModel):
    id: str
    name: str
    email: str
    phone: str
    message: str


class District(BaseModel):
    level: str
    name: str


class Address(BaseModel):
    """What TikTok says of it; what it does not say is empty."""

    name: str
    first_name: str
    last_name: str
    phone_number: str
    full_address: str
    address_line1: str
    address_line2: str
    address_line3: str
    address_line4: str
    address_detail: str
    post_town: str
    postal_code: str
    region_code: str = Field(description="ISO 3166-1, two letters.")
    districts: list[District] = Field(description="From the country down to the town.")
    masked: bool = Field(description="TikTok shows it with asterisks: wait for the next feed that holds the order before you print a label.")


class OrderLine(BaseModel):
    """One unit."""

    id: str = Field(description="TikTok's line id.")
    sku: str = Field(description="Seller SKU, as items of shipped name it.")
    sku_id: str
    product_id: str
    name: str
    variant: str
    quantity: Literal[1]
    gift: bool
    status: str = Field(description="TikTok's status of the line.")
    package_id: str
    tracking_number: str
    cancel_reason: str
    cancelled_by: str
    sale_price: str = Field(description="What the buyer pays for the unit.")
    original_price: str
    seller_discount: str
    platform_discount: str
    tax: str


class Package(BaseModel):
    """A parcel as TikTok knows it."""

    id: str
    tracking_number: str
    carrier: str
    shipping_provider_id: str
    line_ids: list[str]


class Cancellation(BaseModel):
    requested: bool = Field(description="The buyer waits for an answer: do not ship before cancellation_answered.")
    cancelled_at: datetime | None
    by: str = Field(description="BUYER, SELLER or SYSTEM (TikTok).")
    reason: str


class OrderRecord(BaseModel):
    """An order as it stands in a feed: one a line of JSON Lines. Money is decimal text; ids, statuses and amounts are TikTok's own words."""

    number: str = Field(description="TikTok order id.")
    account: str
    status: str = Field(
        description="TikTok's status: UNPAID, ON_HOLD, AWAITING_SHIPMENT, PARTIALLY_SHIPPING, AWAITING_COLLECTION, IN_TRANSIT, DELIVERED, COMPLETED, "
        "CANCELLED, or a new one."
    )
    state: str = Field(
        description="Where it stands here: stored (nothing to do), review (waits for a person), held (hold hour), ready or creating (goes to the store), "
        "created (is in the store), skipped (left out on purpose), failed (a person has to look), cancelled (never reached the store)."
    )
    tag: str = Field(description='"cancel after shipped": TikTok cancelled it after a parcel had left; it is to come back.')
    store_order: StoreOrder
    placed_at: datetime | None
    paid_at: datetime | None
    held_until: datetime | None = Field(description="End of the hold hour, while it lasts.")
    ship_by: datetime | None = Field(description="Ship before, or TikTok counts it as late.")
    cancel_by: datetime | None = Field(description="TikTok cancels it then, when nothing was shipped.")
    changed_at: datetime | None = Field(description="TikTok's time of its last change.")
    currency: str
    total: str | None
    totals: dict[str, str] = Field(description="TikTok's own amounts: sub_total, shipping_fee, tax, seller_discount, platform_discount and others.")
    fulfillment: Fulfillment
    buyer: Buyer
    address: Address
    lines: list[OrderLine]
    packages: list[Package]
    cancellation: Cancellation


class Order(OrderRecord):
    """An order as it stands in a feed, and the OMS's own updates of it."""

    updates: list[OrderUpdate]


class FeedReady(BaseModel):
    """The call that we make to the feed-ready address when a feed can be collected. Signed like events, with every secret that counts; any 2xx is fine.

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
    url: str = Field(description="Where the file is, in full.")
    created_at: datetime
