"""The fields of an account (A011-A015, A033-A045)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.policies import ORDER, SYNCHRONIZATION
from connector.models.account import PRODUCTION, SANDBOX, Account, MagentoConnection, StoreReference
from connector.models.order import CREATED, CREATING, Order
from connector.models.policy import Policy
from connector.models.run import Schedule
from connector.services import connections, events, policies, runs
from connector.services.products import switches
from connector.services.storefronts import LABELS, MAGENTO

#: Markets of TikTok Shop by the two letters that TikTok uses (GB, not UK).
COUNTRIES: dict[str, str] = {
    "US": "United States",
    "GB": "United Kingdom",
    "IE": "Ireland",
    "ES": "Spain",
    "DE": "Germany",
    "FR": "France",
    "IT": "Italy",
    "SG": "Singapore",
    "MY": "Malaysia",
    "TH": "Thailand",
    "VN": "Vietnam",
    "PH": "Philippines",
    "ID": "Indonesia",
    "JP": "Japan",
    "MX": "Mexico",
    "BR": "Brazil",
}

#: Work that starts by itself: kind -> seconds. The first group runs for each account, the second once for the installation.
ACCOUNT_SCHEDULES = {
    "orders.import": 60,
    "shipments.collect": 60,
    "shipments.push": 60,
    "orders.follow": 120,
    "cancellations.import": 300,
    "returns.import": 300,
    "returns.memos": 120,
    "oms.apply": 60,  # those that wait for something
    "deadlines.warn": 300,
    "products.sync_status": 300,
    "reconcile": 86_400,
    "accounts.check_webhooks": 86_400,
    "products.import": 900,  # what changed; once a day everything
    "products.import_stock": 300,
    "products.import_prices": 3600,  # those that were changed without a trace
    "products.validate": 120,  # what has changed since it was checked
    "products.evaluate": 15,
}
INSTALLATION_SCHEDULES = {"accounts.refresh_tokens": 600, "housekeeping": 86_400}
#: TikTok statuses after which nothing is carried into the store any more.
FINISHED = ("COMPLETED", "CANCELLED")
_FIRST_DAILY = timedelta(hours=1)


@dataclass(frozen=True)
class Choice:
    """What a person chose for an account. ``country`` counts only for a new one."""

    title: str
    country: str
    environment: str = PRODUCTION
    store_view: str = "all"
    locale: str | None = None
    magento_id: int | None = None
    order_policy_id: int | None = None
    sync_policy_id: int | None = None
    storefront: str = MAGENTO


def get(account_id: int) -> Account:
    return connections.account_of(account_id)


def listed(*, working: bool = False) -> list[Account]:
    """All accounts by title; ``working``: active and connected ones only (A049)."""
    found = db.session.scalars(select(Account).order_by(func.lower(Account.title))).all()
    return [account for account in found if not working or (account.active and account.connected)]


def create(choice: Choice, *, actor: str) -> Account:
    """A new account, not yet authorised. The first Production account starts disabled: its go-live checks come first (A250)."""
    with unit_of_work() as session:
        policies.seed(actor=actor)
        _check(choice, None)
        if choice.country not in COUNTRIES:
            raise DomainError("account.country", "Country is not one of TikTok Shop's markets.", "Choose one from the list.", field="country")
        if choice.environment not in (PRODUCTION, SANDBOX):
            raise DomainError("account.environment", "Environment must be Production or Sandbox.", "Choose one.", field="environment")
        account = Account(country=choice.country, environment=choice.environment)
        _apply(account, choice)
        account.active = choice.environment == SANDBOX or _a_production_account_is_live()
        account.order_policy_id = choice.order_policy_id or _default_policy(ORDER)
        account.sync_policy_id = choice.sync_policy_id or _default_policy(SYNCHRONIZATION)
        session.add(account)
        _flush(choice.title)
        ensure_schedules(account)
        message = f"Account {account.title} ({account.country}, {account.environment}) was added."
        events.record("account.created", "account", account.id, message, account_id=account.id, after=_facts(account), actor=actor)
        return account


def update(account_id: int, choice: Choice, *, actor: str) -> Account:
    """Change everything but country and environment (A014, contradiction 23). The schedules follow the synchronization policy."""
    with unit_of_work(), switches.following():
        account = get(account_id)
        for name, label in (("country", "Country"), ("environment", "Environment")):
            if getattr(choice, name) != getattr(account, name):
                raise DomainError(
                    f"account.{name}_fixed",
                    f"{label} of {account.title} cannot be changed after it was saved.",
                    "Add another account for the other shop.",
                    field=name,
                )
        _check(choice, account_id)
        before = _facts(account)
        _apply(account, choice)
        account.order_policy_id, account.sync_policy_id = choice.order_policy_id, choice.sync_policy_id
        _flush(choice.title)
        after = _facts(account)
        if after != before:
            changed = ", ".join(name.replace("_", " ") for name in after if after[name] != before[name])
            message = f"Account {account.title} was changed: {changed}."
            events.record("account.saved", "account", account.id, message, account_id=account.id, before=before, after=after, actor=actor)
        return account


def set_active(account_id: int, active: bool, *, actor: str) -> Account:
    """Enable or disable. A disabled account does nothing. The first Production account needs green go-live checks (A250)."""
    from connector.services.accounts.go_live import go_live_checks, keep

    account = get(account_id)
    checks = []
    if active and not account.active and account.environment == PRODUCTION and not _a_production_account_is_live():
        checks = go_live_checks(account)
        red = [check for check in checks if not check["ok"]]
        if red:
            keep(account_id, checks, actor=actor)
            raise DomainError(
                "account.go_live",
                f"{account.title} cannot go live yet: {red[0]['message']}",
                red[0]["remedy"] if len(red) == 1 else f"{red[0]['remedy']} The go-live checklist has {len(red)} open points.",
            )
    with unit_of_work():
        if account.active == active:
            return account
        account.active = active
        if checks:
            keep(account_id, checks, actor=actor)
        word = "enabled" if active else "disabled"
        events.record(f"account.{word}", "account", account.id, f"Account {account.title} was {word}.", account_id=account.id, actor=actor)
        if active:
            runs.wake(account_id=account.id)
        return account


def ensure_schedules(account: Account | None = None) -> None:
    """The schedule rows of the installation and of an account; existing ones keep their interval and switch. Safe to repeat.

    The account's synchronization policy decides about the rows of ``switches.SWITCHES``.
    """
    session = db.session
    wanted = [(kind, None, seconds) for kind, seconds in INSTALLATION_SCHEDULES.items()]
    if account is not None:
        wanted += [(kind, account.id, seconds) for kind, seconds in ACCOUNT_SCHEDULES.items()]
    with unit_of_work():
        known = {(row.kind, row.account_id) for row in session.execute(select(Schedule.kind, Schedule.account_id))}
        now = utcnow()
        for kind, account_id, seconds in wanted:
            if (kind, account_id) not in known:
                first = now + (_FIRST_DAILY if seconds >= 86_400 else timedelta())
                session.add(Schedule(kind=kind, account_id=account_id, interval_seconds=seconds, next_due_at=first))
        session.flush()
        if account is not None:
            switches.ensure(account)


def ensure_all_schedules() -> None:
    """The rows of every account: an upgrade brings new kinds of scheduled work."""
    ensure_schedules()
    for account in listed():
        ensure_schedules(account)


def store_views(magento_id: int | None) -> list[tuple[str, str]]:
    """(code, label) of the store views to choose from: ``all`` first (A042)."""
    query = select(StoreReference.code, StoreReference.label).where(StoreReference.kind == "store_view", StoreReference.magento_id == magento_id)
    found = [(code, f"{label} ({code})") for code, label in db.session.execute(query.order_by(StoreReference.label))]
    return [("all", "All Store View"), *found]


def _check(choice: Choice, account_id: int | None) -> None:
    if not choice.title.strip():
        raise DomainError("account.title", "Title is empty.", "Enter a name such as TikTok_US.", field="title")
    if len(choice.title) > 120:
        raise DomainError("account.title", "Title is longer than 120 characters.", "Shorten it.", field="title")
    taken = select(Account.id).where(func.lower(Account.title) == choice.title.strip().lower())
    if db.session.scalar(taken.where(Account.id != account_id) if account_id else taken):
        raise DomainError("account.title_taken", f"Another account is called {choice.title.strip()}.", "Choose another title.", field="title")
    if choice.magento_id is not None:
        store = db.session.get(MagentoConnection, choice.magento_id)
        if store is None or store.environment != choice.environment:
            raise DomainError(
                "account.magento",
                f"A {choice.environment.title()} account needs a {choice.environment.title()} Magento connection.",
                "Connect the practice store." if choice.environment == SANDBOX else "Connect your Magento store first.",
                field="store_view",
            )
    views = {code for code, _ in store_views(choice.magento_id)}
    if len(views) > 1 and choice.store_view not in views:
        raise DomainError("account.store_view", f"Magento has no store view {choice.store_view}.", "Choose one from the list.", field="store_view")
    for policy_id, kind, field in ((choice.order_policy_id, ORDER, "order_policy_id"), (choice.sync_policy_id, SYNCHRONIZATION, "sync_policy_id")):
        policy = db.session.get(Policy, policy_id) if policy_id else None
        if policy_id and (policy is None or policy.deleted_at or policy.kind != kind):
            raise DomainError("account.policy", f"That is not {kind} policy.", "Choose one from the list.", field=field)


def _apply(account: Account, choice: Choice) -> None:
    account.title = choice.title.strip()
    account.store_view = choice.store_view
    account.locale = choice.locale or None
    account.magento_id = choice.magento_id
    choose_storefront(account, choice.storefront)


def choose_storefront(account: Account, storefront: str) -> None:
    """Where the account's orders go from now on, inside the caller's transaction. Orders that are under way in the other store keep it open."""
    if storefront not in LABELS:
        raise DomainError("account.storefront", "Storefront must be Magento or External storefront.", "Choose one.", field="storefront")
    before = account.storefront or MAGENTO
    if storefront != before and account.id is not None:
        open_orders = select(func.count()).select_from(Order).where(
            Order.account_id == account.id, Order.state.in_((CREATING, CREATED)), Order.remote_status.not_in(FINISHED)
        )  # fmt: skip
        if count := db.session.scalar(open_orders):
            raise DomainError(
                "account.storefront_used", f"{count} orders of {account.title} are under way in {LABELS[before]}, so its storefront cannot be changed.",
                "Wait until they are delivered or cancelled, or add another account.", field="storefront",
            )  # fmt: skip
    account.storefront = storefront


def _flush(title: str) -> None:
    try:
        db.session.flush()
    except IntegrityError as error:
        raise DomainError("account.title_taken", f"Another account is called {title}.", "Choose another title.", field="title") from error


def _a_production_account_is_live() -> bool:
    return bool(db.session.scalar(select(func.count()).select_from(Account).where(Account.environment == PRODUCTION, Account.active)))


def _default_policy(kind: str) -> int | None:
    return db.session.scalar(select(Policy.id).where(Policy.kind == kind, Policy.is_default, Policy.deleted_at.is_(None)))


def _facts(account: Account) -> dict[str, object]:
    names = ("title", "environment", "country", "locale", "storefront", "store_view", "magento_id", "order_policy_id", "sync_policy_id")
    return {name: getattr(account, name) for name in names}
