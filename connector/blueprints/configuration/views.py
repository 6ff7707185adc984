"""Configuration: one page, one form a subject; the outbox of mail that was kept on screen (A249)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, render_template, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.configuration.forms import GeneralForm, GoLiveForm, MagentoForm, MailForm, NotificationsForm, TikTokAppForm
from connector.core.db import db
from connector.models.account import PRODUCTION, SANDBOX, MagentoConnection, OutgoingMail
from connector.models.run import JobRun
from connector.services import accounts, magento, mail, settings
from connector.web.auth import requires
from connector.web.forms import Form, render_form
from connector.web.htmx import go_to, toast

bp = Blueprint("configuration", __name__, url_prefix="/configuration")

DEBUG_RUNS = 50
SECTIONS: dict[str, type[Form]] = {
    "tiktok": TikTokAppForm,
    "magento": MagentoForm,
    "general": GeneralForm,
    "mail": MailForm,
    "notifications": NotificationsForm,
    "go_live": GoLiveForm,
}


@bp.get("/")
@requires("configuration.read")
def index() -> Response:
    """Everything that can be configured."""
    return _page()


@bp.post("/tiktok")
@requires("configuration.write")
def save_tiktok() -> Any:
    """The TikTok app: one app serves all accounts."""
    form = TikTokAppForm()
    if form.validate_on_submit():
        with form.catching():
            settings.save_tiktok_app(**form.values(), actor=current_user.email)
        if not form.summary:
            return _saved("The TikTok app", "tiktok")
    return _page("tiktok", form)


@bp.post("/magento")
@requires("configuration.write")
def save_magento() -> Any:
    """The Magento connection: saved, then tested."""
    form = MagentoForm()
    if form.validate_on_submit():
        row = None
        with form.catching():
            row = magento.save(environment=PRODUCTION, **form.values(), actor=current_user.email)
        if row is not None:
            return _tested(row)
    return _page("magento", form)


@bp.post("/magento/<int:magento_id>/test")
@requires("configuration.write")
def test_magento(magento_id: int) -> AnyResponse:
    """Test connection."""
    return _tested(magento.get(magento_id))


@bp.post("/magento/practice")
@requires("configuration.write")
def practice_store() -> AnyResponse:
    """Connect the practice store (again)."""
    accounts.use_practice_store(actor=current_user.email)
    toast("The practice store is connected.")
    return go_to(url_for("configuration.index", _anchor="magento"))


@bp.post("/general")
@requires("configuration.write")
def save_general() -> Any:
    """Time zone, log retention, debug log."""
    form = GeneralForm()
    if form.validate_on_submit():
        with form.catching():
            settings.save_general(**form.values(), actor=current_user.email)
        if not form.summary:
            return _saved("The general settings", "general")
    return _page("general", form)


@bp.post("/mail")
@requires("configuration.write")
def save_mail() -> Any:
    """The mail server."""
    form = MailForm()
    if form.validate_on_submit():
        with form.catching():
            mail.save_server(url=form.smtp_url.data or "", sender=form.sender.data or "", actor=current_user.email)
        if not form.summary:
            return _saved("The mail server", "mail")
    return _page("mail", form)


@bp.post("/notifications")
@requires("configuration.write")
def save_notifications() -> Any:
    """Who is told what."""
    form = NotificationsForm()
    if form.validate_on_submit():
        recipients = [line.strip() for line in (form.recipients.data or "").splitlines() if line.strip()]
        with form.catching():
            settings.save_notifications(**{**form.values(), "recipients": recipients}, actor=current_user.email)
        if not form.summary:
            return _saved("The notifications", "notifications")
    return _page("notifications", form)


@bp.post("/go-live")
@requires("configuration.write")
def save_go_live() -> Any:
    """The staging storefront that the go-live check looks at."""
    form = GoLiveForm()
    if form.validate_on_submit():
        with form.catching():
            settings.save_staging(url=form.staging_url.data or "", none=form.no_staging.data, actor=current_user.email)
        if not form.summary:
            return _saved("The staging storefront", "go_live")
    return _page("go_live", form)


@bp.get("/outbox")
@requires("configuration.read")
def outbox() -> str:
    """Mail that was sent, waits, failed, or was kept because it belongs to a Sandbox account (A249)."""
    mails = db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id.desc()).limit(200)).all()
    return render_template("configuration/outbox.html", mails=mails)


@bp.post("/outbox/<int:mail_id>/retry")
@requires("configuration.write")
def retry_mail(mail_id: int) -> AnyResponse:
    """Send a failed mail again."""
    mail.requeue(mail_id)
    toast("The mail waits to be sent again.", "info")
    return go_to(url_for("configuration.outbox"))


def _tested(row: MagentoConnection) -> AnyResponse:
    facts = magento.test(row.id)
    if facts["ok"]:
        toast(f"{row.base_url} is connected: everything that a test can see is in place.")
    else:
        toast(f"{facts['problems'][0]['message']} {facts['problems'][0]['remedy']}", "danger")
    return go_to(url_for("configuration.index", _anchor="magento"))


def _saved(what: str, anchor: str) -> AnyResponse:
    toast(f"{what} is saved." if not what.endswith("s") else f"{what} are saved.")
    return go_to(url_for("configuration.index", _anchor=anchor))


def _stored(section: str) -> dict[str, Any]:
    """What a section's form shows before anybody types; never a secret."""
    if section == "tiktok":
        app = settings.tiktok_app(PRODUCTION)
        return {"app_key": app.app_key, "service_id": app.service_id}
    if section == "magento":
        row = magento.connection(PRODUCTION)
        return {} if row is None else {name: getattr(row, name) or "" for name in ("base_url", "auth_kind", "parallel_slots", "signing_base_url")}
    if section == "general":
        return {name: settings.get(name) for name in ("time_zone", "log_retention_days", "debug_log")}
    if section == "mail":
        return {"sender": settings.get("mail.sender")}
    if section == "notifications":
        switches = {name: settings.get(f"notify.{name}") for name in ("authorisation", "failures", "deadlines")}
        hours = {name: settings.get(f"deadlines.{name}") for name in ("ship_hours", "answer_hours")}
        return {"recipients": "\n".join(settings.get("notify.recipients")), **switches, **hours}
    return {"staging_url": settings.get("go_live.staging_url"), "no_staging": settings.get("go_live.no_staging")}


def _page(section: str = "", sent: Form | None = None) -> Response:
    forms = {name: kind(formdata=None, data=_stored(name)) for name, kind in SECTIONS.items()}
    if sent is not None:
        forms[section] = sent
    debug = settings.get("debug_log")
    recent = select(JobRun).where(JobRun.started_by == "scheduler").order_by(JobRun.id.desc()).limit(DEBUG_RUNS)
    return render_form(
        "configuration/index.html",
        form=sent or forms["tiktok"],
        forms=forms,
        sent=section,
        app_source=settings.tiktok_app(PRODUCTION).source,
        app_secret_stored=bool(settings.tiktok_app(PRODUCTION).app_secret),
        callback_url=f"{settings.config().public_url}{url_for('accounts.callback')}",
        smtp_from_environment=bool(settings.config().smtp_url),
        smtp_stored=bool(settings.get("mail.smtp_url")),
        store=magento.connection(PRODUCTION),
        practice=magento.connection(SANDBOX),
        debug_runs=db.session.scalars(recent).all() if debug else None,
    )
