"""The order policy: how TikTok orders become Magento orders and Magento shipments become TikTok parcels (A099-A122)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from connector.domain.email import looks_like_email
from connector.domain.policy_body import Code, PolicyBody, Problem, refused


class CarrierRow(PolicyBody):
    """A113: a Magento carrier (code or title, as in the shipment's track) and the name of TikTok's shipping provider.

    TikTok's ids differ per delivery option, so the name is kept and resolved for each order.
    """

    magento_carrier: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)] = Field(title="Magento carrier")
    tiktok_carrier: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)] = Field(title="TikTok carrier")


class StatusRow(PolicyBody):
    """A115: when TikTok says this, the Magento order gets that status. Both verbatim."""

    tiktok_status: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)] = Field(title="TikTok order status")
    magento_status: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)] = Field(title="Magento order status")


CreateWhen = Literal["AWAITING_SHIPMENT", "AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED", "CANCELLED"]


class OrderPolicy(PolicyBody):
    """Which orders are created, how, for whom and what follows them in both systems."""

    create_in_magento: bool = Field(default=True, title="Create Order in Magento")
    create_when: CreateWhen = Field(
        default="AWAITING_SHIPMENT",
        title="Create Order When",
        description="Awaiting Shipment is the best choice: stock is reserved at once and shipping starts early.",
    )
    alternate_sku_attribute: Code = Field(
        default="", title="Alternate SKU Attribute", description="The Magento attribute that holds the TikTok SKU where the SKU differs."
    )
    if_product_missing: Literal["skip", "create_product"] = Field(default="skip", title="If Product Not Exist")
    create_for_unavailable: bool = Field(default=False, title="Order for Out-of-Stock / Disabled Product")
    taxes: Literal["tiktok", "magento", "none"] = Field(
        default="tiktok", title="Use Magento Taxes", description="The order's total always stays TikTok's total."
    )
    notify: bool = Field(default=False, title="Allow Order Notification")
    notification_email: str = Field(default="", title="Notification Email", max_length=254)
    order_id_prefix: Annotated[str, StringConstraints(strip_whitespace=True, max_length=12, pattern=r"^[A-Za-z0-9_-]*$")] = Field(
        default="", title="Order ID Prefix", description="In front of the Magento order number, such as TT-."
    )
    writer: Literal["checkout", "direct"] = Field(
        default="checkout",
        title="How orders are written",
        description="Through a cart reserves stock as Magento's checkout does. Directly reserves nothing.",
    )
    create_invoice: bool = Field(default=True, title="Invoice Creation")
    push_shipments: bool = Field(default=True, title="Shipment Creation", description="A Magento shipment is sent to TikTok by itself.")
    carrier_mapping: tuple[CarrierRow, ...] = Field(default=(), title="Carrier Mapping")
    customer_mode: Literal["guest", "real", "same"] = Field(default="guest", title="Customer")
    same_customer_id: Annotated[str, StringConstraints(strip_whitespace=True, max_length=20, pattern=r"^\d*$")] = Field(
        default="", title="Magento customer ID", description="The one customer of all orders, when Customer is Same Customer."
    )
    guest_email: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = Field(
        default="{buyer id}@tiktok.com", title="Guest e-mail", description="{buyer id} is replaced by TikTok's buyer id."
    )
    status_mapping: tuple[StatusRow, ...] = Field(default=(), title="Order Status Mapping")
    payment_method: Annotated[str, StringConstraints(strip_whitespace=True, max_length=60)] = Field(
        default="checkmo", title="Payment method", description="Code of a Magento payment method that works offline."
    )
    shipping_method: Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)] = Field(
        default="freeshipping_freeshipping", title="Shipping method", description="Carrier and method code, joined by an underscore."
    )
    revenue: Literal["buyer_paid", "seller_revenue"] = Field(
        default="buyer_paid",
        title="Order total in Magento",
        description="What the buyer paid, or that plus the discount which TikTok funds.",
    )
    credit_memos: bool = Field(default=True, title="Credit Memo Creation", description="A refund that TikTok grants becomes a Magento credit memo.")
    restock_returns: bool = Field(default=True, title="Return to Stock", description="Goods that came back go into Magento's stock, once they were received.")
    refund_from_magento: bool = Field(
        default=False,
        title="Refund on TikTok from Credit Memo",
        description="A credit memo made in Magento refunds the same units on TikTok.",
    )
    apply_to_manual_import: bool = Field(default=False, title="Apply to manual import", description="Off: orders imported by hand wait for Create Sales Order.")

    @field_validator("notification_email")
    @classmethod
    def _one_address(cls, value: str) -> str:
        value = value.strip()
        if value and not looks_like_email(value):
            raise ValueError(f"{value} is not an e-mail address")
        return value

    @model_validator(mode="after")
    def _no_row_twice(self) -> OrderPolicy:
        for field, key, label in (("carrier_mapping", "magento_carrier", "carrier"), ("status_mapping", "tiktok_status", "status")):
            seen: set[str] = set()
            for row in getattr(self, field):
                value = getattr(row, key).casefold()
                if value in seen:
                    raise refused(field, f"The {label} {getattr(row, key)} is mapped twice; keep one row.")
                seen.add(value)
        return self

    def missing(self) -> list[Problem]:
        problems = []
        if self.push_shipments and not self.carrier_mapping:
            problems.append(
                Problem(
                    "carrier_mapping",
                    "Carrier Mapping has no row.",
                    "Map at least one Magento carrier to a TikTok carrier, or switch Shipment Creation off.",
                )
            )
        if self.notify and not self.notification_email:
            problems.append(Problem("notification_email", "Notification Email is empty.", "Enter an address, or switch Allow Order Notification off."))
        if self.customer_mode == "same" and not self.same_customer_id:
            problems.append(Problem("same_customer_id", "No customer is chosen.", "Enter the Magento customer ID, or choose another customer mode."))
        if self.customer_mode == "guest" and not looks_like_email(self.guest_email_for("1")):
            problems.append(
                Problem("guest_email", "The guest e-mail is not an e-mail address.", "Write it like {buyer id}@tiktok.com or orders@your-shop.com.")
            )
        if not self.payment_method:
            problems.append(Problem("payment_method", "Payment method is empty.", "Enter the code of an offline method, such as checkmo."))
        if "_" not in self.shipping_method.strip("_"):
            problems.append(
                Problem(
                    "shipping_method",
                    "The shipping method is not carrier_method.",
                    "Write carrier and method joined by an underscore, such as freeshipping_freeshipping.",
                )
            )
        return problems

    def guest_email_for(self, buyer_id: str) -> str:
        """The guest's e-mail: ``{buyer id}`` (or ``{buyer_id}``) replaced."""
        return self.guest_email.replace("{buyer id}", buyer_id).replace("{buyer_id}", buyer_id)

    def tiktok_carrier(self, *names: str) -> str | None:
        """The provider name mapped from a carrier code or title; the first of ``names`` that is mapped wins. Case does not matter."""
        mapped = {row.magento_carrier.casefold(): row.tiktok_carrier for row in self.carrier_mapping}
        for name in names:
            if found := mapped.get(name.strip().casefold()):
                return found
        return None

    def magento_status(self, tiktok_status: str) -> str | None:
        """The Magento status mapped from a TikTok status, verbatim."""
        return next((row.magento_status for row in self.status_mapping if row.tiktok_status == tiktok_status), None)
