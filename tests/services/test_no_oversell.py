"""The storm: 500 buyers on 20 SKUs at once while Magento sells the same goods, with intake, stock reading, evaluation and pushes going on (product.md 4, TTS §6.7).

What is guaranteed: TikTok's buyers and Magento's together never take more than there is, as long as Magento sells no more of a SKU than its Threshold Buffer
within the time that a sale needs to become known on the other side: one round of reading Magento's stock and pushing it, and one round of importing a
TikTok order and creating it in Magento. Without the buffer nobody can promise it: a buyer here and a buyer there may take the last unit within the same second,
and TikTok offers no "only if unchanged" for its absolute figures. An order that slips in between our reading and our writing is overwritten for the
time until the reading back takes it off again, once; the buffer has to cover what is sold of a SKU in that fraction of a second, too.

That orders are created in Magento is represented by its effect, because 500 checkouts would take minutes: the units leave Magento's stock, and the order's
reservation is handed over. Everything else is the product's own code against both practice servers over HTTP.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import select

from connector.core.db import db, end_reading, unit_of_work
from connector.domain.policies import InventoryPolicy
from connector.models.account import Account
from connector.models.listing import Listing, ListingSku, StockEntry
from connector.models.order import CREATED, READY, Order, Reservation
from connector.models.product import Product
from connector.practice.serve import PracticeServer
from connector.services import connections
from connector.services.orders import reservations
from connector.services.products import catalogue, facts, ledger, stock_push, stock_reading
from tests.factories.catalogue import a_template
from tests.factories.market import listed
from tests.factories.shop import Market, perform

#: Three rounds of Magento's sales, and the units that a crowd takes from one SKU while a figure is on its way.
BUFFER = 10


class Warehouse:
    """The merchant's goods in the practice store. It sells what its own figure allows: it does not know TikTok's buyers before their orders are created."""

    def __init__(self, url: str, stock: dict[str, int]) -> None:
        self.url, self.left, self.sold, self.lock = url, dict(stock), Counter[str](), threading.Lock()
        self.sold_this_round: Counter[str] = Counter()
        for sku in stock:
            self._set(sku, "wh_second", 0)
            self._set(sku, "wh_main", stock[sku])

    def _set(self, sku: str, source: str, quantity: int) -> None:
        body = {"source": source, "quantity": quantity, "status": 1}
        assert requests.post(f"{self.url}/practice/products/{sku}/stock", json=body, timeout=30).ok

    def sell(self, sku: str) -> None:
        """A buyer in the merchant's own shop; at most one of a SKU in each round of the connector."""
        with self.lock:
            if self.left[sku] > 0 and not self.sold_this_round[sku]:
                self.left[sku] -= 1
                self.sold[sku] += 1
                self.sold_this_round[sku] += 1
                self._set(sku, "wh_main", self.left[sku])

    def take(self, sku: str, units: int) -> None:
        """A TikTok order is created: its units leave Magento's figure, below zero when they were sold twice."""
        with self.lock:
            self.left[sku] -= units
            self._set(sku, "wh_main", max(0, self.left[sku]))


class Storm:
    def __init__(self, market: Market, account: Account, warehouse: Warehouse, skus: list[str], buyers: int) -> None:
        self.market, self.account, self.warehouse, self.skus, self.buyers = market, account, warehouse, skus, buyers
        self.bought = self.turned_away = 0
        self.turns = threading.Semaphore(0)  # Magento sells at the pace of TikTok's buyers, however fast either is

    def buy(self, number: int) -> None:
        try:
            self._buy(number)
        finally:
            if number % 7 == 0:
                self.turns.release()

    def _buy(self, number: int) -> None:
        dice = random.Random(number)
        body = {"shop": "GB", "lines": [{"sku": dice.choice(self.skus), "quantity": dice.choice((1, 1, 1, 2))}], "pay": True, "buyer": number}
        answer = requests.post(f"{self.market.url}/practice/orders", json=body, timeout=60)
        if not answer.ok:
            assert answer.status_code == 400, answer.text
            self.turned_away += 1
            return
        self.bought += 1
        if dice.random() < 0.05:
            requests.post(f"{self.market.url}/practice/orders/{answer.json()['id']}/cancel", json={"by": "SYSTEM"}, timeout=60)

    def sell(self) -> None:
        dice = random.Random(1)  # comes to every one of twenty SKUs within five hundred buyers
        for _ in range(0, self.buyers, 7):
            self.turns.acquire()
            self.warehouse.sell(dice.choice(self.skus))

    def blow(self, work: Callable[[], None]) -> None:
        """Buyers and Magento in threads, the connector's rounds here until everybody was served, and two more."""
        seller = threading.Thread(target=self.sell)
        with ThreadPoolExecutor(max_workers=12) as pool:
            seller.start()
            crowd = [pool.submit(self.buy, number) for number in range(self.buyers)]
            while not all(each.done() for each in crowd):
                work()
                self.warehouse.sold_this_round.clear()
            for each in crowd:
                each.result()
        for _ in range(2):
            work()
            self.warehouse.sold_this_round.clear()
        seller.join()
        work()

    def taken_on_tiktok(self) -> Counter[str]:
        """Units in orders that are not cancelled, as the marketplace itself counts them."""
        taken: Counter[str] = Counter()
        for one in self.market.get("listings", shop="GB", limit=1000)["listings"]:
            for sku in one["skus"]:
                taken[sku["seller_sku"]] += sku["committed"]
        return taken

    def sold_twice(self, stock: dict[str, int]) -> dict[str, int]:
        taken = self.taken_on_tiktok()
        return {sku: excess for sku in self.skus if (excess := taken[sku] + self.warehouse.sold[sku] - stock[sku]) > 0}


