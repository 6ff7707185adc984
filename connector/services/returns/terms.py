"""What the parts of the returns desk share: the policy, amounts in words, how our own memos are recognised, why one is not written now."""

from __future__ import annotations

import re
from decimal import Decimal

from connector.core.db import db, end_reading
from connector.core.errors import DomainError
from connector.domain import money
from connector.domain.order_policy import OrderPolicy
from connector.models.account import Account
from connector.services import policies

#: What our own memos say in their comment; the recall desk and the cancellation of an order write memos too.
OWN = re.compile(r"\[(return|lines|restock|recall)[:\]]|^Cancelled on TikTok|was cancelled after shipping; these units")


def words(amount: Decimal, currency: str) -> str:
    """An amount with as many decimals as its currency has, or as it needs itself."""
    step = money.minor_unit(currency)
    return f"{amount.quantize(step) if amount % step == 0 else amount.normalize():f} {currency}".rstrip()


class Wait(Exception):
    """Nothing is wrong; the memo cannot be written yet."""


class Ignored(Exception):
    """The memo is not to be written, for a reason that a person should read."""


def policy_of(account_id: int) -> OrderPolicy:
    """The account's order policy; without one nothing is refunded by itself."""
    account = db.session.get_one(Account, account_id)
    try:
        return policies.order_policy(account)[0]
    except DomainError:
        return OrderPolicy(credit_memos=False, restock_returns=False)
    finally:
        if not db.session.info.get("unit_of_work"):
            end_reading()
