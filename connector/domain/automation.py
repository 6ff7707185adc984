"""May this listing be uploaded or updated by itself? The ordered checks of the synchronization policy, as pure functions (A067-A079)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from connector.domain.checks import Check
from connector.domain.policies import SynchronizationPolicy

UPLOAD, UPDATE = "upload", "update"
UNCHECKED, INCOMPLETE = "unchecked", "incomplete"  #: of a listing's Validation Status (A176)
STATUSES = {"off": frozenset[int](), "enabled": frozenset({1}), "disabled": frozenset({2}), "any": frozenset({1, 2})}
_STATUS_WORDS = {1: "Enabled", 2: "Disabled"}
_NOT_VISIBLE = 1


def fits(switch: str, status: int) -> bool:
    """Whether a switch is on for products of this Magento status (1 enabled, 2 disabled)."""
    return status in STATUSES[switch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the checks look at. ``units``: what would be offered over all variants, None when nothing limits it. ``changed``: Magento attributes
    behind what differs from TikTok, None when nobody asked."""

    sku: str
    account: str = ""
    account_active: bool = True
    connected: bool = True
    status: int = 1
    visibility: int = 4
    gone: bool = False
    template: str | None = None
    template_enabled: bool = True
    units: int | None = None
    uploaded: bool = False
    marketplace_state: str = "not_uploaded"
    validation: str = UNCHECKED
    content_due: bool = False
    first_problem: tuple[str, str] | None = None  #: reason and remedy
    content_hash: str = ""
    sent_hash: str = ""
    failure: tuple[str, str] | None = None  #: message and remedy
    failed_hash: str = ""
    retry_at: datetime | None = None
    changed_since_failure: bool = False
    changed: frozenset[str] | None = None
    now: datetime


def checks(policy: SynchronizationPolicy, title: str, facts: Facts) -> tuple[Check, ...]:
    """Every check in order; the listing is uploaded (or updated, when TikTok has it) by itself when all are ok."""
    action = UPDATE if facts.uploaded else UPLOAD
    switch = policy.product_update if facts.uploaded else policy.product_upload
    label = "Product Update" if facts.uploaded else "Product Upload"
    found = [
        _account(facts),
        Check(
            "switch",
            switch != "off",
            f"{label} is on in {title}." if switch != "off" else f"{label} is off in {title}: this is done by hand.",
            {"switch": switch},
            f"Switch {label} on in the synchronization policy.",
            f"auto.{action}_off",
        ),
        _status(switch, label, facts),
        _template(facts),
        _visibility(policy, facts),
        _stock(policy, facts),
        _content(facts),
    ]
    if facts.uploaded:
        found += [_state(facts), _changed(facts), _reacts(policy, facts)]
    return (*found, _parked(facts))


def _account(facts: Facts) -> Check:
    ok = facts.account_active and facts.connected
    why = "is disabled" if not facts.account_active else "is not authorised"
    return Check(
        "account",
        ok,
        f"The account {facts.account} is active and authorised." if ok else f"The account {facts.account} {why}.",
        {},
        "Enable it on the Accounts page." if not facts.account_active else "Re-authorise it on the Accounts page.",
        "auto.account",
    )


def _status(switch: str, label: str, facts: Facts) -> Check:
    word = _STATUS_WORDS.get(facts.status, f"status {facts.status}")
    ok = not facts.gone and (switch == "off" or fits(switch, facts.status))
    wanted = {"enabled": "Enabled", "disabled": "Disabled"}.get(switch, "any")
    text = f"{facts.sku} is {word} in Magento."
    if facts.gone:
        text = f"{facts.sku} is not in Magento any more."
    elif not ok:
        text = f"{facts.sku} is {word} in Magento; {label} is on for {wanted} products only."
    return Check("magento_status", ok, text, {"status": word}, "Change the product's status in Magento, or the switch of the policy.", "auto.status")


def _template(facts: Facts) -> Check:
    ok = facts.template is not None and facts.template_enabled
    text = f"The listing template {facts.template} is enabled." if ok else f"The listing template {facts.template} is disabled."
    if facts.template is None:
        text = "It has no listing template."
    remedy = "Enable the template." if facts.template else "Assign a listing template, or widen a template's query."
    return Check("template", ok, text, {}, remedy, "auto.template")


def _visibility(policy: SynchronizationPolicy, facts: Facts) -> Check:
    hidden = facts.visibility == _NOT_VISIBLE
    ok = not hidden or policy.sync_not_visible
    text = "It is visible in Magento's catalogue." if not hidden else "It is Not Visible Individually in Magento"
    if hidden:
        text += "; the policy syncs such products too." if ok else ", and the policy leaves such products out."
    return Check("visibility", ok, text, {"visibility": facts.visibility}, "Switch Sync Not Visible Individually on.", "auto.not_visible")


