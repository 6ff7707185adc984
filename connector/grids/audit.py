"""Who did what (product rule 8, product.md 12): the audit log, and the account activity of the footer (A027)."""

from __future__ import annotations

from connector.grids import Choices, Column, DateRange, Empty, Grid
from connector.grids.activity import account_choices
from connector.models.trace import Event

AUDIT = Grid(
    key="audit",
    title="Account Activity",
    noun="event",
    permission="audit.read",
    model=Event,
    pk=Event.id,
    columns=(
        Column(key="at", label="When", expr=Event.at, cell="when"),
        Column(key="actor", label="Who", expr=Event.actor, cell="doer", sort=False),
        Column(key="kind", label="What", expr=Event.kind, cell="mono", sort=False),
        Column(key="message", label="Message", expr=Event.message, cell="long_text", sort=False),
        Column(key="subject", label="Record", expr=Event.subject_type + " " + Event.subject_id, sort=False),
        Column(key="reason", label="Why", expr=Event.reason, cell="occasion", sort=False),
        Column(key="run", label="Run", expr=Event.run_id, cell="number", default=False, sort=False),
        Column(key="policy", label="Policy version", expr=Event.policy_version_id, cell="number", default=False, sort=False),
    ),
    filters=(
        Choices("account", "Account", Event.account_id, account_choices, pinned=True),
        Choices(
            "subject", "Record", Event.subject_type,
            {key: key.replace("_", " ").title() for key in ("order", "account", "policy", "user", "shipment", "queue", "schedule", "configuration", "magento_connection")},
        ),
        DateRange("at", "When", Event.at),
    ),
    search=(Event.actor, Event.message, Event.kind),
    search_hint="Person, action or text",
    default_sort="-at",
    empty=Empty("Nothing has happened yet", "Sign-ins, changed settings, imports and order actions are recorded here."),
)  # fmt: skip