def made(account: Account, market: Market, url: str, skus: list[str], buffer: int, units: range) -> tuple[Warehouse, dict[str, int]]:
    """Goods in the store, read by us, listed on TikTok with the figure that the policy allows."""
    stock = {sku: units[place % len(units)] for place, sku in enumerate(skus)}
    warehouse = Warehouse(url, stock)
    market.post("settings", hold_seconds=0)
    assert account.magento_id is not None
    catalogue.import_products(account.magento_id, account.store_view)
    rows = {row.sku: row for row in db.session.scalars(select(Product))}
    families = {child: row for row in rows.values() for child in row.child_ids}
    parents = {row.sku: families[row.entity_id] for row in rows.values() if row.entity_id in families}
    template = a_template(account, inventory=InventoryPolicy(threshold_buffer=buffer))
    listed(market, account, {sku: rows[sku] for sku in skus}, template, parents=parents)
    return warehouse, stock


def listings() -> list[int]:
    found = list(db.session.scalars(select(Listing.id).order_by(Listing.id)))
    end_reading()
    return found


def demo_skus(market: Market, most: int) -> list[str]:
    market.post("catalogue/seed", shop="GB", products=19, stock=1)
    shown = [sku["seller_sku"] for one in market.get("listings", shop="GB", limit=1000)["listings"] for sku in one["skus"]]
    return shown[:most]


@pytest.mark.sqlite_only  # the races are between TikTok, Magento and us; the locks of evaluation have tests on both databases
def test_500_buyers_and_magento_together_never_take_more_than_there_is(
    app: Flask, connected_account: Account, practice_tiktok: PracticeServer, practice_magento: PracticeServer
) -> None:
    market = Market(practice_tiktok.url)
    skus = demo_skus(market, 20)
    assert len(skus) == 20
    account = connected_account
    warehouse, stock = made(account, market, practice_magento.url, skus, BUFFER, range(24, 34))
    store = facts.store_facts(account)
    ids = listings()
    sold_here = {row.product_id for row in db.session.scalars(select(ListingSku))}
    end_reading()
    rounds: list[float] = []

    def work() -> None:
        started = time.monotonic()
        perform("orders.import", account.id)
        create_in_magento(warehouse)
        stock_reading.read_stock(store.magento_id, store.website_code, product_ids=sold_here)
        stock_push.push_many(account.id, ids)
        rounds.append(time.monotonic() - started)

    work()
    first = {sku["seller_sku"]: sku["available"] for one in market.get("listings", shop="GB", limit=1000)["listings"] for sku in one["skus"]}
    assert {sku: first[sku] for sku in skus} == {sku: stock[sku] - BUFFER for sku in skus}
    storm = Storm(market, account, warehouse, skus, 500)
    storm.blow(work)

    assert storm.sold_twice(stock) == {}
    assert all(left >= 0 for left in warehouse.left.values()), "Magento can deliver every order that was created"
    taken = storm.taken_on_tiktok()
    assert storm.turned_away > 0, "the goods ran out, or nothing was at stake"
    assert sum(taken.values()) > 0.5 * sum(stock.values()) and sum(warehouse.sold.values()) >= 20, "both sides sold"
    assert len(rounds) >= 4, "pushes went on during the storm"
    for row in db.session.scalars(select(ListingSku)):
        if row.seller_sku in stock:
            entries = db.session.scalars(select(StockEntry.change).where(StockEntry.listing_sku_id == row.id)).all()
            assert sum(entries) == row.wanted_quantity and ledger.of_sku(row.id).in_balance
    print(
        f"\n{storm.bought} bought, {storm.turned_away} turned away, {sum(taken.values())} units on TikTok and {sum(warehouse.sold.values())} in Magento of "
        f"{sum(stock.values())}; {len(rounds)} rounds of {sum(rounds) / len(rounds):.2f} s"
    )


def create_in_magento(warehouse: Warehouse) -> None:
    """What the order desk does with orders that are ready, by its effect."""
    query = select(Reservation.order_id, Reservation.sku, Reservation.quantity).join(Order, Order.id == Reservation.order_id)
    held = db.session.execute(query.where(Reservation.released_at.is_(None), Order.state == READY)).all()
    end_reading()
    for row in held:
        warehouse.take(row.sku, row.quantity)
    with unit_of_work() as session:
        for order_id in {row.order_id for row in held}:
            reservations.release(order_id, reservations.CREATED_THERE)
            order = session.get(Order, order_id)
            assert order is not None
            order.state = CREATED


@pytest.mark.sqlite_only  # a control: what the storm would do without the rules
def test_the_same_storm_oversells_when_magentos_figure_is_simply_copied(
    app: Flask, connected_account: Account, practice_tiktok: PracticeServer, practice_magento: PracticeServer
) -> None:
    """The control: no open units, no buffer, no reading back. It proves that the storm can find an oversale."""
    market = Market(practice_tiktok.url)
    skus = demo_skus(market, 4)
    warehouse, stock = made(connected_account, market, practice_magento.url, skus, 0, range(8, 12))
    shown = {sku["seller_sku"]: (one["id"], sku) for one in market.get("listings", shop="GB", limit=1000)["listings"] for sku in one["skus"]}
    client: Any = connections.tiktok(connected_account.id)
    end_reading()

    def copy() -> None:
        for sku in skus:
            product, row = shown[sku]
            client.update_inventory(product, {row["id"]: {place["warehouse_id"]: max(0, warehouse.left[sku]) for place in row["stock"]}})

    for _ in range(2):  # what the first crowd bought stands on the shelf again when the second one comes, at the latest
        storm = Storm(market, connected_account, warehouse, skus, 60)
        storm.blow(copy)
    assert storm.sold_twice(stock)
