"""May this order be created in Magento? The ordered checks of product.md 6, as one pure function.

``decide`` answers the button, the bulk confirm page, the job and the test alike. Every check is made and kept, in order; the first one that fails
says what becomes of the order (``outcome``: one of our order states) and under which cause code it is grouped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from connector.domain import tiktok_order
from connector.domain.checks import Check, Checked
from connector.domain.external_order import unsafe_for_tests
from connector.domain.order_facts import PLAIN_TYPES, Facts, Product

STORED, HELD, READY, SKIPPED, FAILED, CANCELLED = "stored", "held", "ready", "skipped", "failed", "cancelled"


@dataclass(frozen=True, slots=True)
class Verdict(Checked):
    """The ordered checks. ``writer`` is how the order would be written: ``checkout`` or ``direct``; ``warnings`` go onto the order."""

    checks: tuple[Check, ...]
    writer: str = "checkout"
    customer: str = "guest"
    warnings: tuple[str, ...] = ()
    create_products: tuple[str, ...] = ()  #: seller SKUs that get a placeholder product first

    def as_list(self) -> list[dict[str, Any]]:
        return [check.as_dict() for check in self.checks]


def decide(facts: Facts) -> Verdict:
    """All checks in the order of product.md 6."""
    if facts.external:
        return Verdict(tuple(check(facts) for check in EXTERNAL_CHECKS), "external")
    checks = tuple(check(facts) for check in CHECKS)
    writer, warnings = _writer(facts)
    create = tuple(wanted.seller_sku for wanted in facts.wanted if wanted.product is None and wanted.seller_sku and _creates_products(facts))
    return Verdict(checks, writer, _customer_mode(facts)[0], warnings, create)


# --- the checks -----------------------------------------------------------------------------------------------------------------------------


def _already(facts: Facts) -> Check:
    name = "Not created yet"
    if facts.magento_number:
        return Check(
            name, False, f"The order is in {facts.store} already, as {facts.magento_number}.", {"magento_number": facts.magento_number},
            "Nothing needs to be done.", "order.already_created", "created",
        )  # fmt: skip
    return Check(name, True, f"No order of {facts.store} is known for it." if facts.external else "No Magento order is known for it.")


def _account(facts: Facts) -> Check:
    name = "Account active and authorised"
    seen = {"account": facts.account, "active": facts.account_active, "authorisation": facts.auth_state}
    if not facts.account_active:
        return Check(name, False, f"The account {facts.account} is disabled.", seen, "Enable the account on the Accounts page.", "account.disabled", READY)
    if not facts.connected:
        told = f" {facts.auth_message}" if facts.auth_message else ""
        return Check(
            name, False, f"The account {facts.account} is not authorised ({facts.auth_state}).{told}", seen,
            "Authorise the account again on the Accounts page; its work then goes on by itself.", "account.unauthorised", READY,
        )  # fmt: skip
    if not facts.has_store and facts.external:
        return Check(
            name, False, f"The account {facts.account} has no external storefront yet.", seen, "Connect the external storefront on the account's page.",
            "storefront.none", FAILED,
        )  # fmt: skip
    if not facts.has_store:
        return Check(name, False, f"The account {facts.account} has no Magento store.", seen, "Connect Magento under Configuration.", "magento.none", FAILED)
    return Check(name, True, f"{facts.account} is active and authorised.", seen)


def _policy(facts: Facts) -> Check:
    name = "Order policy valid and creation on"
    policy = facts.policy
    if policy is None:
        return Check(
            name, False, f"The account {facts.account} has no order policy.", {}, "Choose an order policy in the account's settings.", "policy.missing", FAILED
        )
    seen = {"policy": facts.policy_title, "create_in_magento": policy.create_in_magento, "by_hand": facts.by_hand}
    if facts.policy_problems:
        problem = facts.policy_problems[0]
        return Check(
            name, False, f"The order policy {facts.policy_title} is not valid: {problem.get('message', '')}", seen,
            problem.get("remedy") or "Complete the policy.", "policy.invalid", FAILED,
        )  # fmt: skip
    if not policy.create_in_magento and not facts.by_hand:
        return Check(
            name, False, f"The order policy {facts.policy_title} does not create orders in {facts.store}.", seen,
            "Choose Create Sales Order on the order, or switch Create Order in Magento on.", "policy.creation_off", STORED,
        )  # fmt: skip
    return Check(name, True, "Asked for by hand." if facts.by_hand else f"{facts.policy_title} creates orders.", seen)


def _status(facts: Facts) -> Check:
    name = "Status reached"
    wanted = facts.policy.create_when if facts.policy else tiktok_order.AWAITING_SHIPMENT
    if facts.by_hand and wanted != tiktok_order.CANCELLED:  # by hand an order may be created as soon as TikTok lets anybody act on it
        wanted = tiktok_order.AWAITING_SHIPMENT
    seen = {"status": facts.remote_status, "create_when": wanted}
    label = tiktok_order.label(facts.remote_status)
    if not tiktok_order.is_known(facts.remote_status):
        return Check(
            name, False, f"TikTok says {facts.remote_status}, a status the connector does not know; nothing is guessed.", seen,
            "Sync the order's status later; report the new status if it stays.", "status.unknown", FAILED,
        )  # fmt: skip
    if tiktok_order.reached(facts.remote_status, wanted):
        return Check(name, True, f"{label} has reached {tiktok_order.label(wanted)}.", seen)
    if facts.remote_status == tiktok_order.CANCELLED:
        return Check(name, True, "Cancelled is a branch of its own; the next checks decide.", seen)
    outcome = HELD if facts.remote_status == tiktok_order.ON_HOLD else STORED
    return Check(
        name, False, f"The order is {label}; it is created from {tiktok_order.label(wanted)} on.", seen,
        "It is created by itself when TikTok moves it on.", "status.not_reached", outcome,
    )  # fmt: skip


def _hold(facts: Facts) -> Check:
    name = "Hold over"
    seen = {"hold_until": facts.hold_until.isoformat() if facts.hold_until else None, "now": facts.now.isoformat()}
    if facts.remote_status == tiktok_order.ON_HOLD:
        until = f" until {facts.hold_until:%H:%M} UTC" if facts.hold_until else ""
        return Check(name, False, f"The buyer may still cancel freely{until}.", seen, "It is created by itself when the hold has ended.", "order.on_hold", HELD)
    return Check(name, True, "TikTok does not hold it.", seen)


def _cancelled(facts: Facts) -> Check:
    name = "Not cancelled, no open cancellation request"
    seen = {"status": facts.remote_status, "cancel_requested": facts.cancel_requested}
    wants_cancelled = facts.policy is not None and facts.policy.create_when == tiktok_order.CANCELLED
    if facts.remote_status == tiktok_order.CANCELLED and not wants_cancelled:
        return Check(name, False, "The order is cancelled on TikTok Shop.", seen, "Nothing needs to be done.", "order.cancelled", CANCELLED)
    if facts.remote_status == tiktok_order.CANCELLED:
        return Check(name, True, "Cancelled; the policy creates cancelled orders, for the books, and cancels them at once.", seen)
    if facts.cancel_requested:
        return Check(
            name, False, "The buyer has asked to cancel the order.", seen,
            "Answer the request; if it is rejected, the order is created by itself.", "order.cancel_requested", READY,
        )  # fmt: skip
    return Check(name, True, "Not cancelled.", seen)


def _matched(facts: Facts) -> Check:
    name = "Every line matched to a Magento product"
    seen = {wanted.seller_sku: f"{wanted.product.sku} ({wanted.matched_by})" if wanted.product else None for wanted in facts.wanted}
    if not facts.wanted:
        return Check(name, False, "Every line of the order is cancelled.", seen, "Nothing needs to be done.", "order.no_lines", CANCELLED)
    nameless = [wanted for wanted in facts.wanted if not wanted.seller_sku]
    if nameless:
        return Check(
            name, False, f"The line \"{nameless[0].name}\" has no seller SKU at TikTok Shop.", seen,
            "Enter the seller SKU in Seller Center and sync the order.", "mapping.sku_missing", SKIPPED,
        )  # fmt: skip
    unknown = [wanted.seller_sku for wanted in facts.wanted if wanted.product is None]
    if unknown and not _creates_products(facts):
        return Check(
            name, False, f"Magento has no product for {_names(unknown)}.", seen,
            "Match the seller SKU to a Magento SKU (it is remembered), or let the policy create the product.", "mapping.sku_unknown", SKIPPED,
        )  # fmt: skip
    composite = [wanted.product for wanted in facts.wanted if wanted.product and wanted.product.type_id not in PLAIN_TYPES]
    if composite:
        return Check(
            name, False, f"{composite[0].sku} is a {composite[0].type_id} product, which cannot be ordered by its SKU alone.", seen,
            "Match the seller SKU to the SKU of a simple product (for a configurable: of its variant).", "product.composite", SKIPPED,
        )  # fmt: skip
    if unknown:
        return Check(name, True, f"{_names(unknown)}: a placeholder product is created, as the policy says.", seen)
    return Check(name, True, f"{len(facts.wanted)} of {len(facts.wanted)} matched.", seen)


def _available(facts: Facts) -> Check:
    name = "Products enabled and in stock"
    disabled, short = _unavailable(facts)
    seen = {
        wanted.product.sku: {
            "enabled": wanted.product.enabled,
            "salable": None if wanted.product.salable is None else f"{wanted.product.salable:f}",
            "wanted": wanted.quantity,
        }
        for wanted in facts.wanted
        if wanted.product
    }
    if facts.fulfilled_by_tiktok:
        return Check(name, True, "Sent from TikTok's warehouse: it takes no stock of yours.", seen)
    if not disabled and not short:
        return Check(name, True, "All products are enabled and in stock.", seen)
    if facts.policy is not None and facts.policy.create_for_unavailable:
        return Check(name, True, f"{_names(disabled + short)}: not available, but the policy creates the order all the same.", seen)
    if disabled:
        return Check(
            name, False, f"The product {_names(disabled)} is disabled in Magento.", seen,
            "Enable the product, or let the policy create orders for disabled products.", "product.disabled", SKIPPED,
        )  # fmt: skip
    return Check(
        name, False, f"Magento has not enough stock of {_names(short)}.", seen,
        "Raise the stock or allow backorders in Magento, or let the policy create orders for products out of stock.", "stock.short", SKIPPED,
    )  # fmt: skip


def _address(facts: Facts) -> Check:
    name = "Address complete"
    seen = {"present": facts.has_address, "masked": facts.address_masked, "missing": list(facts.address_missing)}
    if not facts.has_address:
        return Check(
            name, False, "TikTok sent no recipient address.", seen, "Sync the order's status; the address comes when the hold has ended.",
            "address.missing", FAILED,
        )  # fmt: skip
    if facts.address_missing:
        return Check(
            name, False, f"The address has no {_names(facts.address_missing, 'and')}.", seen,
            "Correct the address in Seller Center and sync the order.", "address.incomplete", FAILED,
        )  # fmt: skip
    return Check(name, True, "Masked by TikTok; placeholders stand in for what is hidden." if facts.address_masked else "Complete.", seen)


def _customer(facts: Facts) -> Check:
    name = "Customer resolved"
    mode, why = _customer_mode(facts)
    seen = {"mode": facts.policy.customer_mode if facts.policy else "guest", "used": mode, "buyer_id": facts.buyer_id}
    if facts.policy is not None and facts.policy.customer_mode == "same" and not facts.policy.same_customer_id:
        return Check(
            name, False, "The policy uses one fixed customer but names none.", seen, "Enter the Magento customer ID in the order policy.",
            "customer.none", FAILED,
        )  # fmt: skip
    return Check(name, True, why, seen)


def _money(facts: Facts) -> Check:
    name = "Amounts agree to the cent"
    seen = dict(facts.parity.terms) | {"difference": f"{facts.parity.difference:f}", "currency": facts.currency}
    if not facts.parity.ok:
        return Check(
            name, False, facts.parity.message, seen,
            "Compare the order in Seller Center and sync it again; report the difference if it stays.", "money.mismatch", FAILED,
        )  # fmt: skip
    if facts.rate is None:
        return Check(
            name, False, f"The order is in {facts.currency}, and Magento's store knows no rate from its base currency {facts.base_currency}.", seen,
            f"In Magento, allow {facts.currency} under Stores, Configuration, Currency Setup and enter a rate under Stores, Currency Rates.",
            "money.no_rate", FAILED,
        )  # fmt: skip
    return Check(name, True, facts.parity.message, seen)


CHECKS: tuple[Callable[[Facts], Check], ...] = (
    _already, _account, _policy, _status, _hold, _cancelled, _matched, _available, _address, _customer, _money,
)  # fmt: skip

# --- of an external storefront: it matches, counts and knows its customers by itself -----------------------------------------------------------


def _environment(facts: Facts) -> Check:
    name = "Storefront safe for tests"
    if not facts.sandbox:
        return Check(name, True, "A Production account: the storefront does real business.", dict(facts.environment or {}))
    problem = unsafe_for_tests(facts.environment)
    if problem is not None:
        return Check(name, False, problem[0], dict(facts.environment or {}), problem[1], "storefront.unsafe", FAILED)
    return Check(name, True, "Protected, captures no payment, sends no confirmation mails.", dict(facts.environment or {}))


def _named(facts: Facts) -> Check:
    name = "Every line has a SKU"
    seen = {wanted.seller_sku: wanted.quantity for wanted in facts.wanted}
    nameless = next((wanted for wanted in facts.wanted if not wanted.seller_sku), None)
    return _matched(facts) if not facts.wanted or nameless else Check(name, True, "The storefront knows its products by these SKUs.", seen)


EXTERNAL_CHECKS: tuple[Callable[[Facts], Check], ...] = (
    _already, _account, _environment, _policy, _status, _hold, _cancelled, _named, _address, _money,
)  # fmt: skip


# --- what follows from the facts -----------------------------------------------------------------------------------------------------------


def _creates_products(facts: Facts) -> bool:
    return facts.policy is not None and facts.policy.if_product_missing == "create_product"


def _unavailable(facts: Facts) -> tuple[list[str], list[str]]:
    """SKUs that are disabled, and SKUs without enough stock; several seller SKUs may share one product."""
    wanted: dict[str, int] = {}
    products: dict[str, Product] = {}
    for line in facts.wanted:
        if line.product:
            key = line.product.sku.casefold()
            products[key] = line.product
            wanted[key] = wanted.get(key, 0) + line.quantity
    disabled = [product.sku for product in products.values() if not product.enabled]
    short = [
        product.sku
        for key, product in products.items()
        if product.enabled and (not product.is_salable or (product.salable is not None and product.salable < wanted[key]))
    ]
    return disabled, short


def _writer(facts: Facts) -> tuple[str, tuple[str, ...]]:
    """Which writer the order takes, and the warning that goes with it (MAG §4.4.3)."""
    disabled, short = _unavailable(facts)
    if facts.fulfilled_by_tiktok or (facts.policy is not None and facts.policy.writer == "direct"):
        return "direct", ()
    if disabled or short:
        return "direct", (unreserved_warning(disabled + short),)
    return "checkout", ()


def unreserved_warning(skus: Sequence[str]) -> str:
    return (
        f"Written without a cart because {_names(skus)} could not be sold by Magento: no stock is reserved for this order, and shipping it needs stock in the "
        "source. After shipping or cancelling it, run Magento's inventory:reservation:list-inconsistencies."
    )


def _customer_mode(facts: Facts) -> tuple[str, str]:
    """Which customer the Magento order gets. Masked data never makes a Real customer (product.md 6)."""
    mode = facts.policy.customer_mode if facts.policy else "guest"
    if mode == "real" and (facts.address_masked or not facts.has_address):
        return "guest", "TikTok masks the buyer's data: the order gets a guest instead of a customer made of asterisks."
    if mode == "real" and not facts.buyer_id:
        return "guest", "TikTok names no buyer: the order gets a guest."
    return mode, {"guest": "Guest.", "real": "The buyer's own customer, keyed by TikTok's buyer id.", "same": "The policy's fixed customer."}[mode]


def _names(values: Sequence[str], last: str = "and") -> str:
    """ "A", "A and B", "A, B and 3 more"."""
    shown = list(dict.fromkeys(values))
    if len(shown) > 3:
        return f"{', '.join(shown[:2])} {last} {len(shown) - 2} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {last} {shown[-1]}" if shown else "nothing"
