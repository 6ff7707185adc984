"""What is done at the order desk: importing, shipping with tracking, files of tracking numbers, labels (A181-A187, A206-A208)."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.orders.forms import ImportForm, ShipFileForm, TrackingForm, account_choices
from connector.blueprints.orders.views import bp, find
from connector.clients.errors import ApiError, describe
from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids.orders import SHIP_LIMIT
from connector.models.order import Shipment
from connector.services import accounts, events
from connector.services.orders import combining, polling, ship, ship_file, splitting
from connector.services.orders import tracking as tracking_numbers
from connector.services.orders.providers import known_providers
from connector.services.orders.ship import Tracking
from connector.web.auth import requires, safe_next
from connector.web.filters import user_zone
from connector.web.forms import render_form
from connector.web.htmx import go_to, toast


@bp.route("/import", methods=["GET", "POST"])
@requires("orders.write")
def import_form() -> AnyResponse | str:
    """Pull orders now (A181). What is imported by hand waits for Create Sales Order (A182)."""
    working = accounts.listed(working=True)
    if not working:
        return render_template("orders/no_accounts.html")
    form = ImportForm()
    form.account.choices = account_choices(working)
    if request.method == "GET" and request.args.get("account", "").isdigit():
        form.account.data = int(request.args["account"])
    if form.validate_on_submit():
        with form.catching():
            submitted = polling.request_import(
                form.account.data,
                status=form.status.data,
                order_ids=(form.order_id.data or "").replace(",", " ").split(),
                started_by=current_user.email,
                **form.window(user_zone()),
            )
            toast("This import is already running." if submitted.existing else "Import started. New orders wait for Create Sales Order.")
            return go_to(url_for("queue.run", run_id=submitted.run_id))
    return render_form("orders/import.html", form=form, longest=polling.LONGEST_RANGE)


@bp.route("/ship", methods=["GET", "POST"])
@requires("orders.write")
def ship_form() -> AnyResponse | str | tuple[str, int]:
    """Carrier and tracking number for orders that Magento has no shipment for; the others are sent with theirs. ``chosen``: how many were, if more than are
    shown; ``back``: where to go on to afterwards, in place of the run's page."""
    ids = list(dict.fromkeys(int(one) for one in request.values.getlist("order") if one.isdigit()))[:SHIP_LIMIT]
    left = max(request.values.get("chosen", 0, type=int) - len(ids), 0)
    back = safe_next(request.values.get("back"), "")
    if not ids:
        toast("Choose the orders to ship in the list.", "warning")
        return go_to(url_for("orders.index"))
    entered = {order_id: Tracking(request.form.get(f"carrier-{order_id}", ""), request.form.get(f"number-{order_id}", "")) for order_id in ids}
    problem: DomainError | None = None
    if request.method == "POST":
        given = {order_id: tracking for order_id, tracking in entered.items() if tracking.number.strip() or tracking.carrier.strip()}
        try:
            submitted = ship.submit(ids, given, started_by=current_user.email)
        except DomainError as error:
            problem = error
        else:
            toast(f"Shipping the orders of {len(submitted)} accounts." if len(submitted) > 1 else "Shipping started.")
            if left:
                toast(f"{left} of the chosen orders still wait: choose them here.", "info")
            if left or back:
                return go_to(back or url_for("orders.index", tab="awaiting_shipment"))
            return go_to(url_for("queue.run", run_id=submitted[0].run_id) if len(submitted) == 1 else url_for("queue.index"))
    previews = ship.preview(ids)
    carriers = {account_id: [one.name for one in known_providers(account_id)] for account_id in {one.account_id for one in previews}}
    try:
        offers = combining.offers([one.order_id for one in previews if one.kind in (ship.FORM, ship.READY) and not one.combined_with])
        demands = splitting.demands([one.order_id for one in previews if one.kind in (ship.FORM, ship.READY)])
    except (ApiError, DomainError):
        offers, demands = None, {}
    page = render_template(
        "orders/ship.html",
        previews=previews,
        carriers=carriers,
        entered=entered,
        problem=problem,
        ids=ids,
        offers=offers,
        demands=demands,
        left=left,
        back=back,
    )
    return (page, 422) if problem else page


@bp.post("/combine")
@requires("orders.write")
def combine() -> AnyResponse:
    """One package of these orders (A269); back to the page on which they are shipped."""
    ids = [int(one) for one in request.form.getlist("order") if one.isdigit()][: combining.MOST + 1]
    page = [one for one in request.form.getlist("page") if one.isdigit()][:SHIP_LIMIT]
    try:
        toast(combining.combine(ids, actor=current_user.email))
    except (DomainError, ApiError) as error:
        toast(_in_words(error), "danger")
    return go_to(url_for("orders.ship_form", order=page or ids))


