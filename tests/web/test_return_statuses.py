"""Whatever the contract names, and what it does not: every status, type, arbitration, decision, goods and memo state on every returns screen (A217-A219)."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal

from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
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
from connector.models.run import JobRun
from tests.factories.aftersales import a_return, an_account, an_order, eligible

STATUSES = [*returns.STATUSES, *returns.ALIASES, "RETURN_TELEPORTED", ""]
TYPES = [*returns.TYPE_LABELS, "TELEPORT", ""]
ARBITRATIONS = [*returns.ARBITRATION, "COIN_TOSS"]
DECISIONS = [*returns.ACTIONS, "APPROVE_TELEPORT", "REJECT_TELEPORT"]
MEMOS = [MEMO_WAITING, MEMO_SENDING, MEMO_DONE, MEMO_FAILED, MEMO_IGNORED, "evaporated"]
#: Families of the buyer's and the seller's reasons with every end that the contract shows (TTS §5.6.10), and one that it does not.
REASONS = [
    f"ecom_order_delivered_{family}_reason_{what}{end}"
    for family in ("refund", "refund_and_return")
    for what in ("missing_product", "product_damaged", "wrong_product", "product_does_not_match_description", "no_longer_needed")
    for end in ("", "_seller", "_uk")
] + ["a_reason_of_2031", ""]
#: Reasons for a rejection, of return and of market (TTS §5.6.10); the last one has no text.
REFUSALS = [
    "seller_reject_apply_you_have_reached_an_agreement_with_the_buyer", "seller_reject_apply_package_has_not_exceeded_estimated_delivery_time",
    "ecom_refund_reject_reason_cancel_unacceptable_uk", "reverse_reject_request_reason_5", "a_refusal_of_2031",
]  # fmt: skip
GOODS = [GOODS_EXPECTED, GOODS_ASK, GOODS_RECEIVED, GOODS_LOST, "elsewhere"]


def _everything() -> tuple[Order, list[Return]]:
    """One return for each value; the rest of it is ordinary."""
    order = an_order(an_account())
    wanted = [{"return_status": status, "return_type": "REFUND"} for status in STATUSES]
    wanted += [{"return_type": kind} for kind in TYPES]
    wanted += [{"return_status": "REFUND_OR_RETURN_REQUEST_REJECT", "arbitration_status": each} for each in ARBITRATIONS]
    assert len(wanted) >= len(REASONS)
    for number, fields in enumerate(wanted):
        fields |= {"return_reason": REASONS[number % len(REASONS)], "return_reason_text": f"Reason {number}" if number % 2 else ""}
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
    for number in range(2):
        offers = [{"name": name, "text": "" if name == REFUSALS[-1] else name.replace("_", " ").capitalize()} for name in REFUSALS]
        rows.append(a_return(order, f"40356000{number:06d}", decisions=[{**eligible("REJECT_REFUND")[0], "available_reject_reasons": offers}]))
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
        assert (row.reason_text or row.reason) in lines[row.return_id].text and (row.reason_text or row.reason) in sheet[row.return_id]["Reason"]
        assert row.reason in page.text
        assert (row.return_type or "No type") in str(page) or returns.type_label(row.return_type) in page.text
        if row.arbitration_status:
            assert returns.arbitration(row.arbitration_status).label in lines[row.return_id].text
        _answers(admin_client, row, page)
    _many_are_asked_about_at_once(admin_client, rows)
    _tabs_hold_every_return_once(admin_client, rows)
    _values_are_found_by_filters_and_search(admin_client, rows)
    damaged = _listed(admin_client, "tab=all&reason=refund_and_return_reason_product_damaged")
    assert set(damaged) >= {row.return_id for row in rows if "return_reason_product_damaged" in row.reason}
    _every_return_may_have_a_reason_of_its_own(admin_client, [row for row in rows if row.return_id.startswith("40356")])
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
            seen += _listed(client, f"tab={tab.key}")
    assert sorted(seen) == sorted(row.return_id for row in rows)


def _values_are_found_by_filters_and_search(client: FlaskClient, rows: list[Return]) -> None:
    for name, count in (("type", 2), ("status", 2), ("arbitration", 1)):
        assert len(_listed(client, f"tab=all&{name}=other")) == count, name
    for query, count in (
        ("memo=failed", 1),
        ("goods=ask", 1),
        ("failed=yes", 1),
        ("q=TEE-BLA-M", len(rows)),
        ("q=bla-m", len(rows)),
        ("q=plain", len(rows)),
        ("q=40354000000000", 1),
        ("q=nothing", 0),
    ):
        assert len(_listed(client, f"tab=all&{query}")) == count, query


def _every_return_may_have_a_reason_of_its_own(client: FlaskClient, rows: list[Return]) -> None:
    page = _soup(client, f"/returns/answer?kind=reject&chosen=142&ids={','.join(str(row.id) for row in rows)}")
    assert [box["value"] for box in page.select("input[type=radio]")] == REFUSALS
    for row in rows:
        choices = page.select(f"select[name=reason-of-{row.id}] option")
        assert [choice["value"] for choice in choices] == ["", *REFUSALS]
        assert choices[-1].text == REFUSALS[-1]
    assert "142 returns were chosen" in " ".join(page.main.text.split()) and "the 140 others stay as they are" in " ".join(page.main.text.split())
    csrf = page.select_one("input[name=csrf_token]")["value"]
    given = {"csrf_token": csrf, "kind": "reject", "ids": ",".join(str(row.id) for row in rows)}
    refused = client.post("/returns/answer", data={**given, f"reason-of-{rows[0].id}": REFUSALS[1]})
    assert refused.status_code == 422 and "Choose a reason." in refused.text
    kept = BeautifulSoup(refused.text, "html.parser").select_one(f"select[name=reason-of-{rows[0].id}] option[selected]")
    assert kept["value"] == REFUSALS[1], "nothing that was chosen is lost"
    assert client.post("/returns/answer", data={**given, "reason-1": REFUSALS[0], f"reason-of-{rows[0].id}": REFUSALS[1]}).status_code == 303
    args = db.session.scalars(select(JobRun.args).where(JobRun.kind == "returns.answer")).one()
    assert (args["reason"], args["reasons"]) == (REFUSALS[0], {str(rows[0].id): REFUSALS[1]})
    db.session.commit()


def _words_of_both_sides_are_text(client: FlaskClient, row: Return) -> None:
    page = _soup(client, f"/returns/{row.id}")
    assert page.select_one("blockquote").text == "<b>It broke</b>"
    assert "WIZARD" in page.text
    assert [image["src"] for image in page.select(".talk img")] == [f"/returns/{row.id}/pictures/0/0"]
    assert [link["href"] for link in page.select(".talk a[rel]")] == ["https://videos.example/1"]
    assert "40350000000000" in page.text  # the request it came from


def _listed(client: FlaskClient, query: str) -> list[str]:
    """The return ids of a grid's page, without reading all of it as a document."""
    answer = client.get(f"/returns/?{query}&per_page=200")
    assert answer.status_code == 200, (query, answer.text[:1500])
    return re.findall(r"<a [^>]*data-open[^>]*>(\d+)</a>", answer.text)


def _soup(client: FlaskClient, address: str) -> BeautifulSoup:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.text[:1500])
    return BeautifulSoup(answer.text, "html.parser")
