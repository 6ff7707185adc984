"""Who may do what. A permission is ``area.verb``; views, grid actions and menu entries name one, and this is the only place that judges it.

Viewers read. Operators also work: orders, queue, reconciliation, products, returns, replaying API calls, revealing buyer data.
Accounts, policies, configuration and users are changed by administrators alone; the last two are not even shown to others.
"""

from __future__ import annotations

from connector.models.user import ADMINISTRATOR, OPERATOR, VIEWER

ADMINISTRATORS_ONLY = frozenset({"users", "configuration"})
ADMINISTRATORS_WRITE = frozenset({"accounts", "policies"})


def allows(role: str, permission: str) -> bool:
    """Does the role hold the permission? Unknown roles hold none."""
    area, _, verb = permission.partition(".")
    if role == ADMINISTRATOR:
        return True
    if area in ADMINISTRATORS_ONLY:
        return False
    if verb == "read":
        return role in (OPERATOR, VIEWER)
    return role == OPERATOR and area not in ADMINISTRATORS_WRITE
