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
from connector.models.order import Cancellation, Order, Reservation, Shipment
from connector.practice.catalogue import bulk_product
from connector.services import connections
from connector.services.orders import intake
from tests.factories import shop
from tests.factories.parcels import Store, parcel

TABLE = Path(__file__).parents[2] / "docs" / "cancellations.md"
PATHS = ("A259", "A260", "A261", "A262", "A263", "A264", "A265", "A266")
STAGES = ("on hold", "awaiting shipment", "partly shipped", "shipped", "delivered")
STORES = ("none", "open", "invoiced")
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
    def told(self) -> list[str]:
        return re.findall("“(.*?)”", self.note)


def read_table() -> list[Cell]:
    rows = [[part.strip() for part in line.strip().strip("|").split("|")] for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| A2")]
    return [Cell(row[0].split()[0], *row[1:]) for row in rows]


class Play:
    """Cells that are played side by side in one shop: an order of two units each, of a product of its own."""

    def __init__(self, market: shop.Market, store: Store, account: Account) -> None:
        self.market, self.store, self.account = market, store, account
        self.orders: dict[Cell, Order] = {}
        self.skus: dict[Cell, str] = {}
        market.post("settings", carrier_moves=False, no_shipment_days=15, rotate_refresh_token=False)
        store.post("seed", bulk=100, keep_credentials=True)
        shop.change_policy(account, create_in_magento=False)  # an order goes into the store when a cell says so

    # --- setting up

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Bring an order of each cell to its stage; an impossible cell's as near to it as it gets."""
        numbers: dict[Cell, str] = {}
        for cell in cells:
            self.skus[cell] = bulk_product(len(self.skus)).sku
            numbers[cell] = self.market.post("orders", shop="GB", lines=[{"sku": self.skus[cell], "quantity": UNITS}])["id"]
            if cell.stage != "on hold":
                self.market.post(f"orders/{numbers[cell]}/release")
        self._read(list(numbers.values()))
        self._orders(numbers)
        for how in ("open", "invoiced"):
            shop.change_policy(self.account, create_invoice=how == "invoiced")
            chosen = [self.orders[cell] for cell in cells if cell.store == how and cell.stage != "on hold"]
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
        self.jobs()
        self.before = {cell: self._units(cell) for cell in cells}

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
                self.store.ship(order, number, units={self.skus[cell]: count})
        self.work("shipments.collect", "shipments.push")

    # --- what goes on by itself

    def jobs(self) -> None:
        """Everything that the schedule does and that waits, due now."""
        self.work("cancellations.import")
        self._read([order.number for order in self.orders.values()])
        self.work("orders.follow", "shipments.collect", "shipments.push", "oms.apply", "returns.memos")
        self._read([order.number for order in self.orders.values()])

    def work(self, *kinds: str) -> None:
        for kind in kinds:
            with unit_of_work() as session:
                for model in (CreditMemo, Shipment, Order):
                    session.execute(update(model).values(retry_at=None))
            run = shop.perform(kind, self.account.id)
            assert run.state in ("succeeded", "partial") and run.error_code != "internal", (kind, run.state, run.message)

    def _read(self, numbers: list[str]) -> None:
        for start in range(0, len(numbers), 50):
            rules = intake.rules_for(self.account.id, intake.SCHEDULE)
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
        shown = {one["ext_order_id"]: one for one in self.store.get("orders") if one["ext_order_id"]}
        assert self.store.get("ledger")["balanced"]
        found = {}
        for cell in cells:
            order = db.session.get_one(Order, self.orders[cell].id)
            in_store = shown.get(order.number)
            status = self.market.order(order.number)["status"]
            recalled = db.session.scalar(select(RecallTask.state).where(RecallTask.order_id == order.id))
            facts = {
                "tiktok": status, "ours": order.state, "magento": in_store["state"] if in_store else "-", "stock": self._stock(cell),
                "tag": order.tag or "-",
            }  # fmt: skip
            if order.remote_status != status:
                facts["ours"] += f" with {order.remote_status}"
            if bool(order.tag) != bool(recalled):
                facts["tag"] += " with a recall" if recalled else " without a recall"
            if in_store and in_store["status"] != in_store["state"] and in_store["state"] in ("canceled", "closed"):
                facts["magento"] += f" with status {in_store['status']}"
            if in_store and in_store["state"] in ("canceled", "closed") and order.magento_state != in_store["state"]:
                facts["ours"] += f" with {order.magento_state} for the store's order"
            found[cell] = facts
        db.session.commit()
        return found

    def said(self, cell: Cell) -> str:
        """The order's warnings, and why it has a recall."""
        db.session.expire_all()
        order_id = self.orders[cell].id
        why = db.session.scalar(select(RecallTask.why).where(RecallTask.order_id == order_id))
        text = f"{db.session.get_one(Order, order_id).warning}\n{why or ''}"
        db.session.commit()
        return text

    def _units(self, cell: Cell) -> tuple[int, int]:
        """(held for the order, left the shelf), here and in the store together."""
        full = bulk_product(0).qty
        (row,) = [row for row in self.store.get("ledger", sku=self.skus[cell])["stocks"] if row["stock_id"] == STOCK]
        physical, salable = int(row["physical"]), int(row["salable"])
        ours = db.session.scalar(
            select(func.coalesce(func.sum(Reservation.quantity), 0)).where(Reservation.order_id == self.orders[cell].id, Reservation.released_at.is_(None))
        )
        db.session.commit()
        gone = full - physical
        return full - salable - gone + int(ours or 0), gone

    def _stock(self, cell: Cell) -> str:
        (was_held, was_gone), (held, gone) = self.before[cell], self._units(cell)
        if (was_held, was_gone, held, gone) == (0, 0, 0, 0):
            return "untouched"
        back = was_held + was_gone - held - gone
        word = "released" if cell.store == "none" else "returned once"
        parts = [(gone, "gone"), (held, "reserved"), (back, word)]
        return ", ".join(f"{count} {name}" for count, name in parts if count)
