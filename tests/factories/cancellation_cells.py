"""The cells of docs/cancellations.md: read from the table, set up at the practice marketplace and store, and observed there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select, update

from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.aftersales import CreditMemo, RecallTask
from connector.models.order import SCHEDULE, Cancellation, Order, Reservation, Shipment
from connector.practice.catalogue import bulk_product
from connector.services import connections
from connector.services.orders import intake
from tests.factories import shop
from tests.factories.parcels import Store, parcel

TABLE = Path(__file__).parents[2] / "docs" / "cancellations.md"
PATHS = ("A259", "A260", "A261", "A262", "A263", "A264", "A265", "A266")
STAGES = ("on hold", "awaiting shipment", "partly shipped", "shipped", "delivered")
STORES = ("none", "open", "invoiced")
EXTERNAL = "external"
IMPOSSIBLE = "cannot happen"
UNITS = 2
#: The main stock of the practice store.
STOCK = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table. ``note`` quotes in “” what the operator is told."""

    path: str
    stage: str
    store: str
    tiktok: str
    ours: str
    magento: str
    stock: str
    tag: str
    note: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.path, self.stage, self.store

    @property
    def name(self) -> str:
        return " / ".join(self.key)

    @property
    def possible(self) -> bool:
        return self.tiktok != IMPOSSIBLE

    @property
    def question(self) -> str:
        """What is asked of an order to see that the cell cannot happen; "" for a cell that can, and where the path itself says so."""
        if self.possible:
            return ""
        if self.stage == "on hold" and self.store != "none":
            return "create"
        if self.path in ("A259", "A260", "A261") and self.stage in ("shipped", "delivered"):
            return "ask too late"
        questions = {"A259": "ask", "A260": "answer in the hour", "A261": "answer in the hour", "A264": "ship in the hour" if self.stage == "on hold" else ""}
        return questions.get(self.path, "wait" if self.path == "A263" and self.stage in ("shipped", "delivered") else "")

    @property
    def told(self) -> list[str]:
        return re.findall("“(.*?)”", self.note)


