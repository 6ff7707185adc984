"""Forms of the order desk."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask_wtf.file import FileField
from wtforms import DateField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import Length, Optional

from connector.domain import tiktok_order as tiktok
from connector.domain.rejection import REASONS
from connector.web.forms import Form, Required


class ImportForm(Form):
    """The Import Orders pop-up (A183-A187). Days are whole days in the user's time zone."""

    account = SelectField("Account", coerce=int, validators=[Required()])
    status = SelectField("Status", choices={"": "Any status", **tiktok.LABELS})
    start = DateField("From", validators=[Optional()])
    end = DateField("To", validators=[Optional()])
    order_id = StringField(
        "Order Id", validators=[Length(max=4000)], description="One or several TikTok order ids, separated by spaces. The other fields are then not used."
    )

    def window(self, zone: ZoneInfo) -> dict[str, datetime | None]:
        """``start`` (included) and ``end`` (the whole last day included), aware."""
        return {
            "start": datetime.combine(self.start.data, time(), zone) if self.start.data else None,
            "end": datetime.combine(self.end.data + timedelta(days=1), time(), zone) if self.end.data else None,
        }


class RejectForm(Form):
    """Why an order is rejected (A206)."""

    reason = RadioField("Reason", choices=REASONS, validators=[Required("Choose a reason")])


class ShipFileForm(Form):
    """Tracking numbers from a file (A207)."""

    file = FileField("CSV file", description="Columns: order number, carrier, tracking number; optional: SKU, quantity. At most 2 MB.")


class NoteForm(Form):
    """A note on an order."""

    text = TextAreaField("Note", validators=[Required("Enter the note"), Length(max=2000)])


class TrackingForm(Form):
    """Correct the tracking of a parcel that TikTok has."""

    carrier = StringField("Carrier", validators=[Required(), Length(max=120)])
    number = StringField("Tracking number", validators=[Required(), Length(max=60)])


def account_choices(accounts: Any) -> dict[int, str]:
    return {account.id: account.title for account in accounts}
