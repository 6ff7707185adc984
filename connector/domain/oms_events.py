"""What an OMS may say of an order, as pydantic models: the same ones check a message and describe it in OpenAPI (A253-A255, A265). Pure.

``read`` takes one entry of an event, a pull or a file and gives its checked form, or says which field is at fault, why, and what to send instead.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from connector.domain.rejection import OUT_OF_STOCK, PRICING_ERROR, UNABLE_TO_DELIVER
from connector.domain.shipping import clean_tracking, tracking_problem

SHIPPED, CANCELLED, DELIVERED = "shipped", "cancelled", "delivered"
CANCELLATION_ANSWERED, GOODS_RECEIVED = "cancellation_answered", "goods_received"
TYPES = (SHIPPED, CANCELLED, DELIVERED, CANCELLATION_ANSWERED, GOODS_RECEIVED)
#: With this begins the event id of an entry that has none of its own.
DIGEST = "sha256:"

#: Words by which the text of a cancellation is recognised as one of our reasons.
_REASONS: dict[str, tuple[str, ...]] = {
    OUT_OF_STOCK: ("stock", "inventory", "sold", "unavailable", "backorder", "back order", "discontinued", "damaged"),
    PRICING_ERROR: ("pric",),
    UNABLE_TO_DELIVER: ("deliver", "address", "carrier", "courier", "lost", "ship"),
}


def cancel_reason(text: str) -> str | None:
    """The reason of ``domain.rejection`` that a text means, or None."""
    plain = text.casefold().replace("_", " ").replace("-", " ")
    return next((reason for reason, words in _REASONS.items() if any(word in plain for word in words)), None)


def _text(value: Any) -> Any:
    """Ids are text: a JSON number of their size has lost digits on the way in many languages."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticCustomError("id_number", "It is a number, and numbers of this size lose digits on the way; send it as text, in quotes")
    return value.strip() if isinstance(value, str) else value


def _one_line(value: Any) -> Any:
    """Words that a person typed may be broken into lines."""
    return " ".join(value.split()) if isinstance(value, str) else value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise PydanticCustomError("unprintable", "It holds characters that cannot be printed")
    return value


def _tracking(value: str) -> str:
    number = clean_tracking(value)
    if problem := tracking_problem(number):
        raise PydanticCustomError("tracking", "{problem}", {"problem": problem.rstrip(".")})
    return number


def _reason(value: str) -> str:
    if cancel_reason(value) is None:
        raise PydanticCustomError("reason", "No reason of TikTok's is meant by it; send out_of_stock, pricing_error or unable_to_deliver")
    return value


def _instant(value: datetime) -> datetime:
    if value.tzinfo is None or not 2000 <= value.year <= 9000:
        raise PydanticCustomError("instant", "It is no instant with a time zone, such as 2026-03-01T12:00:00Z")
    return value.astimezone(UTC)


_Id = Annotated[str, BeforeValidator(_text, json_schema_input_type=str), AfterValidator(_printable)]
_Text = Annotated[str, BeforeValidator(_one_line, json_schema_input_type=str), AfterValidator(_printable)]
_When = Annotated[datetime, AfterValidator(_instant)]


class Item(BaseModel):
    """Units of one SKU."""

    sku: _Id = Field(min_length=1, max_length=120, description="Seller SKU as TikTok has it, or the store's SKU.")
    quantity: int = Field(ge=1, le=100_000, strict=True)


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: _Id = Field("", max_length=100, description="Your own id of this event, unique in the account. Sent again, it has no second effect. "
                    "Without one, the same content is the same event.")  # fmt: skip
    order_id: _Id = Field(min_length=1, max_length=60, description="TikTok order id, as text; the store's own order number is understood as well.")
    occurred_at: _When | None = Field(None, description="When it happened, with a time zone. Of several updates that wait, the earliest is carried out first.")


class Shipped(_Event):
    """A parcel has left. One event a parcel, with everything that is in it."""

    type: Literal["shipped"]
    tracking_number: Annotated[_Id, AfterValidator(_tracking)] = Field(min_length=1, max_length=100)
    carrier: _Text = Field(min_length=1, max_length=120, description="TikTok's name of the carrier, or one that the order policy maps.")
    items: list[Item] | None = Field(None, min_length=1, max_length=500, description="What is in the parcel; left out: everything that has not been shipped.")


class Cancelled(_Event):
    """The seller cancels the order (A265, A266). It is refused when the order has left."""

    type: Literal["cancelled"]
    reason: Annotated[_Text, AfterValidator(_reason)] = Field(
        max_length=300, description="out_of_stock, pricing_error or unable_to_deliver, or words that mean one of them."
    )


class Delivered(_Event):
    """The seller's own fleet has handed the parcel over."""

    type: Literal["delivered"]


class CancellationAnswered(_Event):
    """The answer to the buyer's wish to cancel."""

    type: Literal["cancellation_answered"]
    accept: bool = Field(strict=True)
    reason: _Text = Field("", max_length=200, description="With accept false: one of TikTok's reasons for rejecting.")


class GoodsReceived(_Event):
    """Returned goods, or a recalled parcel, came back and can be sold again. They are put back into stock once."""

    type: Literal["goods_received"]
    return_id: _Id = Field("", max_length=40, description="TikTok's return id; left out: the order's return that expects goods, or its recall.")
    items: list[Item] | None = Field(None, min_length=1, max_length=500, description="What can be sold again of a recalled parcel; left out: all of it.")


