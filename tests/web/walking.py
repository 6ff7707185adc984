"""Walking the application: every rule of ``url_map`` with an address that leads to something real."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from connector.core.db import db
from connector.models.account import Account, MagentoConnection, OutgoingMail
from connector.models.aftersales import CreditMemo, RecallTask, Return
from connector.models.listing import CategoryAttribute, Listing, ListingTemplate, MappingRow, TikTokProduct
from connector.models.oms import OmsBatch, OrderFeed
from connector.models.order import Cancellation, Order, ReconciliationDay, Shipment
from connector.models.policy import Policy
from connector.models.product import PolicyImage, Product
from connector.models.run import JobRun, Pause, Schedule
from connector.models.trace import ApiCall
from connector.models.user import ApiToken, User
from connector.web.grids import mounted

HTMX = {"HX-Request": "true"}


@dataclass(frozen=True)
class Door:
    """One rule with an address; ``writes`` and ``reads`` say which methods it takes."""

    endpoint: str
    path: str
    methods: frozenset[str]
    view: Any

    @property
    def public(self) -> bool:
        return bool(getattr(self.view, "is_public", False))

    @property
    def permission(self) -> str | None:
        return getattr(self.view, "permission", None)

    @property
    def reads(self) -> bool:
        return "GET" in self.methods

    @property
    def writes(self) -> bool:
        return bool(self.methods - {"GET"})


def doors(app: Flask) -> Iterator[Door]:
    """Every rule but the static files, once a rule."""
    adapter = app.url_map.bind("localhost")
    known = _known()
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static" or hasattr(app.view_functions[rule.endpoint], "token_scope"):  # doors for programs: test_api.py
            continue
        methods = frozenset((rule.methods or set()) - {"HEAD", "OPTIONS"})
        values = {name: known[name] for name in rule.arguments}
        path = adapter.build(rule.endpoint, values, method="GET" if "GET" in methods else "POST")
        yield Door(rule.endpoint, path, methods, app.view_functions[rule.endpoint])


def _known() -> dict[str, Any]:
    """A value for every argument of the rules; an id that leads to a row wherever a row exists. A new argument fails here and wants its line."""

    def first(column: Any, *conditions: Any) -> int:
        return db.session.scalar(select(column).where(*conditions).order_by(column).limit(1)) or 1

    parcel = db.session.execute(select(Shipment.id, Shipment.order_id).where(Shipment.state == "delivered").limit(1)).first()
    return {
        "account_id": first(Account.id),
        "cancellation_id": first(Cancellation.id),
        "recall_id": first(RecallTask.id),
        "memo_pk": first(CreditMemo.id),
        "attribute_id": first(CategoryAttribute.id),
        "mapping_id": first(MappingRow.id),
        "image_id": first(PolicyImage.id),
        "magento_id": first(MagentoConnection.id),
        "mail_id": first(OutgoingMail.id),
        "order_id": parcel.order_id if parcel else first(Order.id),
        "parcel_id": parcel.id if parcel else 1,
        "policy_id": first(Policy.id),
        "return_pk": first(Return.id),
        "record": 0,
        "place": 0,
        "product_id": db.session.scalar(select(Listing.product_id).order_by(Listing.id).limit(1)) or first(Product.id),
        "row_id": first(TikTokProduct.id),
        "pause_id": first(Pause.id),
        "schedule_id": first(Schedule.id),
        "run_id": first(JobRun.id, JobRun.kind == "orders.create"),
        "feed_id": first(OrderFeed.id),
        "batch_id": first(OmsBatch.id),
        "day_id": first(ReconciliationDay.id),
        "call_id": first(ApiCall.id, ApiCall.order_id.is_not(None)),
        "template_id": first(ListingTemplate.id),
        "user_id": first(User.id, User.email == "second@example.test"),
        "token_id": first(ApiToken.id),
        "view_id": 1,
        "key": sorted(mounted())[0],
        "kind": "order",
    }


def csrf_of(client: FlaskClient, page: str = "/me") -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get(page).text)
    assert found is not None, f"{page} holds no form"
    return found[1]


def knock(client: FlaskClient, door: Door, *, csrf: str | None = None, htmx: bool = False) -> TestResponse:
    """A GET of a page, or a POST with nothing but the token to what only takes writes."""
    headers = HTMX if htmx else {}
    answer = client.get(door.path, headers=headers) if door.reads else client.post(door.path, data={"csrf_token": csrf} if csrf else {}, headers=headers)
    if door.endpoint != "live.stream":
        answer.get_data()  # a streamed file is read to its end
    return answer


def local(address: str) -> bool:
    """Does this Location stay on our site?"""
    return address.startswith("/") and not address.startswith(("//", "/\\"))
