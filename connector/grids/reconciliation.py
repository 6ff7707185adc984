"""The no-order-lost certificates, one row an account and day (product.md 12)."""

from __future__ import annotations

from connector.grids import Choices, Column, Empty, Flag, Grid, Join, Text
from connector.grids.activity import account_choices
from connector.models.account import Account
from connector.models.order import ReconciliationDay

RECONCILIATION = Grid(
    key="reconciliation",
    title="Reconciliation",
    noun="day",
    permission="reconciliation.read",
    model=ReconciliationDay,
    pk=ReconciliationDay.id,
    joins=(Join(Account, Account.id == ReconciliationDay.account_id),),
    columns=(
        Column(key="day", label="Day (UTC)", expr=ReconciliationDay.day, cell="link"),
        Column(key="account", label="Account", expr=Account.title, sort=False),
        Column(key="listed", label="TikTok lists", expr=ReconciliationDay.listed, cell="number", align="end", sort=False),
        Column(key="stored", label="Stored", expr=ReconciliationDay.stored, cell="number", align="end", sort=False),
        Column(key="created", label="In Magento", expr=ReconciliationDay.created, cell="number", align="end", sort=False),
        Column(key="skipped", label="Skipped on purpose", expr=ReconciliationDay.skipped, cell="number", align="end", sort=False),
        Column(key="pending", label="Still to come", expr=ReconciliationDay.pending, cell="number", align="end", sort=False),
        Column(key="missing", label="Missing", expr=ReconciliationDay.missing, cell="how_many", align="end", sort=False),
        Column(key="duplicates", label="Twice in Magento", expr=ReconciliationDay.duplicates, cell="how_many", align="end", sort=False),
        Column(key="checked_at", label="Checked", expr=ReconciliationDay.checked_at, cell="when", sort=False),
    ),
    filters=(
        Choices("account", "Account", ReconciliationDay.account_id, account_choices, pinned=True),
        Flag("missing", "With missing orders", ReconciliationDay.missing != []),
        Text("day", "Day", ReconciliationDay.day, mode="prefix"),
    ),
    default_sort="-day",
    row_url=lambda row: f"/reconciliation/{row['pk']}",
    cells="reconciliation/_cells.html",
    events=("run:changed",),
    empty=Empty("Nothing is reconciled yet", "Each account's yesterday and today are checked once a day. Check now to see the first certificates."),
)
