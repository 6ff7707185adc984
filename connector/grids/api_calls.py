"""Every request to TikTok and Magento with its answer (product.md 12)."""

from __future__ import annotations

from sqlalchemy import func

from connector.grids import Choices, Column, DateRange, Empty, Flag, Grid, Join, Label, NumberRange, Tab
from connector.grids.activity import account_choices
from connector.models.account import Account
from connector.models.trace import ApiCall

SYSTEMS = {"tiktok": Label("TikTok Shop"), "magento": Label("Magento"), "storefront": Label("External storefront"), "oms": Label("OMS")}

API_CALLS = Grid(
    key="api_calls",
    title="API calls",
    noun="call",
    permission="api_calls.read",
    model=ApiCall,
    pk=ApiCall.id,
    joins=(Join(Account, Account.id == ApiCall.account_id, outer=True),),
    columns=(
        Column(key="operation", label="Operation", expr=ApiCall.operation, cell="link", sort=False),
        Column(key="system", label="System", expr=ApiCall.system, labels=SYSTEMS, sort=False),
        Column(key="account", label="Account", expr=func.coalesce(Account.title, ""), sort=False),
        Column(
            key="failed",
            label="Outcome",
            expr=ApiCall.failed,
            cell="state",
            labels={False: Label("OK", "success"), True: Label("Failed", "danger")},
            sort=False,
        ),
        Column(key="status", label="HTTP", expr=ApiCall.status, cell="number", align="end", sort=False),
        Column(key="code", label="Code", expr=ApiCall.code, cell="mono", sort=False),
        Column(key="error", label="Error", expr=ApiCall.error, sort=False),
        Column(key="milliseconds", label="ms", expr=ApiCall.milliseconds, cell="number", align="end", sort=False),
        Column(key="at", label="When", expr=ApiCall.at, cell="when"),
        Column(key="request_id", label="Request id", expr=ApiCall.request_id, cell="mono", default=False, sort=False),
        Column(key="run", label="Run", expr=ApiCall.run_id, cell="number", default=False, sort=False),
    ),
    filters=(
        Choices("account", "Account", ApiCall.account_id, account_choices, pinned=True),
        Choices("system", "System", ApiCall.system, {key: label.text for key, label in SYSTEMS.items()}),
        Flag("failed", "Failed only", ApiCall.failed.is_(True)),
        NumberRange("ms", "Milliseconds", ApiCall.milliseconds),
        NumberRange("order", "Order (our number)", ApiCall.order_id),
        NumberRange("run", "Run", ApiCall.run_id),
        DateRange("at", "When", ApiCall.at),
    ),
    tabs=(Tab("all", "All"), Tab("failed", "Failed", ApiCall.failed.is_(True), "danger")),
    search=(ApiCall.operation, ApiCall.request_id, ApiCall.code, ApiCall.url),
    search_hint="Operation, request id, code or address",
    default_sort="-at",
    row_label="operation",
    row_url=lambda row: f"/api-calls/{row['pk']}",
    empty=Empty("No calls yet", "Every request to TikTok Shop and Magento is listed here, secrets and buyer data masked."),
)
