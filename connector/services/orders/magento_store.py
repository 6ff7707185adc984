"""What the order desk needs to know of a Magento store, asked once for many orders: store view, currency, regions, products with their stock, and
which TikTok orders are there already. Everything is batched before the writers start, so that none of them waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from flask import current_app

from connector.clients.errors import NotFound
from connector.clients.magento import MagentoClient, SearchCriteria
from connector.core.errors import DomainError
from connector.domain.magento_address import Region
from connector.domain.order_facts import PLAIN_TYPES, Product

_PRODUCT_FIELDS = "items[id,sku,name,status,type_id,weight,price{extra}],total_count"
_ORDER_FIELDS = "items[entity_id,increment_id,ext_order_id,quote_id,state,status,grand_total],total_count"
_STORE_TTL = 600.0
_stores: dict[tuple[str, str], tuple[float, Facts]] = {}


class Facts:
    """A store view: what changes rarely, kept for ten minutes a process."""

    def __init__(self, client: MagentoClient, wanted: str) -> None:
        default = wanted in ("", "all")
        views, websites, listed, currency = together(
            client.store_views, client.websites, client.store_groups, lambda: client.currency(store=None if default else wanted)
        )
        groups = {int(group["id"]): group for group in listed}
        if default:  # a cart of the admin store cannot be placed (MAG §1.1): take the first website's default view
            first = min(websites, key=lambda website: int(website["id"]))
            group = groups[int(first["default_group_id"])]
            view = next((view for view in views if int(view["id"]) == int(group["default_store_id"])), None)
        else:
            view = next((view for view in views if view["code"] == wanted), None)
        if view is None:
            raise DomainError("magento.store_view", f"Magento has no store view {wanted!r}.", "Choose an existing store view in the account's settings.")
        self.code = str(view["code"])
        self.store_id = int(view["id"])
        self.website_id = int(view["website_id"])
        self.website_code = next(str(website["code"]) for website in websites if int(website["id"]) == self.website_id)
        self.base_currency = str(currency["base_currency_code"])
        self.rates = {str(rate["currency_to"]): Decimal(str(rate["rate"])) for rate in currency.get("exchange_rates") or ()}
        self.regions: dict[str, list[Region] | None] = {}


class MagentoStore:
    """One store for one run or one preview. Threads share it: its dictionaries are only added to."""

    def __init__(self, client: MagentoClient, base_url: str, store_view: str) -> None:
        self.client = client
        self._key = (base_url, store_view)
        self._view = store_view
        self._products: dict[str, Product | None] = {}
        self._by_attribute: dict[str, Product | None] = {}
        self._existing: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    @property
    def facts(self) -> Facts:
        found = _stores.get(self._key)
        if found is None or time.monotonic() - found[0] > _STORE_TTL:
            with self._lock:
                found = _stores.get(self._key)
                if found is None or time.monotonic() - found[0] > _STORE_TTL:
                    found = _stores[self._key] = (time.monotonic(), Facts(self.client, self._view))
        return found[1]

    def rate(self, currency: str) -> Decimal | None:
        """Base to order rate; None when the store knows none."""
        return Decimal(1) if currency == self.facts.base_currency else self.facts.rates.get(currency)

    def regions(self, country: str) -> list[Region] | None:
        """The regions of a country; [] when it has none, None when the store does not allow the country."""
        known = self.facts.regions
        if country and country not in known:
            try:
                listed = self.client.country(country, store=self.facts.code).get("available_regions") or ()
                known[country] = [Region(int(row["id"]), str(row["code"]), str(row["name"])) for row in listed]
            except NotFound:
                known[country] = None
        return known.get(country)

    # --- products

    def learn_products(self, skus: Iterable[str], *, attribute: str = "", again: bool = False) -> None:
        """Fetch products and salable quantities of SKUs that are not known yet; by the alternate attribute where the SKU is unknown (A104)."""
        wanted = [sku for sku in dict.fromkeys(skus) if sku and (again or sku.casefold() not in self._products)]
        if wanted:
            rows = self.client.products_by_sku(wanted, fields=_PRODUCT_FIELDS.format(extra=""))
            found = {str(row["sku"]).casefold(): row for row in rows}
            self._keep(found.values())
            for sku in wanted:
                self._products.setdefault(sku.casefold(), None)
                if again and sku.casefold() not in found:
                    self._products[sku.casefold()] = None
        if attribute:
            self._learn_by_attribute([sku for sku in dict.fromkeys(skus) if sku and self._products.get(sku.casefold()) is None], attribute)

    def _learn_by_attribute(self, skus: Sequence[str], attribute: str) -> None:
        wanted = [sku for sku in skus if sku not in self._by_attribute]
        for group in _groups(wanted, 50):
            filters: list[tuple[str, str, object]] = [(attribute, "eq", sku) for sku in group]
            criteria = SearchCriteria().any_of(*filters).order_by("entity_id").page(1, 100)
            rows = self.client.products(criteria.only(_PRODUCT_FIELDS.format(extra=f",custom_attributes[{attribute}]"))).items
            self._keep(rows)
            for row in rows:
                value = _attribute(row, attribute)
                self._by_attribute[next((sku for sku in group if sku.casefold() == value.casefold()), value)] = self._products[str(row["sku"]).casefold()]
            for sku in group:
                self._by_attribute.setdefault(sku, None)

    def _keep(self, rows: Iterable[Mapping[str, Any]]) -> None:
        rows = list(rows)
        plain = [str(row["sku"]) for row in rows if str(row.get("type_id")) in PLAIN_TYPES]
        stock = self._stock(plain)
        for row in rows:
            sku = str(row["sku"])
            quantity, salable = stock.get(sku.casefold(), (Decimal(0), False)) if sku in plain else (None, True)
            self._products[sku.casefold()] = Product(
                sku=sku, product_id=str(row["id"]), name=str(row.get("name") or sku), type_id=str(row.get("type_id") or "simple"),
                enabled=int(row.get("status") or 1) == 1, salable=quantity, is_salable=salable, weight=Decimal(str(row.get("weight") or 0)),
                price=Decimal(str(row.get("price") or 0)),
            )  # fmt: skip

    def _stock(self, skus: Sequence[str]) -> dict[str, tuple[Decimal | None, bool]]:
        if not skus:
            return {}
        try:
            found = self.client.salable_quantities(skus, website_code=self.facts.website_code)
            return {sku.casefold(): (one.quantity, one.is_salable) for sku, one in found.items()}
        except NotFound:  # no MSI: the legacy stock item of each SKU (MAG §4.3.3)
            items = {sku: self.client.stock_item(sku) for sku in skus}
            return {
                sku.casefold(): (Decimal(str(item.get("qty") or 0)) if item.get("manage_stock", True) else None, bool(item.get("is_in_stock")))
                for sku, item in items.items()
            }

    def product(self, sku: str) -> Product | None:
        """By SKU in any case; learned before."""
        return self._products.get(sku.casefold())

    def product_by_attribute(self, seller_sku: str) -> Product | None:
        return self._by_attribute.get(seller_sku)

    def take(self, sku: str, quantity: int) -> None:
        """Count units that an order of this run has just reserved."""
        with self._lock:
            product = self._products.get(sku.casefold())
            if product is not None and product.salable is not None:
                left = product.salable - quantity
                self._products[sku.casefold()] = Product(
                    product.sku, product.product_id, product.name, product.type_id, product.enabled, left, product.is_salable, product.weight, product.price
                )

    # --- orders that are there already

    def learn_existing(self, numbers: Iterable[str]) -> None:
        """Which of these TikTok orders Magento has, by ``ext_order_id`` (MAG §4.4.7 point 2)."""
        wanted = [number for number in dict.fromkeys(numbers) if number not in self._existing]
        for group in _groups(wanted, 100):
            criteria = SearchCriteria().where("ext_order_id", "in", ",".join(group)).order_by("entity_id").page(1, 300).only(_ORDER_FIELDS)
            rows = self.client.orders(criteria).items
            for number in group:
                self._existing[number] = [row for row in rows if str(row.get("ext_order_id")) == number]

    def existing(self, number: str, *, again: bool = False) -> list[dict[str, Any]]:
        """The Magento orders of a TikTok order, oldest first; asked now unless ``learn_existing`` has."""
        if again or number not in self._existing:
            self._existing[number] = self.client.find_orders(ext_order_id=number, fields=_ORDER_FIELDS)
        return self._existing[number]


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Make calls at the same time, each in an app context of its own; their answers in order. The first error is raised."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def one(call: Callable[[], Any]) -> Any:
        with app.app_context():
            return call()

    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        return list(pool.map(one, calls))


def _attribute(row: Mapping[str, Any], code: str) -> str:
    """A custom attribute's value; a ``fields`` filter turns the list into an object keyed by position (MAG §2.3)."""
    listed = row.get("custom_attributes") or ()
    entries = listed.values() if isinstance(listed, Mapping) else listed
    return next((str(entry.get("value") or "") for entry in entries if entry.get("attribute_code") == code), "")


def _groups(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
