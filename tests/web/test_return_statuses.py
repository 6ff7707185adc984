"""Whatever the contract names, and what it does not: every status, type, arbitration, decision, goods and memo state on every returns screen (A217-A219)."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal

from bs4 import BeautifulSoup
from flask.testing import FlaskClient

from connector.core.clock import utcnow
from connector.core.db import unit_of_work
from connector.domain import returns
from connector.grids.query import forget_counts
from connector.grids.returns import TABS
from connector.models.aftersales import (
    GOODS_ASK,
    GOODS_EXPECTED,
    GOODS_LOST,
    GOODS_RECEIVED,
    MEMO_DONE,
    MEMO_FAILED,
    MEMO_IGNORED,
    MEMO_SENDING,
    MEMO_WAITING,
    TO_MAGENTO,
    CreditMemo,
    Return,
)
from connector.models.order import Order
from tests.factories.aftersales import a_return, an_account, an_order, eligible

STATUSES = [*returns.STATUSES, *returns.ALIASES, "RETURN_TELEPORTED", ""]
TYPES = [*returns.TYPE_LABELS, "TELEPORT", ""]
ARBITRATIONS = [*returns.ARBITRATION, "COIN_TOSS"]
DECISIONS = [*returns.ACTIONS, "APPROVE_TELEPORT", "REJECT_TELEPORT"]
MEMOS = [MEMO_WAITING, MEMO_SENDING, MEMO_DONE, MEMO_FAILED, MEMO_IGNORED, "evaporated"]
GOODS = [GOODS_EXPECTED, GOODS_ASK, GOODS_RECEIVED, GOODS_LOST, "elsewhere"]


def _everything() -> tuple[Order, list[Return]]:
    """One return for each value; the rest of it is ordinary."""
    order = an_order(an_account())
    wanted = [{"return_status": status, "return_type": "REFUND"} for status in STATUSES]
    wanted += [{"return_type": kind} for kind in TYPES]
    wanted += [{"return_status": "REFUND_OR_RETURN_REQUEST_REJECT", "arbitration_status": each} for each in ARBITRATIONS]
    rows = [a_return(order, f"40350000{number:06d}", **fields) for number, fields in enumerate(wanted)]
    for number, decision in enumerate(DECISIONS):
        rows.append(
            a_return(
                order, f"40351000{number:06d}", return_type="RETURN_AND_REFUND", decisions=eligible(decision),
                columns={"decision": decision, "answered_by": "operator@example.test"},
            )
        )  # fmt: skip
    for number, goods in enumerate(GOODS):
        rows.append(a_return(order, f"40352000{number:06d}", return_status="RETURN_OR_REFUND_REQUEST_SUCCESS", columns={"goods": goods}))
    for number, state in enumerate(MEMOS):
        row = a_return(order, f"40353000{number:06d}", return_status="RETURN_OR_REFUND_REQUEST_COMPLETE")
        failure = {"failure_code": "mag.refund", "failure_message": "Magento says: The creditmemo total must be positive.", "failure_remedy": "Look at it."}
        with unit_of_work() as session:
            session.add(
                CreditMemo(
                    account_id=order.account_id, order_id=order.id, return_pk=row.id, key=f"return:{row.return_id}", direction=TO_MAGENTO, state=state,
                    memo_id="77" if state == MEMO_DONE else None, currency="GBP", amount=Decimal("31.20"), items={"5": 2},
                    **(failure if state == MEMO_FAILED else {}),
                )
            )  # fmt: skip
        rows.append(row)
    quick = {"can_buyer_keep_item": True, "is_quick_refund": True, "partial_refund": {"amount": "5.00", "currency": "GBP"}, "pre_return_id": rows[0].return_id}
    failed = {"failure_code": "return.offer", "failure_message": "TikTok refused the answer.", "failure_remedy": "Read it again."}
    rows.append(a_return(order, "40354000000000", seller_next_action_response=[{"action": "SELLER_RESPOND_TELEPORT"}], columns=failed, **quick))
    with unit_of_work():
        rows[-1].records = [
            {
                "event": "ORDER_RETURN",
                "role": "BUYER",
                "note": "<b>It broke</b>",
                "images": [{"url": "https://pictures.example/1.jpg"}, {}],
                "create_time": "x",
            },
            {"event": "TELEPORTED", "role": "WIZARD", "videos": [{"url": "javascript:alert(1)"}, {"url": "https://videos.example/1", "duration_millis": 4200}]},
        ]
        rows[-1].records_read_at = utcnow() + timedelta(hours=2)
    return order, rows


def test_every_value_of_the_contract_and_unknown_ones_are_shown_on_every_screen(admin_client: FlaskClient) -> None:
    order, rows = _everything()
    forget_counts()
    grid = _soup(admin_client, "/returns/?tab=all&per_page=200")
    lines = {line.select_one("a[data-open]").text: line for line in grid.select("tbody tr[data-row]")}
    assert lines.keys() == {row.return_id for row in rows}
    export = admin_client.get("/returns/export.csv?tab=all").get_data(as_text=True).lstrip("\ufeff")
    sheet = {record["Marketplace Return ID"]: record for record in csv.DictReader(io.StringIO(export))}
    assert sheet.keys() == lines.keys()
    for row in rows:
        page = _soup(admin_client, f"/returns/{row.id}")
        said, status = returns.meaning(row.remote_status), row.remote_status or "No status"
        for shown in (lines[row.return_id].text, page.select_one(".order-lead").text):
            assert said.label in shown
            assert status in shown
            assert ("not known to this version" in shown) == (not said.known or _other_unknown(row, shown)), (row.remote_status, shown)
        assert status in sheet[row.return_id]["Status"]
        assert (row.return_type or "No type") in str(page) or returns.type_label(row.return_type) in page.text
        if row.arbitration_status:
            assert returns.arbitration(row.arbitration_status).label in lines[row.return_id].text
        _answers(admin_client, row, page)
    _many_are_asked_about_at_once(admin_client, rows)
    _tabs_hold_every_return_once(admin_client, rows)
    _values_are_found_by_filters_and_search(admin_client, rows)
    block = _soup(admin_client, f"/orders/{order.id}")
    assert {row.return_id for row in rows} <= {link.text for link in block.select("a[href^='/returns/']")}
    _words_of_both_sides_are_text(admin_client, rows[-1])


def _other_unknown(row: Return, shown: str) -> bool:
    """Whether something else than the status is unknown in this place: the type, which only the grid's line shows, or the arbitration."""
    arbitrated = returns.arbitration(row.arbitration_status)
    return (row.return_type not in returns.TYPE_LABELS and row.return_id in shown) or bool(arbitrated and not arbitrated.known)