Event = Annotated[Shipped | Cancelled | Delivered | CancellationAnswered | GoodsReceived, Field(discriminator="type")]
_ADAPTER: TypeAdapter[Shipped | Cancelled | Delivered | CancellationAnswered | GoodsReceived] = TypeAdapter(Event)

_FIELDS = {model.__name__: frozenset(model.model_fields) for model in (Shipped, Cancelled, Delivered, CancellationAnswered, GoodsReceived)}
#: What others call our fields. A misspelt one that may be left out would be overlooked: the parcel would hold everything.
_OTHERS_WORDS = {
    "sku": "items",
    "quantity": "items",
    "lines": "items",
    "products": "items",
    "event_id": "id",
    "order_number": "order_id",
    "shipped_at": "occurred_at",
}

_REMEDIES = {
    "missing": "Add it.",
    "union_tag_invalid": f"Use one of: {', '.join(TYPES)}.",
    "union_tag_not_found": f"Add it: one of {', '.join(TYPES)}.",
    "string_type": "Send it as text.",
    "string_too_long": "Shorten it.",
    "bool_type": "Send true or false.",
    "list_type": 'Send a list such as [{"sku": "TEE-BLA-S", "quantity": 2}].',
    "model_type": 'Send an object such as {"sku": "TEE-BLA-S", "quantity": 2}.',
    "too_short": "Leave it out when all of them are meant.",
}
_SAID = {
    "missing": "It is missing", "string_too_short": "It is empty", "string_type": "It is no text", "bool_type": "It is neither true nor false",
    "int_type": "It is no whole number", "int_parsing": "It is no whole number", "list_type": "It is no list", "model_type": "It is no object",
    "greater_than_equal": "It is less than {ge}", "less_than_equal": "It is more than {le}", "string_too_long": "It is longer than {max_length} characters",
    "extra_forbidden": "There is no such field", "literal_error": "It is none of {expected}",
    "too_short": "It is empty", "too_long": "It has more than {max_length} entries",
}  # fmt: skip


class BadEntry(ValueError):
    """One entry that cannot be taken: ``field`` (dotted), ``message`` and ``remedy`` for whoever sent it."""

    def __init__(self, field: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.field, self.message, self.remedy = field, message, remedy


def read(entry: object) -> dict[str, Any]:
    """One entry, checked, as plain JSON values without empty ones. Raises ``BadEntry``."""
    if not isinstance(entry, Mapping):
        raise BadEntry("", "The entry is no JSON object.", "Send an object with id, type and order_id.")
    try:
        found = _ADAPTER.validate_python(dict(entry))
    except ValidationError as error:
        raise explain(error) from None
    _nothing_overlooked(entry, _FIELDS[type(found).__name__])
    return found.model_dump(mode="json", exclude_none=True)


def _nothing_overlooked(entry: Mapping[str, Any], known: frozenset[str]) -> None:
    """Other fields than ours are passed over, but not one that means ours: nobody would see that it was not understood."""
    for name in entry:
        if name in known:
            continue
        plain = re.sub(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]+", "_", str(name)).casefold()
        meant = _OTHERS_WORDS.get(plain) or next(iter(get_close_matches(plain, sorted(known), 1, 0.8)), "")
        if meant in known and entry.get(meant) is None:
            shown = safe_id(name)
            raise BadEntry(shown, f"{shown}: There is no such field; {meant} may be meant.", f"Send {meant} instead.")


def explain(error: ValidationError) -> BadEntry:
    """The first fault of a message in words."""
    first = error.errors(include_url=False, include_input=False)[0]
    places = [str(part) for part in first["loc"]]
    if places[:1] and places[0] in TYPES:
        places = places[1:]
    kind = str(first["type"])
    field = ".".join(places) or ("type" if kind.startswith("union_tag") else "")
    text = str(first["msg"])
    if kind.startswith("union_tag"):
        text = "The type of the update is missing" if kind.endswith("found") else "It is no type of update"
    else:
        text = (
            "It is no instant with a time zone, such as 2026-03-01T12:00:00Z"
            if kind.startswith("datetime")
            else _SAID[kind].format(**first.get("ctx", {}))
            if kind in _SAID
            else text
        )
    return BadEntry(field, f"{field or 'The entry'}: {text}.".replace("..", "."), _REMEDIES.get(kind, "Correct it and send the entry again."))


def event_id(found: Mapping[str, Any]) -> str:
    """The entry's own id, or a digest of what it says."""
    own = str(found.get("id") or "")
    if own:
        return own
    return f"{DIGEST}{digest({name: value for name, value in found.items() if name != 'id'})}"


def digest(value: object) -> str:
    """40 hexadecimal digits by which the same content is known again."""
    said = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:40]


def units(items: object) -> dict[str, int]:
    """SKU -> units of an entry's items; empty: everything."""
    found: dict[str, int] = {}
    for item in items if isinstance(items, list) else []:
        found[str(item["sku"])] = found.get(str(item["sku"]), 0) + int(item["quantity"])
    return found


def safe_id(text: object) -> str:
    """An id for an answer about an entry that could not be read."""
    return re.sub(r"[^\x20-\x7e]", "?", text)[:100] if isinstance(text, str) else ""
