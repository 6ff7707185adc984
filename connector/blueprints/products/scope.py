"""Whose products are looked at: the account of the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

from flask import g, request

from connector.core.db import db
from connector.grids.products_narrowing import View, account_choices
from connector.models.account import Account


def view() -> View | None:
    """The account of the address (or of the address that a bulk form came from), else the first. None without an account."""
    if "products_view" not in g:
        asked = parse_qs(request.form.get("state", "")) if request.method == "POST" else request.args.to_dict(flat=False)
        accounts = account_choices()
        chosen = next((each for each in asked.get("account", ()) if each in accounts), next(iter(accounts), None))
        account = db.session.get(Account, int(chosen)) if chosen else None
        variants = asked.get("variants") == ["yes"] or "1" in asked.get("visibility", ())
        g.products_view = View(account.id, account.magento_id or 0, variants) if account else None
    found: View | None = g.products_view
    return found


def address_of(row: Mapping[str, Any]) -> str:
    """The page of a product as a listing of the account in view."""
    here = view()
    return f"/products/{row['pk']}?{urlencode({'account': here.account_id})}" if here else f"/products/{row['pk']}"
