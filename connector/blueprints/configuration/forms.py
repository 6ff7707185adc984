"""Forms of the Configuration page. Secret fields are never filled in: blank keeps what is stored."""

from __future__ import annotations

from wtforms import BooleanField, IntegerField, PasswordField, SelectField, StringField, TextAreaField
from wtforms.validators import Length, NumberRange

from connector.web.forms import Form, Required, time_zone_choices

KEEP = "Leave blank to keep the stored one."
SECRET = {"autocomplete": "new-password"}


class TikTokAppForm(Form):
    takes_keys = True

    app_key = StringField("App key", [Length(max=100)], description="From Partner Center > App & Service.", render_kw={"autocomplete": "off"})
    app_secret = PasswordField("App secret", [Length(max=200)], description=KEEP, render_kw=SECRET)
    service_id = StringField(
        "Service ID", [Length(max=60)], description="Part of the authorisation link; it is not the app key.", render_kw={"autocomplete": "off"}
    )


class MagentoForm(Form):
    takes_keys = True

    base_url = StringField(
        "Base URL",
        [Required("Enter the address of your store"), Length(max=500)],
        description="Such as https://shop.example.com",
        render_kw={"autocomplete": "off"},
    )
    auth_kind = SelectField(
        "Access",
        choices={"oauth1": "OAuth 1.0a: four keys (works with every 2.4)", "bearer": "Access token alone (Bearer)"},
        description="A bearer token needs the setting Allow OAuth Access Tokens to be used as standalone Bearer tokens from 2.4.4 on.",
    )
    consumer_key = PasswordField("Consumer key", [Length(max=200)], description="From Magento: System > Integrations.", render_kw=SECRET)
    consumer_secret = PasswordField("Consumer secret", [Length(max=200)], render_kw=SECRET)
    access_token = PasswordField("Access token", [Length(max=200)], render_kw=SECRET)
    access_token_secret = PasswordField("Access token secret", [Length(max=200)], description=KEEP, render_kw=SECRET)
    parallel_slots = IntegerField(
        "Parallel writers",
        [NumberRange(1, 16, "Enter a number from 1 to 16")],
        default=2,
        description="How many orders are written at once. Two suit most stores.",
    )
    signing_base_url = StringField(
        "Signing base URL", [Length(max=500)], description="For experts: only where Magento stands behind a TLS proxy and believes it is reached by http."
    )


class GeneralForm(Form):
    time_zone = SelectField("Time zone", choices=time_zone_choices, description="For reports and deadlines; each user has one of their own too.")
    log_retention_days = IntegerField(
        "Log retention (days)", [NumberRange(1, 3650, "Enter 1 to 3650 days")], description="Older API calls and finished runs are removed."
    )
    debug_log = BooleanField("Debug Log", description="Shows below which scheduled task ran, when and with what outcome.")


class MailForm(Form):
    takes_keys = True

    smtp_url = PasswordField("Mail server", [Length(max=300)], description=f"smtp://host:port or smtps://user:password@host:port. {KEEP}", render_kw=SECRET)
    sender = StringField("Sender", [Length(max=254)], description="Such as connector@your-shop.com.")


class NotificationsForm(Form):
    recipients = TextAreaField("Recipients", description="E-mail addresses, one a line.")
    authorisation = BooleanField("An authorisation ends or has ended")
    failures = BooleanField("Orders fail, or an OMS does not collect its feeds")
    deadlines = BooleanField("A deadline of TikTok's comes near or has passed")
    ship_hours = IntegerField(
        "Warn before shipping deadlines (hours)", [NumberRange(1, 240, "Enter 1 to 240 hours")], default=24, description="Ship by, and automatic cancellation."
    )
    answer_hours = IntegerField(
        "Warn before answers are due (hours)",
        [NumberRange(1, 240, "Enter 1 to 240 hours")],
        default=6,
        description="Cancellation requests and returns; a first warning comes when half of the time is over.",
    )


class GoLiveForm(Form):
    staging_url = StringField(
        "Staging storefront", [Length(max=500)], description="Its address. The go-live check opens it as a stranger and expects 401 or 403."
    )
    no_staging = BooleanField("There is no staging storefront")
