"""The five kinds of policy (A051): what they hold, and what makes one complete.

A policy's body may be saved incomplete: the types refuse what can never be right (a negative buffer), ``missing`` names what a policy still
needs before it is valid (A058). Whether references still exist (a carrier, an attribute) is asked by the policies service.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from connector.domain.order_policy import OrderPolicy
from connector.domain.policy_body import Code, Filled, Minutes, Money, PolicyBody, Problem, Text, Units

SYNCHRONIZATION, INVENTORY, IMAGE, PRICING, ORDER = "synchronization", "inventory", "image", "pricing", "order"

KIND_TITLES: dict[str, str] = {
    SYNCHRONIZATION: "Synchronization",
    INVENTORY: "Inventory",
    IMAGE: "Image",
    PRICING: "Pricing",
    ORDER: "Order",
}


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


def field_label(kind: str, field: str) -> str:
    """The words on screen for a field of a policy."""
    info = POLICY_MODELS[kind].model_fields.get(field)
    return (info.title if info and info.title else None) or field.replace("_", " ").capitalize()


def difference(before: dict[str, Any], after: dict[str, Any], kind: str) -> list[tuple[str, Any, Any]]:
    """What changed between two bodies: (label, before, after) in the order of the form."""
    names = list(POLICY_MODELS[kind].model_fields)
    names += sorted((set(before) | set(after)) - set(names))
    return [(field_label(kind, name), before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]
