"""What is done to the whole catalogue at once: importing from Magento, reading stock."""

from __future__ import annotations

from flask import render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.products.forms import ImportForm, account_choices
from connector.blueprints.products.views import bp
from connector.services import accounts
from connector.services.products import actions
from connector.web.auth import requires
from connector.web.forms import render_form
from connector.web.htmx import go_to, toast


@bp.route("/import", methods=["GET", "POST"])
@requires("products.write")
def import_form() -> AnyResponse | str:
    """Read Magento's products or their stock now; the schedule does the same by itself."""
    choices = account_choices(list(accounts.listed()))
    if not choices:
        return render_template("products/no_store.html", has_account=bool(accounts.listed()))
    form = ImportForm()
    form.account.choices = choices
    if request.method == "GET":
        asked = request.args.get("account", "")
        form.account.data = int(asked) if asked.isdigit() else next(iter(choices))
        form.what.data = request.args.get("what") if request.args.get("what") in ("full", "stock") else "changed"
    if form.validate_on_submit():
        with form.catching():
            if form.what.data == "stock":
                submitted = actions.read_stock(form.account.data, started_by=current_user.email)
            else:
                submitted = actions.import_from_magento(form.account.data, full=form.what.data == "full", started_by=current_user.email)
            toast("This is already running." if submitted.existing else "Started. Products appear while it runs.")
            return go_to(url_for("queue.run", run_id=submitted.run_id))
    return render_form("products/import.html", form=form)
