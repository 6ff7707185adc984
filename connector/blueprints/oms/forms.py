"""Forms of the OMS pages."""

from __future__ import annotations

from flask_wtf.file import FileField
from wtforms import BooleanField, IntegerField, PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.validators import Length
from wtforms.widgets import CheckboxInput, ListWidget

from connector.services.oms.connection import FORMATS, Choice
from connector.web.forms import Form, Required


class ConnectionForm(Form):
    """How an account's OMS is connected; the addresses, formats and minutes are judged by the service."""

    active = BooleanField("Connected", description="Off: no feed, no pull, no drop folder, and its events are refused.")
    feed_formats = SelectMultipleField(
        "Formats",
        choices=FORMATS,
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
        description="None: no feed. JSON Lines has one order a line, CSV one line item a row.",
    )
    feed_minutes = IntegerField("Feed every (minutes)", [Required()])
    notify_url = StringField(
        "Feed-ready address",
        [Length(max=500)],
        description="Is called, signed, for every new feed. Blank: your OMS asks for feeds itself.",
        render_kw={"autocomplete": "off"},
    )
    pull_url = StringField("Pull address", [Length(max=500)], description="Is asked for statuses. Blank: nothing is pulled.", render_kw={"autocomplete": "off"})
    pull_token = PasswordField(
        "Pull token",
        [Length(max=500)],
        description="Leave blank to keep the stored one while the address stays the same.",
        render_kw={"autocomplete": "new-password"},
    )
    pull_minutes = IntegerField("Pull every (minutes)", [Required()])
    drop_folder = BooleanField("Watch the drop folder", description="Files of updates that are put into the folder are taken in.")

    def choice(self) -> Choice:
        return Choice(**{**self.values(), "feed_formats": tuple(self.feed_formats.data or ())})


class UploadForm(Form):
    """A file of updates for one account."""

    account = SelectField("Account", coerce=int, validators=[Required()])
    file = FileField(
        "File", description="CSV or JSON, at most 2 MB. Columns: order_id, action; optional: tracking_number, carrier, sku, quantity, reason, event_id."
    )