@bp.post("/<int:order_id>/take-apart")
@requires("orders.write")
def take_apart(order_id: int) -> AnyResponse:
    """Undo a combination, until its shipment is arranged."""
    find(order_id)
    try:
        toast(combining.take_apart(order_id, actor=current_user.email))
    except (DomainError, ApiError) as error:
        toast(_in_words(error), "danger")
    return go_to(url_for("orders.order", order_id=order_id, _anchor="packages"))


def _in_words(error: DomainError | ApiError) -> str:
    return f"{error.message} {error.remedy}".strip() if isinstance(error, DomainError) else f"{describe(error).title}: {error}"


@bp.route("/ship-file", methods=["GET", "POST"])
@requires("orders.write")
def ship_by_file() -> AnyResponse | str | tuple[str, int]:
    """Tracking numbers for many orders from a CSV file; every line gets its own result."""
    form = ShipFileForm()
    parsed = None
    if form.validate_on_submit():
        upload: FileStorage | None = form.file.data
        try:
            if not upload or not upload.filename:
                raise DomainError("ship_file.none", "No file was chosen.", "Choose a CSV file.", field="file")
            parsed = ship_file.read(upload.stream.read(ship_file.MAX_BYTES + 1))
            submitted = ship_file.submit(parsed, started_by=current_user.email) if parsed.accepted else []
        except DomainError as error:
            form.refuse(error)
        else:
            if submitted and not parsed.refused:
                toast(f"{len(parsed.accepted)} parcels are being sent.")
                return go_to(url_for("queue.run", run_id=submitted[0].run_id))
            page = render_template("orders/ship_file.html", form=form, parsed=parsed, submitted=submitted)
            return page, 200 if submitted else 422
    return render_form("orders/ship_file.html", form=form, parsed=parsed, submitted=[])


@bp.get("/<int:order_id>/label")
@requires("orders.write")
def label(order_id: int) -> AnyResponse:
    """TikTok's label of a platform-shipped order; its address is valid for 24 hours, so it is asked for at each click."""
    find(order_id)
    try:
        document = ship.label(order_id)
    except (DomainError, ApiError) as error:
        toast(str(error) if isinstance(error, DomainError) else f"{describe(error).title}: {error}", "danger")
        return go_to(url_for("orders.order", order_id=order_id))
    return redirect(document.url, 303)


@bp.route("/<int:order_id>/parcels/<int:parcel_id>/tracking", methods=["GET", "POST"])
@requires("orders.write")
def tracking(order_id: int, parcel_id: int) -> AnyResponse | str:
    """Correct carrier or tracking number of a parcel within 72 hours after it was sent (TTS §5.5.4)."""
    order = find(order_id)
    parcel = db.session.get(Shipment, parcel_id)
    if parcel is None or parcel.order_id != order_id:
        return go_to(url_for("orders.order", order_id=order_id))
    form = TrackingForm(data={"carrier": parcel.provider_name, "number": parcel.tracking_number})
    if form.validate_on_submit():
        with form.catching():
            try:
                outcome = tracking_numbers.correct(parcel_id, form.number.data, form.carrier.data, actor=events.actor_now.get())
            except ApiError as error:
                raise DomainError(error.code, f"{describe(error).title}: {error}", describe(error).advice) from error
            flash(outcome.message, "success")
            return go_to(url_for("orders.order", order_id=order_id))
    return render_form("orders/tracking.html", form=form, order=order, parcel=parcel, carriers=[one.name for one in known_providers(order.account_id)])


@bp.post("/<int:order_id>/tracking")
@requires("orders.write")
def settle_tracking(order_id: int) -> AnyResponse:
    """Whose number is right where TikTok shows another one than the order's parcel has: ``answer`` ours or theirs."""
    find(order_id)
    try:
        toast(tracking_numbers.settle(order_id, request.form.get("answer", ""), actor=events.actor_now.get()))
    except (DomainError, ApiError) as error:
        toast(_in_words(error), "danger")
    return go_to(url_for("orders.order", order_id=order_id, _anchor="packages"))


@bp.app_errorhandler(RequestEntityTooLarge)
def too_large(error: RequestEntityTooLarge) -> tuple[str, int]:
    """A file beyond what the server takes at all."""
    return render_template(
        "errors/error.html",
        status=413,
        title="The file is too large",
        text="Files of up to 2 MB are taken.",
        remedy="Split the file and upload its parts.",
        reference="",
        code="web.too_large",
    ), 413
