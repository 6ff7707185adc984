"""The five kinds of policy (A051): what they hold, and what makes one complete.

A policy's body may be saved incomplete: the types refuse what can never be right (a negative buffer), ``missing`` names what a policy still
needs before it is valid (A058). Whether references still exist (a carrier, an attribute) is asked by the policies service.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

SYNCHRONIZATION, INVENTORY, IMAGE, PRICING, ORDER = "synchronization", "inventory", "image", "pricing", "order"

KIND_TITLES: dict[str, str] = {
    SYNCHRONIZATION: "Synchronization",
    INVENTORY: "Inventory",
    IMAGE: "Image",
    PRICING: "Pricing",
    ORDER: "Order",
}

#: TikTok's order statuses, verbatim (TTS §5.4.5), with the words people read.
ORDER_STATUSES: dict[str, str] = {
    "UNPAID": "Unpaid",
    "ON_HOLD": "On Hold",
    "AWAITING_SHIPMENT": "Awaiting Shipment",
    "PARTIALLY_SHIPPING": "Partially Shipping",
    "AWAITING_COLLECTION": "Awaiting Collection",
    "IN_TRANSIT": "In Transit",
    "DELIVERED": "Delivered",
    "COMPLETED": "Completed",
    "CANCELLED": "Cancelled",
}

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Filled = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Code = Annotated[str, StringConstraints(strip_whitespace=True, max_length=60, pattern=r"^[A-Za-z][A-Za-z0-9_]*$|^$")]
Units = Annotated[int, Field(ge=0, le=1_000_000)]
Money = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=4)]
Minutes = Annotated[int, Field(ge=1, le=10_080)]


class Problem(NamedTuple):
    """Why a policy is not valid: the field, what is wrong, what to do."""

    field: str
    message: str
    remedy: str


class PolicyBody(BaseModel):
    """What all bodies share. ``title`` of a field is its label on screen, ``description`` its help text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def missing(self) -> list[Problem]:
        """Mandatory details that are not there yet."""
        return []

    def remarks(self) -> list[str]:
        """What is allowed and yet worth knowing: settings that do nothing together, or risk something."""
        return [text for name, info in type(self).model_fields.items() if getattr(self, name) is True and (text := warning(info))]


def warning(info: FieldInfo) -> str:
    """The warning of a switch that risks something when it is on; "" for every other field."""
    extra = info.json_schema_extra
    return str(extra.get("warning", "")) if isinstance(extra, dict) else ""


def refused(field: str, words: str) -> PydanticCustomError:
    """Two fields that cannot be right together; shown beside ``field``."""
    return PydanticCustomError("together", "{words}", {"field": field, "words": words})


class SourceRow(PolicyBody):
    """A Magento MSI source and the TikTok warehouse that its stock is sent to."""

    source_code: Filled = Field(title="Magento source")
    warehouse_id: Filled = Field(title="TikTok warehouse")


class InventoryPolicy(PolicyBody):
    """Which quantity is sent to TikTok (product.md 4)."""

    default_quantity: Units | None = Field(
        default=None, title="Default Quantity", description="Sent for products whose stock Magento does not manage. Blank: nothing is offered."
    )
    threshold_buffer: Units = Field(
        default=0, title="Threshold Buffer", description="Units kept back from every product. Stock 28 and buffer 5: 23 are offered."
    )
    use_threshold: bool = Field(
        default=False, title="Set Inventory on Basis of Threshold", description="Compares what is left after the buffer with the Threshold Value."
    )
    threshold_value: Units | None = Field(
        default=None, title="Threshold Value", description="Mandatory when the switch above is on. At exactly this number the real stock is sent."
    )
    lesser_quantity: Units | None = Field(
        default=None, title="Inventory for Lesser Than Threshold Value", description="Sent below the threshold. Blank: 0. Never more than there is."
    )
    greater_quantity: Units | None = Field(
        default=None, title="Inventory for Greater Than Threshold Value", description="Sent above the threshold. Blank: what there is, less the buffer."
    )
    use_msi: bool = Field(
        default=False,
        title="Use MSI",
        description="Counts the salable quantity over the chosen sources only. Off: the whole website's salable quantity, or the stock item without MSI.",
    )
    sources: tuple[SourceRow, ...] = Field(
        default=(),
        title="Sources and TikTok warehouses",
        description="Each row sends the stock of a source to a warehouse. A source may feed several warehouses and a warehouse have several sources.",
    )
    default_quantity_for_zero: bool = Field(
        default=False,
        title="Apply Default Quantity to managed products with zero stock",
        description="Offers the Default Quantity where Magento has none.",
        json_schema_extra={"warning": "This offers goods that are not there: buyers can order what you cannot send."},
    )
    may_oversell: bool = Field(
        default=False,
        title="May send more than is in stock",
        description="The values for above and below the threshold are sent even where less is there.",
        json_schema_extra={"warning": "The quantity sent is not limited to what is there: more can be sold than you have."},
    )

    def missing(self) -> list[Problem]:
        problems = []
        if self.use_threshold and self.threshold_value is None:
            problems.append(Problem("threshold_value", "Threshold Value is empty.", "Enter the number of units at which the rule changes."))
        if self.use_msi and not self.sources:
            problems.append(Problem("sources", "Use MSI is on but no source is chosen.", "Add at least one source with its TikTok warehouse."))
        pairs = [(row.source_code.casefold(), row.warehouse_id) for row in self.sources]
        if twice := next((pair for pair in pairs if pairs.count(pair) > 1), None):
            problems.append(Problem("sources", f"The source {twice[0]} is sent to the warehouse {twice[1]} twice.", "Keep one of the rows."))
        if self.default_quantity_for_zero and not self.default_quantity:
            problems.append(
                Problem("default_quantity", "Default Quantity is empty.", "Enter how many units to offer where the stock is zero, or switch that off.")
            )
        return problems

    def remarks(self) -> list[str]:
        found = super().remarks()
        if self.sources and not self.use_msi:
            found.append("Use MSI is off: the rows of sources and warehouses have no effect.")
        if not self.use_threshold and (self.threshold_value is not None or self.lesser_quantity is not None or self.greater_quantity is not None):
            found.append("Set Inventory on Basis of Threshold is off: the values for the threshold have no effect.")
        if self.use_threshold and self.threshold_value is not None and not self.may_oversell and (self.lesser_quantity or 0) >= self.threshold_value > 0:
            found.append(f"Below the threshold there are fewer than {self.threshold_value} units, so that {self.lesser_quantity} can never be sent.")
        return found


