"""Carts of the integration: the checkout that reserves stock (MAG §4.4.4).

`store` is a store view code, one and the same through all calls of a cart: another code would move the cart to that store.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connector.clients.magento.caller import LONG, Caller, Row, as_id, nothing, rows, segment


class CartsApi(Caller):
    def create_cart(self, *, store: str) -> str:
        """The numeric cart id, which becomes the order's quote_id: store it before going on."""
        return self._write("create_cart", "POST", "carts/", None, store=store, read=as_id)

    def add_item(self, cart_id: str, sku: str, qty: Decimal | int, *, store: str) -> Row:
        """{item_id, sku, qty, name, price, ...}. Simple SKUs only; the same SKU twice merges into one line.

        Errors: `Rejected` mag.product_unavailable, mag.qty_unavailable, mag.options_required; `NotFound` for an unknown product.
        """
        body = {"cartItem": {"quote_id": cart_id, "sku": sku, "qty": qty}}
        return self._write("add_item", "POST", f"carts/{segment(cart_id)}/items", body, store=store, read=dict)

    def estimate_shipping(self, cart_id: str, address: Mapping[str, Any], *, store: str) -> list[Row]:
        """[{carrier_code, method_code, amount, available, error_message, ...}]"""
        path = f"carts/{segment(cart_id)}/estimate-shipping-methods"
        return self._write("estimate_shipping", "POST", path, {"address": address}, store=store, read=rows, safe=True)

    def shipping_information(
        self,
        cart_id: str,
        *,
        shipping_address: Mapping[str, Any],
        billing_address: Mapping[str, Any],
        carrier_code: str,
        method_code: str,
        store: str,
    ) -> Row:
        """{payment_methods: [{code, title}], totals: {...}}. The billing address's e-mail becomes the customer's.

        Errors: `NotFound` mag.shipping_method; `Rejected` mag.address.
        """
        information = {
            "shipping_address": shipping_address,
            "billing_address": billing_address,
            "shipping_carrier_code": carrier_code,
            "shipping_method_code": method_code,
        }
        path = f"carts/{segment(cart_id)}/shipping-information"
        return self._write("shipping_information", "POST", path, {"addressInformation": information}, store=store, read=dict)

    def billing_address(self, cart_id: str, address: Mapping[str, Any], *, store: str) -> None:
        """Instead of `shipping_information`, for a cart of virtual lines only."""
        path = f"carts/{segment(cart_id)}/billing-address"
        self._write("billing_address", "POST", path, {"address": address}, store=store, read=nothing)

    def place_order(self, cart_id: str, *, method: str = "checkmo", po_number: str | None = None, store: str) -> str:
        """The order's entity id; from here on the stock is reserved.

        Errors: `Uncertain`: look for the order by quote_id, and repeat only when the first request cannot run any more (§4.4.7).
        `Rejected` mag.qty_unavailable, mag.payment_method, mag.address; mag.stock_unassigned is transient; `Conflict` mag.cart_busy;
        `NotFound` when the cart was placed before.
        """
        payment = {"method": method} | ({"po_number": po_number[:32]} if po_number else {})
        body = {"paymentMethod": payment}
        path = f"carts/{segment(cart_id)}/order"
        return self._write("place_order", "PUT", path, body, store=store, read=as_id, read_timeout=LONG)

    def cart(self, cart_id: str, *, store: str | None = None) -> Row:
        """`is_active` tells whether it may still be placed, `reserved_order_id` the order number of a placed one."""
        return self._get("cart", f"carts/{segment(cart_id)}", store=store, read=dict)

    def cart_items(self, cart_id: str, *, store: str | None = None) -> list[Row]:
        return self._get("cart_items", f"carts/{segment(cart_id)}/items", store=store, read=rows)
