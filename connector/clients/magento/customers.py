"""Customers (MAG §4.7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.clients.magento.caller import Caller, Row, segment
from connector.clients.magento.search import SearchCriteria


class CustomersApi(Caller):
    def search_customers(self, email: str, *, website_id: int | None = None) -> list[Row]:
        """By e-mail, which is unique per website only."""
        criteria = SearchCriteria().where("email", "eq", email)
        if website_id is not None:
            criteria = criteria.where("website_id", "eq", website_id)
        return self._search("search_customers", "customers/search", criteria.order_by("entity_id").page(1, 20)).items

    def customer(self, customer_id: str | int) -> Row:
        """{id, email, firstname, lastname, group_id, website_id, ...}. Errors: `NotFound`."""
        return self._get("customer", f"customers/{segment(customer_id)}", read=dict)

    def create_customer(self, customer: Mapping[str, Any]) -> Row:
        """Magento sends its welcome e-mail to that address; there is no switch. Errors: `Conflict` mag.customer_exists."""
        return self._write("create_customer", "POST", "customers", {"customer": customer}, read=dict)