class PricingPolicy(PolicyBody):
    """How a TikTok price is made: base price -> change -> conversion -> rounding -> guards."""

    price_attribute: Code = Field(
        default="", title="Price Attribute", description="The Magento attribute that holds the TikTok price. Blank: price. Magento's prices stay as they are."
    )
    use_special_price: bool = Field(
        default=True, title="Use special price while it runs", description="From its first to its last day in Magento, where it is lower."
    )
    change: Literal["none", "increase_fixed", "decrease_fixed", "increase_percent", "decrease_percent"] = Field(
        default="none", title="Price Change By", description="Made before the conversion."
    )
    change_amount: Money = Field(default=Decimal(0), title="Amount", description="In Magento's base currency, or in percent.")
    conversion_rate: Annotated[Decimal, Field(gt=0, max_digits=14, decimal_places=6)] = Field(
        default=Decimal(1),
        title="Currency Conversion Rate",
        description="Units of the shop's currency for one unit of Magento's base currency; 1 where both are the same.",
    )
    rounding: Literal["none", "minor_unit", "ending"] = Field(
        default="minor_unit", title="Rounding", description="None blocks a price that has more decimals than its currency."
    )
    rounding_ending: Annotated[Decimal, Field(ge=0, lt=1, decimal_places=2)] = Field(
        default=Decimal("0.99"), title="Nearest ending", description="Used when rounding to an ending, such as 0.99."
    )
    minimum_price: Money | None = Field(
        default=None,
        title="Minimum price",
        description="In the shop's currency. A product below it is blocked with its reason; its price is never lifted in silence.",
    )
    cost_attribute: Code = Field(default="", title="Cost attribute", description="For the margin guard; usually cost.")
    minimum_margin_percent: Annotated[Decimal, Field(ge=0, le=1000, decimal_places=2)] | None = Field(
        default=None, title="Minimum margin over cost, percent", description="A product whose price is not that much above its cost is blocked."
    )

    def missing(self) -> list[Problem]:
        problems = []
        if self.change != "none" and self.change_amount == 0:
            problems.append(Problem("change_amount", "Amount is empty.", "Enter by how much the price changes, or choose no change."))
        if self.change == "decrease_percent" and self.change_amount >= 100:
            problems.append(Problem("change_amount", "A decrease of 100 percent or more leaves no price.", "Enter a smaller amount."))
        if self.minimum_margin_percent is not None and not self.cost_attribute:
            problems.append(Problem("cost_attribute", "A minimum margin needs a cost attribute.", "Name the attribute that holds the cost."))
        return problems

    def remarks(self) -> list[str]:
        found = super().remarks()
        if self.change == "none" and self.change_amount:
            found.append("Price Change By is None: the amount has no effect.")
        if self.cost_attribute and self.minimum_margin_percent is None:
            found.append("Without a minimum margin the cost attribute has no effect.")
        return found