def _answers(client: FlaskClient, row: Return, page: BeautifulSoup) -> None:
    """A button and a confirm page for each decision; one that nobody knows is named, and cannot be sent."""
    for each in returns.actions(row.decisions):
        assert (page.select_one(f"a[href*='decision={each.decision}']") is not None) == each.known
        assert each.known or each.decision in page.text
        asked = _soup(client, f"/returns/answer?kind={'reject' if each.rejects else 'accept'}&decision={each.decision}&ids={row.id}")
        assert (asked.select_one("form[action='/returns/answer']") is not None) == each.known, each.decision
        assert each.label in asked.text or each.decision in asked.text


def _many_are_asked_about_at_once(client: FlaskClient, rows: list[Return]) -> None:
    """Each return stands on the page, as one that is answered or as one that is left out with the reason."""
    for kind, plain in (("accept", "APPROVE_"), ("reject", "REJECT_")):
        page = _soup(client, f"/returns/answer?kind={kind}&ids={','.join(str(row.id) for row in rows)}")
        for row in rows:
            line = next(line for line in page.select("tbody tr") if row.return_id in line.th.text)
            assert (plain in line.text) or line.select_one("td.remarks").text.strip().endswith("."), (kind, row.return_id)


def _tabs_hold_every_return_once(client: FlaskClient, rows: list[Return]) -> None:
    seen: list[str] = []
    for tab in TABS:
        if tab.key != "all":
            page = _soup(client, f"/returns/?tab={tab.key}&per_page=200")
            seen += [link.text for link in page.select("tbody tr[data-row] a[data-open]")]
    assert sorted(seen) == sorted(row.return_id for row in rows)


def _values_are_found_by_filters_and_search(client: FlaskClient, rows: list[Return]) -> None:
    for name, count in (("type", 2), ("status", 2), ("arbitration", 1)):
        page = _soup(client, f"/returns/?tab=all&{name}=other&per_page=200")
        assert len(page.select("tbody tr[data-row]")) == count, name
    for query, count in (("memo=failed", 1), ("goods=ask", 1), ("failed=yes", 1), ("q=TEE-BLA-M", len(rows)), ("q=40354000000000", 1), ("q=nothing", 0)):
        page = _soup(client, f"/returns/?tab=all&{query}&per_page=200")
        assert len(page.select("tbody tr[data-row]")) == count, query


def _words_of_both_sides_are_text(client: FlaskClient, row: Return) -> None:
    page = _soup(client, f"/returns/{row.id}")
    assert page.select_one("blockquote").text == "<b>It broke</b>"
    assert "WIZARD" in page.text
    assert [image["src"] for image in page.select(".talk img")] == [f"/returns/{row.id}/pictures/0/0"]
    assert [link["href"] for link in page.select(".talk a[rel]")] == ["https://videos.example/1"]
    assert "40350000000000" in page.text  # the request it came from


def _soup(client: FlaskClient, address: str) -> BeautifulSoup:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.text[:1500])
    return BeautifulSoup(answer.text, "html.parser")