def _stock(policy: SynchronizationPolicy, facts: Facts) -> Check:
    empty = facts.units is not None and facts.units <= 0
    ok = not empty or policy.sync_out_of_stock
    count = "Magento does not limit its stock." if facts.units is None else f"{facts.units:,} units can be offered."
    text = count if not empty else "It is out of stock" + ("; the policy syncs such products too." if ok else ", and the policy leaves such products out.")
    return Check("stock", ok, text, {"units": facts.units}, "Switch Sync Out of Stock Products on, or fill up its stock.", "auto.out_of_stock")


def _content(facts: Facts) -> Check:
    """One whose data changed since is looked at again before anything is sent."""
    ok = facts.validation != INCOMPLETE or facts.content_due
    reason, remedy = facts.first_problem or ("Something is missing.", "Validate it and correct what is listed.")
    words = {UNCHECKED: "It is validated before it is sent."}.get(facts.validation, "Nothing that TikTok Shop needs is missing.")
    return Check("content", ok, words if ok else f"It is incomplete: {reason}", {"validation": facts.validation}, remedy, "auto.incomplete")


def _state(facts: Facts) -> Check:
    refused = {"deleted": "was deleted on TikTok Shop", "frozen": "is frozen by TikTok Shop", "in_review": "is being reviewed by TikTok Shop"}
    why = refused.get(facts.marketplace_state)
    text = f"It {why}." if why else "TikTok Shop takes changes of it."
    remedy = "Nothing needs to be done: it is sent after the review." if facts.marketplace_state == "in_review" else "See the product in Seller Center."
    return Check("marketplace_state", why is None, text, {"state": facts.marketplace_state}, remedy, "auto.state")


def _changed(facts: Facts) -> Check:
    differs = not facts.content_hash or facts.content_hash != facts.sent_hash
    ok = differs or facts.content_due
    text = "Its content differs from what TikTok Shop was sent." if differs else "TikTok Shop has its present content."
    if facts.content_due and not differs:
        text = "Something that it depends on has changed; it is compared first, and sent only if its content differs."
    return Check("changed", ok, text, {}, "Nothing needs to be done.", "auto.unchanged")


def _reacts(policy: SynchronizationPolicy, facts: Facts) -> Check:
    wanted = frozenset(policy.react_only)
    if not wanted:
        return Check("react_only", True, "The policy reacts to every change.")
    if facts.changed is None:
        return Check("react_only", True, f"The policy reacts to {', '.join(policy.react_only)} only; what has changed is looked at before it is sent.")
    ok = bool(wanted & facts.changed)
    seen = ", ".join(sorted(facts.changed)) or "nothing that comes from a Magento attribute"
    text = f"Changed: {seen}. The policy reacts to {', '.join(policy.react_only)} only."
    return Check(
        "react_only", ok, text, {"changed": sorted(facts.changed)}, "Update it by hand, or let the policy react to more attributes.", "auto.not_reacting"
    )


def _parked(facts: Facts) -> Check:
    """A refusal is not repeated for the same content: only when it changed, or when the time for another try has come."""
    if facts.failure is None:
        return Check("not_parked", True, "Nothing stands against it.")
    message, remedy = facts.failure
    if facts.retry_at is not None:
        ok = facts.retry_at <= facts.now
        return Check(
            "not_parked",
            ok,
            f"It failed before: {message}" + (" It is tried again now." if ok else " It is tried again later."),
            {},
            remedy,
            "auto.retry_later",
        )
    changed = facts.content_hash != facts.failed_hash if facts.failed_hash else facts.changed_since_failure
    if changed or facts.content_due:
        return Check("not_parked", True, "It failed before, and its content has changed since.")
    return Check("not_parked", False, f"The same content was refused: {message}", {}, remedy, "auto.parked")


def in_words(reasons: Mapping[str, int]) -> str:
    """Counts of what was left out: "3 parked, 2 out of stock"."""
    return ", ".join(f"{count:,} {_SHORT.get(code, code)}" for code, count in Counter(reasons).most_common())


_SHORT = {
    "auto.account": "in an account that cannot work",
    "auto.upload_off": "with Product Upload off",
    "auto.update_off": "with Product Update off",
    "auto.status": "of another Magento status",
    "auto.template": "without an enabled template",
    "auto.not_visible": "not visible individually",
    "auto.out_of_stock": "out of stock",
    "auto.incomplete": "incomplete",
    "auto.state": "in review, frozen or deleted on TikTok Shop",
    "auto.unchanged": "unchanged",
    "auto.not_reacting": "changed elsewhere than the policy reacts to",
    "auto.retry_later": "tried again later",
    "auto.parked": "refused with the same content",
}
