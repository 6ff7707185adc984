"""The accounts grid (A032-A046)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import url_for
from flask_login import current_user
from sqlalchemy import and_, case, select
from sqlalchemy.orm import aliased

from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids.filters import Choices, DateRange, Flag
from connector.grids.grid import Action, Column, Empty, Grid, Join, Label, Preview, Result, Tab
from connector.models.account import AUTH_CONNECTED, AUTH_EXPIRED, AUTH_NONE, AUTH_REVOKED, PRODUCTION, SANDBOX, Account
from connector.models.policy import Policy
from connector.services import accounts, runs
from connector.services.accounts import COUNTRIES
from connector.services.storefronts import LABELS

ENVIRONMENTS = {PRODUCTION: Label("Production", "info"), SANDBOX: Label("Sandbox", "warning")}
CONNECTED = {
    AUTH_CONNECTED: Label("Yes", "success"),
    AUTH_NONE: Label("No", "neutral"),
    AUTH_EXPIRED: Label("Authorisation expired", "danger"),
    AUTH_REVOKED: Label("Authorisation ended", "danger"),
}
STOREFRONTS = {key: Label(text) for key, text in LABELS.items()}
OrderPolicy = aliased(Policy)
SyncPolicy = aliased(Policy)


def _load(ids: Sequence[int]) -> list[Account]:
    return list(db.session.scalars(select(Account).where(Account.id.in_(ids)).order_by(Account.id)))


def _previews(judge: Callable[[Account], str]) -> Callable[[Sequence[int]], list[Preview]]:
    """Previews from a function that says why not, or nothing."""
    return lambda ids: [Preview(account.id, account.title, not (why := judge(account)), why) for account in _load(ids)]


def _cannot_fetch(account: Account) -> str:
    return "" if account.connected else "is not authorised"


def _fetch(ids: Sequence[int], form: Any) -> Result:
    submitted = [
        runs.submit("accounts.onboard", account_id=account_id, key=f"accounts.onboard:{account_id}", started_by=current_user.email) for account_id in ids
    ]
    words = "account" if len(ids) == 1 else "accounts"
    return Result(f"Onboarding data of {len(ids)} {words} is being fetched.", run_id=submitted[0].run_id if len(submitted) == 1 else None)


def _switch(active: bool) -> Callable[[Sequence[int], Any], Result]:
    def submit(ids: Sequence[int], form: Any) -> Result:
        refused = []
        for account_id in ids:
            try:
                accounts.set_active(account_id, active, actor=current_user.email)
            except DomainError as error:
                refused.append(str(error))
        done = len(ids) - len(refused)
        message = f"{done} {'account' if done == 1 else 'accounts'} {'enabled' if active else 'disabled'}."
        return Result(" ".join([message, *refused]), tone="warning" if refused else "success")

    return submit


ACCOUNTS = Grid(
    key="accounts",
    title="TikTok Accounts",
    noun="account",
    permission="accounts.read",
    model=Account,
    pk=Account.id,
    joins=(
        Join(OrderPolicy, OrderPolicy.id == Account.order_policy_id, outer=True),
        Join(SyncPolicy, SyncPolicy.id == Account.sync_policy_id, outer=True),
    ),
    columns=(
        Column(key="id", label="Account Id", expr=Account.id, cell="link"),
        Column(key="title", label="Title", expr=Account.title, cell="link"),
        Column(key="active", label="Active", expr=Account.active, cell="yes_no"),
        Column(key="connected", label="Verified/Connected", expr=Account.auth_state, cell="state", labels=CONNECTED),
        Column(key="country", label="Country", expr=Account.country, cell="words", labels=COUNTRIES),
        Column(key="store_view", label="Store View", expr=case((Account.store_view == "all", "All Store View"), else_=Account.store_view)),
        Column(key="storefront", label="Storefront", expr=Account.storefront, cell="state", labels=STOREFRONTS),
        Column(key="environment", label="Environment", expr=Account.environment, cell="state", labels=ENVIRONMENTS),
        Column(key="sync_policy", label="Synchronization policy", expr=SyncPolicy.title),
        Column(key="order_policy", label="Order policy", expr=OrderPolicy.title),
        Column(key="refresh_expires_at", label="Authorised until", expr=Account.refresh_expires_at, cell="date"),
        Column(key="edit", label="Action", expr=Account.id, cell="edit", sort=False, export=lambda value, row: ""),
        Column(key="shop_name", label="Shop", expr=Account.shop_name, default=False),
        Column(key="shop_id", label="Shop Id", expr=Account.shop_id, cell="mono", default=False),
        Column(key="onboarded_at", label="Onboarding data of", expr=Account.onboarded_at, cell="ago", default=False),
        Column(key="created_at", label="Created At", expr=Account.created_at, cell="when", default=False),
    ),
    filters=(
        Choices("environment", "Environment", Account.environment, {PRODUCTION: "Production", SANDBOX: "Sandbox"}),
        Choices("country", "Country", Account.country, COUNTRIES),
        Flag("active", "Active", Account.active.is_(True)),
        Flag("connected", "Connected", Account.auth_state == AUTH_CONNECTED),
        DateRange("created", "Created", Account.created_at),
    ),
    tabs=(
        Tab("all", "All"),
        Tab("working", "Working", and_(Account.active, Account.auth_state == AUTH_CONNECTED), "success"),
        Tab("attention", "Needs attention", Account.auth_state.in_((AUTH_EXPIRED, AUTH_REVOKED, AUTH_NONE)), "danger"),
    ),
    search=(Account.title, Account.shop_name, Account.shop_id),
    search_hint="Title, shop name or shop id",
    default_sort="id",
    actions=(
        Action(
            key="onboard",
            label="Fetch Onboarding Data",
            icon="download",
            permission="accounts.write",
            help="Imports warehouses, delivery options, carriers and order statuses of the shop.",
            preview=_previews(_cannot_fetch),
            submit=_fetch,
        ),
        Action(
            key="enable",
            label="Enable",
            icon="player-play",
            permission="accounts.write",
            preview=_previews(lambda account: "is enabled already" if account.active else ""),
            submit=_switch(True),
            visible=lambda row: not row["is_active"],
        ),
        Action(
            key="disable",
            label="Disable",
            icon="player-pause",
            permission="accounts.write",
            danger=True,
            help="A disabled account does nothing: no import, no order, no parcel. Nothing is lost, and it can be enabled again.",
            preview=_previews(lambda account: "" if account.active else "is disabled already"),
            submit=_switch(False),
            visible=lambda row: bool(row["is_active"]),
        ),
    ),
    always={"is_active": Account.active},
    row_label="title",
    cells="accounts/_cells.html",
    row_url=lambda row: url_for("accounts.show", account_id=row["pk"]),
    events=("accounts:changed",),
    empty=Empty(
        "No Active/Valid Accounts Found",
        "An account is one TikTok Shop. Add yours, or try everything with the practice shop first.",
        "Add Account",
        "accounts.new",
    ),
)
