"""Forms of the wizard: the account's fields without the policies, which are the next step."""

from __future__ import annotations

from connector.blueprints.accounts.forms import EditAccountForm, NewAccountForm


class WizardAccountForm(NewAccountForm):
    """A012-A015, A030."""

    sync_policy_id = None
    order_policy_id = None
    field_order = ("title", "environment", "country", "store_view", "locale")


class WizardEditForm(EditAccountForm):
    """The same after the first save: country and environment are fixed (A014)."""

    sync_policy_id = None
    order_policy_id = None
    field_order = ("title", "store_view", "locale")