def read_table(*, external: bool = False) -> list[Cell]:
    """The cells of the table, or those of the second one, where the store is an external storefront."""
    rows = [[part.strip() for part in line.strip().strip("|").split("|")] for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| A2")]
    return [Cell(row[0].split()[0], *row[1:]) for row in rows if (row[2] == EXTERNAL) == external]


@dataclass(frozen=True, slots=True)
class Books:
    """``orders``: TikTok order id -> (state, status, the tag that the store's order carries, None where it has none). ``shelf``: SKU -> (units held for
    orders, units that left)."""

    orders: dict[str, tuple[str, str, str | None]]
    shelf: dict[str, tuple[int, int]]


class Play:
    """Cells that are played side by side in one shop: an order of two units each, of a product of its own. The store is Magento."""

    def __init__(self, market: shop.Market, store: Store, account: Account) -> None:
        self.market, self.store, self.account = market, store, account
        self.orders: dict[Cell, Order] = {}
        self.skus: dict[Cell, str] = {}
        market.post("settings", carrier_moves=False, no_shipment_days=15, rotate_refresh_token=False)
        shop.change_policy(account, create_in_magento=False)  # an order goes into the store when a cell says so

    # --- the store

    def stock_up(self, products: int) -> None:
        self.store.post("seed", bulk=products, keep_credentials=True)

    def ship(self, order: Order, number: str, units: dict[str, int]) -> None:
        self.store.ship(order, number, units=units)

    def books(self) -> Books:
        """What the store says of all orders and SKUs; its books add up."""
        ledger = self.store.get("ledger")
        assert ledger["balanced"]
        full = bulk_product(0).qty
        shelf = {row["sku"]: (int(row["physical"] - row["salable"]), int(full - row["physical"])) for row in ledger["stocks"] if row["stock_id"] == STOCK}
        return Books({one["ext_order_id"]: (one["state"], one["status"], None) for one in self.store.get("orders")}, shelf)

    # --- setting up

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Bring an order of each cell to its stage. Impossible cells that ask the same of the same order share one, as near to them as it gets."""
        numbers: dict[Cell, str] = {}
        shared: dict[tuple[str, str, str], Cell] = {}
        self.stock_up(len(cells))
        for cell in cells:
            if not cell.possible and not cell.question:
                continue
            first = cell if cell.possible else shared.setdefault((cell.question, cell.stage, cell.store), cell)
            if first is not cell:
                self.skus[cell], numbers[cell] = self.skus[first], numbers[first]
                continue
            self.skus[cell] = bulk_product(len(numbers)).sku
            numbers[cell] = self.market.post("orders", shop="GB", lines=[{"sku": self.skus[cell], "quantity": UNITS}])["id"]
            if cell.stage != "on hold":
                self.market.post(f"orders/{numbers[cell]}/release")
        cells = [cell for cell in numbers if cell.possible or cell in shared.values()]
        self._read(list(numbers.values()))
        self._orders(numbers)
        for invoiced in (False, True):
            shop.change_policy(self.account, create_invoice=invoiced)
            there = ("invoiced",) if invoiced else ("open", EXTERNAL)
            chosen = [self.orders[cell] for cell in cells if cell.store in there and cell.stage != "on hold"]
            if chosen:
                run = shop.perform("orders.create", self.account.id, args={"by_hand": True}, items=[(str(order.id), order.number) for order in chosen])
                assert (run.done, run.failed) == (len(chosen), 0), run.message
        self._orders(numbers)
        self.send({cell: 1 if cell.stage == "partly shipped" else UNITS for cell in cells if self._is_sent_before(cell)})
        for cell in cells:
            if self._is_sent_before(cell):
                self.market.post(f"orders/{numbers[cell]}/collect")
                if cell.stage == "delivered":
                    self.market.post(f"orders/{numbers[cell]}/deliver")
        self.read()
        books = self.books()
        self.before = {cell: self._units(cell, books) for cell in cells}

    @staticmethod
    def _is_sent_before(cell: Cell) -> bool:
        """The buyer asks before the parcel leaves: afterwards TikTok takes no request any more."""
        return cell.stage in ("partly shipped", "shipped", "delivered") and not (cell.stage == "shipped" and cell.path in ("A260", "A261"))

    def send(self, units: dict[Cell, int]) -> None:
        """So many units leave: shipped in the store where the order is there, else entered by a person; TikTok is told."""
        for cell, count in units.items():
            order, number = self.orders[cell], f"RM{self.orders[cell].id:09d}GB"
            if cell.store == "none":
                parcel(order, number, origin="form", quantities={self.skus[cell]: count})
            else:
                self.ship(order, number, {self.skus[cell]: count})
        self.work("shipments.collect", "shipments.push")

    # --- what goes on by itself

    def jobs(self) -> None:
        """Everything that the schedule does and that waits, due now."""
        self.work("cancellations.import")
        self.read()
        self.work("orders.follow", "shipments.collect", "shipments.push", "oms.apply", "returns.memos")
        self.read()

    def work(self, *kinds: str) -> None:
        for kind in kinds:
            with unit_of_work() as session:
                for model in (CreditMemo, Shipment, Order):
                    session.execute(update(model).values(retry_at=None))
            run = shop.perform(kind, self.account.id)
            assert (run.state in ("succeeded", "partial") or run.failed) and run.error_code != "internal", (kind, run.state, run.message)

    def read(self) -> None:
        self._read(list({order.number for order in self.orders.values()}))

    def _read(self, numbers: list[str]) -> None:
        for start in range(0, len(numbers), 50):
            rules = intake.rules_for(self.account.id, SCHEDULE)
            db.session.commit()
            intake.store_page(rules, connections.tiktok(self.account.id).get_orders(numbers[start : start + 50]))

    def _orders(self, numbers: dict[Cell, str]) -> None:
        db.session.expire_all()
        found = {order.number: order for order in db.session.scalars(select(Order).where(Order.number.in_(numbers.values())))}
        db.session.commit()
        self.orders |= {cell: found[number] for cell, number in numbers.items()}

    # --- looking

    def request_of(self, cell: Cell) -> Cancellation | None:
        query = select(Cancellation).where(Cancellation.order_id == self.orders[cell].id).order_by(Cancellation.id.desc())
        found = db.session.scalars(query.execution_options(populate_existing=True)).first()
        db.session.commit()
        return found

    def observe(self, cells: Iterable[Cell]) -> dict[Cell, dict[str, str]]:
        """What TikTok, the connector, the store and its ledger say now, in the words of the table; beside it what was found wrong in itself."""
        db.session.expire_all()
        books = self.books()
        statuses = self._statuses([self.orders[cell].number for cell in cells])
        found = {}
        for cell in cells:
            order = db.session.get_one(Order, self.orders[cell].id)
            state, shown, tag = books.orders.get(order.number, ("-", "-", None))
            status = statuses[order.number]
            recalled = db.session.scalar(select(RecallTask.state).where(RecallTask.order_id == order.id))
            facts = {"tiktok": status, "ours": order.state, "magento": state, "stock": self._stock(cell, books), "tag": order.tag or "-"}
            if order.remote_status != status:
                facts["ours"] += f" with {order.remote_status}"
            if bool(order.tag) != bool(recalled):
                facts["tag"] += " with a recall" if recalled else " without a recall"
            if tag not in (None, order.tag):
                facts["tag"] += f" and {tag or 'none'} in the store"
            if state in ("canceled", "closed", "CANCELLED") and shown != state:
                facts["magento"] += f" with status {shown}"
            if state in ("canceled", "closed", "CANCELLED") and order.magento_state != state:
                facts["ours"] += f" with {order.magento_state} for the store's order"
            found[cell] = facts
        db.session.commit()
        return found

    def _statuses(self, numbers: list[str]) -> dict[str, str]:
        """Order id -> what TikTok says that it is."""
        client = connections.tiktok(self.account.id)
        db.session.commit()
        return {one["id"]: one["status"] for start in range(0, len(numbers), 50) for one in client.get_orders(numbers[start : start + 50])}

    def said(self, cell: Cell) -> str:
        """The order's warnings, and why it has a recall."""
        db.session.expire_all()
        order_id = self.orders[cell].id
        why = db.session.scalar(select(RecallTask.why).where(RecallTask.order_id == order_id))
        text = f"{db.session.get_one(Order, order_id).warning}\n{why or ''}"
        db.session.commit()
        return text

    def _units(self, cell: Cell, books: Books) -> tuple[int, int]:
        """(held for the order, left the shelf), here and in the store together."""
        held, gone = books.shelf[self.skus[cell]]
        ours = db.session.scalar(
            select(func.coalesce(func.sum(Reservation.quantity), 0)).where(Reservation.order_id == self.orders[cell].id, Reservation.released_at.is_(None))
        )
        db.session.commit()
        return held + int(ours or 0), gone

    def _stock(self, cell: Cell, books: Books) -> str:
        (was_held, was_gone), (held, gone) = self.before[cell], self._units(cell, books)
        if (was_held, was_gone, held, gone) == (0, 0, 0, 0):
            return "untouched"
        back = was_held + was_gone - held - gone
        word = "released" if cell.store == "none" else "returned once"
        parts = [(gone, "gone"), (held, "reserved"), (back, word)]
        return ", ".join(f"{count} {name}" for count, name in parts if count)


class ExternalPlay(Play):
    """The same, with the practice storefront as the account's store."""

    def stock_up(self, products: int) -> None:
        self.store.post("seed", bulk=products)

    def ship(self, order: Order, number: str, units: dict[str, int]) -> None:
        items = [{"sku": sku, "quantity": count} for sku, count in units.items()]
        self.store.post(f"orders/{order.magento_number}/ship", carrier="Royal Mail", trackingNumber=number, items=items)

    def books(self) -> Books:
        ledger, orders = self.store.get("ledger"), self.store.get("orders")["orders"]
        assert ledger["balanced"]
        shelf = {row["sku"]: (row["allocated"], row["shipped"]) for row in ledger["stock"]}
        return Books({one["externalOrderId"]: (one["status"], one["c_externalOrderStatus"], ", ".join(one["tags"])) for one in orders}, shelf)
