"""docs/cancellations.md, played: eight paths (A259-A266) x five stages x what the store has, against the practice marketplace and store."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain.rejection import OUT_OF_STOCK
from connector.models.oms import OmsUpdate
from connector.models.order import Order
from connector.models.run import JobRun
from connector.services import cancellations
from connector.services.accounts import storefront
from connector.services.oms import updates
from connector.services.orders import create, push, recall, reject
from tests.factories import shop
from tests.factories.cancellation_cells import PATHS, STAGES, STORES, Cell, ExternalPlay, Play, read_table
from tests.factories.creation import complete
from tests.factories.parcels import Store, parcel

pytestmark = pytest.mark.postgres
WHO = "operator@example.test"
CELLS = read_table()
ELSEWHERE = read_table(external=True)


@pytest.fixture
def play(connected_account, market, practice_magento) -> Play:
    return Play(market, Store(practice_magento.url), connected_account)


def of(*paths: str) -> list[Cell]:
    return [cell for cell in CELLS if cell.path in paths]


# --- the ways to cancel: each takes its cells together and gives what the operator was told ---------------------------------------------------


def buyer_cancels(play: Play, cells: list[Cell]) -> dict[Cell, str]:
    for cell in cells:
        play.market.post(f"orders/{play.orders[cell].number}/cancel", by="BUYER")
    return {}


def buyer_asks(play: Play, cells: list[Cell]) -> list[Cell]:
    """The requests are here; where the parcel leaves after the request, it has left. The cells whose parcel had."""
    buyer_cancels(play, cells)
    play.work("cancellations.import")
    play.read()
    gone = [cell for cell in cells if cell.stage == "shipped"]
    play.send(dict.fromkeys(gone, 2))
    return gone


def seller_accepts(play: Play, cells: list[Cell]) -> dict[Cell, str]:
    gone = buyer_asks(play, cells)
    told = {}
    ids = {play.request_of(cell).id: cell for cell in cells}
    for one in cancellations.preview(list(ids), "approve"):
        assert one.possible == (ids[one.cancellation_id] not in gone), ids[one.cancellation_id].name
        if not one.possible:
            told[ids[one.cancellation_id]] = one.why_not["message"]
            with pytest.raises(DomainError):
                cancellations.answer_one(one.cancellation_id, "approve", actor=WHO)
    (submitted,) = cancellations.submit(list(ids), "approve", started_by=WHO)
    run = shop.carry_out(submitted.run_id)
    assert (run.done, run.failed) == (len(cells) - len(gone), 0), run.message
    return told


def seller_rejects(play: Play, cells: list[Cell]) -> dict[Cell, str]:
    buyer_asks(play, cells)
    ids = [play.request_of(cell).id for cell in cells]
    reason = cancellations.preview(ids[:1], "reject")[0].reasons[0][0]
    (submitted,) = cancellations.submit(ids, "reject", reason=reason, started_by=WHO)
    run = shop.carry_out(submitted.run_id)
    assert (run.done, run.failed) == (len(cells), 0), run.message
    return {cell: "The request was rejected." for cell in cells if play.request_of(cell).answer_state == "accepted"}


def tiktok_suspects_fraud(play: Play, cells: list[Cell]) -> dict[Cell, str]:
    for cell in cells:
        play.market.post(f"orders/{play.orders[cell].number}/risk", seconds=0)
    return {}


def tiktok_waits_no_longer(play: Play, cells: list[Cell]) -> dict[Cell, str]:
    play.market.post("clock", advance_seconds=15 * 86_400 + 7200)
    return {}


def tiktok_cancels_what_left(play: Play, cells: list[Cell]) -> dict[Cell, str]:
    for cell in cells:
        play.market.post(f"orders/{play.orders[cell].number}/cancel", by="SYSTEM")
    return {}


def oms_cancels(play: Play, cells: list[Cell]) -> dict[Cell, str]:
    said = [{"id": play.orders[cell].number, "type": "cancelled", "order_id": play.orders[cell].number, "reason": "out of stock"} for cell in cells]
    assert updates.receive(play.account.id, "event", said).accepted == len(cells)
    play.work("oms.apply")
    db.session.expire_all()
    told = {row.event_id: row.message for row in db.session.query(OmsUpdate).all()}
    db.session.commit()
    return {cell: told[play.orders[cell].number] for cell in cells}


def seller_cancels(play: Play, cells: list[Cell]) -> dict[Cell, str]:
    """In the OMS; with an external storefront in the store itself, as far as it lets its merchant."""
    in_store = [cell for cell in cells if isinstance(play, ExternalPlay) and cell.stage in ("awaiting shipment", "partly shipped")]
    for cell in in_store:
        play.store.post(f"orders/{play.orders[cell].magento_number}/cancel", reason="damaged in the warehouse")
    told = oms_cancels(play, [cell for cell in cells if cell not in in_store])
    if in_store:
        play.work("shipments.collect")
        shop.carry_out(db.session.scalar(select(func.max(JobRun.id)).where(JobRun.kind == "orders.reject")))
    return told


def operator_rejects(play: Play, cells: list[Cell]) -> dict[Cell, str]:
    ids = {play.orders[cell].id: cell for cell in cells}
    told = {}
    for one in reject.preview(list(ids)):
        cell = ids[one.order_id]
        assert one.possible == (cell.stage not in ("shipped", "delivered")), cell.name
        if not one.possible:
            told[cell] = one.why_not["message"]
            with pytest.raises(DomainError):
                reject.reject_one(one.order_id, OUT_OF_STOCK, actor=WHO)
    (submitted,) = reject.submit(list(ids), OUT_OF_STOCK, started_by=WHO)
    run = shop.carry_out(submitted.run_id)
    assert (run.done, run.failed) == (len(cells) - len(told), 0), run.message
    return told


WAYS: dict[str, Callable[[Play, list[Cell]], dict[Cell, str]]] = {
    "A259": buyer_cancels, "A260": seller_accepts, "A261": seller_rejects, "A262": tiktok_suspects_fraud, "A263": tiktok_waits_no_longer,
    "A264": tiktok_cancels_what_left, "A265": seller_cancels, "A266": operator_rejects,
}  # fmt: skip


# --- what cannot happen, asked all the same ---------------------------------------------------------------------------------------------------


def ask_the_impossible(play: Play, cell: Cell) -> None:
    order = play.orders[cell]
    before = play.market.order(order.number)["status"]
    if cell.question == "create":
        assert create.create_one(order.id, by_hand=True).outcome != "created", cell.name
    elif cell.question == "ask too late":
        with pytest.raises(AssertionError, match="a buyer cannot cancel"):
            play.market.post(f"orders/{order.number}/cancel", by="BUYER")
    elif cell.question == "ask":
        play.market.post(f"orders/{order.number}/cancel", by="BUYER")
        play.market.post(f"orders/{order.number}/withdraw")  # it was a request, and the order went on
    elif cell.question == "answer in the hour":
        if before != "CANCELLED":
            play.market.post(f"orders/{order.number}/cancel", by="BUYER")
            before = "CANCELLED"
            cancellations.import_account(play.account.id)
        with pytest.raises(DomainError, match="is CANCELLATION_REQUEST_SUCCESS"):
            cancellations.answer_one(play.request_of(cell).id, "approve" if cell.path == "A260" else "reject", actor=WHO)
    elif cell.question == "ship in the hour":
        assert push.push(parcel(order, f"RM{order.id:09d}GB", origin="form")).state != "delivered", cell.name
    assert play.market.order(order.number)["status"] == before, cell.name
    db.session.expire_all()
    assert db.session.get_one(Order, order.id).magento_id == order.magento_id, cell.name
    db.session.commit()


# --- the tests --------------------------------------------------------------------------------------------------------------------------------


def end_the_recalls(play: Play, ends: dict[str, str]) -> None:
    """The parcels of a path come back, or are lost; the units that left return to stock in the first case only, once."""
    recalled = {cell: ends[cell.path] for cell in of(*ends) if cell.tag == recall.TAG}
    assert set(recalled.values()) == set(ends.values())
    for cell, end in recalled.items():
        recall.move(play.orders[cell].id, end, actor=WHO)
    wrong = []
    for times in ("", " when all jobs have run again"):
        play.jobs()
        for cell, facts in play.observe(recalled).items():
            if cell.store == "none":
                stock = "2 released" if cell.stage == "partly shipped" else "untouched"
            else:
                stock = "2 returned once" if recalled[cell] == "received" else cell.stock
                assert facts["magento"] == "closed", cell.name
            wrong += [f"{cell.name}: stock is {facts['stock']}, not {stock}, after {recalled[cell]}{times}"] if facts["stock"] != stock else []
    assert not wrong, "\n" + "\n".join(wrong)


def carry_through(play: Play, cells: list[Cell]) -> None:
    """Play prepared cells to their end, and compare it with the table."""
    for cell in cells:
        if cell.question and cell.question != "wait":
            ask_the_impossible(play, cell)
    possible = [cell for cell in cells if cell.possible]
    told: dict[Cell, str] = {}
    for path in dict.fromkeys(cell.path for cell in possible):
        told |= WAYS[path](play, [cell for cell in possible if cell.path == path])
    wrong = []
    for times in ("", " when all jobs have run again"):
        play.jobs()
        for cell, facts in play.observe(possible).items():
            wrong += [f"{cell.name}: {name} is {value}, not {getattr(cell, name)}{times}" for name, value in facts.items() if value != getattr(cell, name)]
    for cell in possible:
        said = f"{told.get(cell, '')}\n{play.said(cell)}"
        wrong += [f"{cell.name}: nobody was told “{words}”, but {said.strip()!r}" for words in cell.told if words not in said]
    assert not wrong, "\n" + "\n".join(wrong)
    for cell in cells:
        if cell.question == "wait":
            assert not play.market.get(f"orders/{play.orders[cell].number}")["cancellations"], cell.name


def test_the_tables_have_every_cell_once():
    assert [cell.key for cell in CELLS] == list(itertools.product(PATHS, STAGES, STORES))
    assert all(cell.note for cell in CELLS if not cell.possible), "what cannot happen says why"
    assert [(cell.path, cell.stage) for cell in ELSEWHERE] == [(cell.path, cell.stage) for cell in CELLS if cell.possible and cell.store == "open"]


@pytest.mark.sqlite_only
def test_every_cell_ends_as_the_table_says_and_stays_so(play):
    cells = [cell for cell in CELLS if cell.path != "A263"]
    play.prepare(cells)
    carry_through(play, cells)
    end_the_recalls(play, {"A262": "received", "A264": "lost"})


def test_when_nothing_is_shipped_in_time_every_cell_ends_as_the_table_says(play):
    """A263, which has whole and partly shipped orders: on both databases."""
    play.prepare(of("A263"))
    carry_through(play, of("A263"))


@pytest.mark.sqlite_only
def test_every_cell_of_an_external_storefront_ends_as_its_table_says_and_stays_so(market, connected_account, practice_storefront):
    """A263 comes last: the clock that it moves ends what waits."""
    complete(connected_account)
    storefront.use_practice_storefront(connected_account.id, actor=WHO)
    play = ExternalPlay(market, Store(practice_storefront.url), connected_account)
    play.prepare(ELSEWHERE)
    for last in (False, True):
        carry_through(play, [cell for cell in ELSEWHERE if (cell.path == "A263") == last])