class ImagePolicy(PolicyBody):
    """Which pictures are sent."""

    main_image_attribute: Code = Field(
        default="image", title="Main Image attribute", description="The Magento attribute that holds the main picture; usually image, Magento's Base role."
    )
    default_image: Text = Field(
        default="",
        title="Default Image",
        description="Used only when a product has no picture, and counted among its pictures. JPG or PNG, 2 MB at most.",
    )
    gallery_images: Annotated[int, Field(ge=0, le=8)] = Field(
        default=8, title="Gallery Images", description="0 to 8 beside the main one, in the order of Magento's gallery."
    )

    def missing(self) -> list[Problem]:
        if not self.main_image_attribute:
            return [Problem("main_image_attribute", "Main Image attribute is empty.", "Choose the attribute that holds the main picture.")]
        return []


ProductStatus = Literal["off", "enabled", "disabled", "any"]


class SynchronizationPolicy(PolicyBody):
    """What is kept in step by itself, for which products, and how often (A067-A079)."""

    product_assign: ProductStatus = Field(
        default="off", title="Product Assign", description="Products that match a listing template's query get that template by themselves. Off: by hand."
    )
    product_upload: ProductStatus = Field(
        default="off", title="Product Upload", description="New products of a listing template are listed on TikTok Shop by themselves. Off: by hand."
    )
    product_update: ProductStatus = Field(
        default="enabled", title="Product Update", description="Changed titles, descriptions, pictures and attributes are sent by themselves. Off: by hand."
    )
    inventory_price_sync: ProductStatus = Field(
        default="enabled",
        title="Inventory/Price Sync",
        description="Changed quantities and prices are sent by themselves. Falling stock always goes out, whatever this says.",
    )
    assign_every_minutes: Minutes = Field(default=60, title="Product assign every (minutes)")
    upload_every_minutes: Minutes = Field(default=60, title="Product upload every (minutes)")
    update_every_minutes: Minutes = Field(default=30, title="Product update every (minutes)")
    inventory_price_every_minutes: Minutes = Field(default=5, title="Inventory and price every (minutes)")
    sync_not_visible: bool = Field(
        default=False, title="Sync Not Visible Individually", description="Also products that Magento's catalogue does not show on their own."
    )
    sync_out_of_stock: bool = Field(
        default=True, title="Sync Out of Stock Products", description="Off: products without stock are neither uploaded nor updated by themselves."
    )
    send_only: tuple[Code, ...] = Field(
        default=(), title="Send only these attributes", description="An automatic update sends these alone; everything else on TikTok stays. Blank: all."
    )
    react_only: tuple[Code, ...] = Field(
        default=(),
        title="React only to these attributes",
        description="Only a change of one of these starts an automatic update, which then sends what is chosen above. Blank: all.",
    )

    def remarks(self) -> list[str]:
        found = super().remarks()
        if self.product_update == "off" and (self.send_only or self.react_only):
            found.append("Product Update is off: the chosen attributes have no effect.")
        if self.send_only and (idle := [code for code in self.react_only if code not in self.send_only]):
            found.append(f"A change of {', '.join(idle)} starts an update that does not send it.")
        if self.product_upload != "off" and self.product_assign == "off":
            found.append("Product Assign is off: new products are uploaded only after somebody gave them a listing template.")
        return found


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
    """How TikTok orders become Magento orders and Magento shipments become TikTok parcels (A099-A122)."""

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


POLICY_MODELS: dict[str, type[PolicyBody]] = {
    SYNCHRONIZATION: SynchronizationPolicy,
    INVENTORY: InventoryPolicy,
    IMAGE: ImagePolicy,
    PRICING: PricingPolicy,
    ORDER: OrderPolicy,
}

#: The bodies of the five seeded defaults (A020, A023): Inventory lacks its threshold value, Order its carrier mapping.
SEEDS: tuple[tuple[str, str, PolicyBody], ...] = (
    (IMAGE, "Default Image Policy", ImagePolicy()),
    (INVENTORY, "Default Inventory Policy", InventoryPolicy(default_quantity=0, use_threshold=True)),
    (PRICING, "Default Pricing Policy", PricingPolicy()),
    (ORDER, "Default Order Policy", OrderPolicy()),
    (SYNCHRONIZATION, "Default Synchronization Policy", SynchronizationPolicy()),
)


def looks_like_email(text: str) -> bool:
    """Whether the text has the shape name@host.tld without spaces; no more is known before a mail arrives."""
    name, at, host = text.partition("@")
    return bool(at and name) and "." in host.strip(".") and not any(c.isspace() for c in text) and "@" not in host and len(text) <= 254


def field_label(kind: str, field: str) -> str:
    """The words on screen for a field of a policy."""
    info = POLICY_MODELS[kind].model_fields.get(field)
    return (info.title if info and info.title else None) or field.replace("_", " ").capitalize()


def difference(before: dict[str, Any], after: dict[str, Any], kind: str) -> list[tuple[str, Any, Any]]:
    """What changed between two bodies: (label, before, after) in the order of the form."""
    names = list(POLICY_MODELS[kind].model_fields)
    names += sorted((set(before) | set(after)) - set(names))
    return [(field_label(kind, name), before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]
