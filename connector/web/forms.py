"""Forms: a base class whose errors read as sentences, and one way to answer an invalid one (422, filled in as it was sent)::

form = AccountForm(obj=account)
if form.validate_on_submit():
    with form.catching(), unit_of_work():
        accounts.save(account, form.values())
    if not form.summary:
        return go_to(url_for("accounts.index"))
return render_form("accounts/edit.html", "accounts/_form.html", form=form)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import available_timezones

from flask import Response
from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, StopValidation

from connector.core.errors import DomainError
from connector.web.htmx import render


class Required(InputRequired):
    """Asks for what is missing ("Enter a price", "Choose a warehouse") instead of "This field is required"."""

    def __call__(self, form: Any, field: Field) -> None:
        raw = field.raw_data[0] if field.raw_data else None
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            field.errors[:] = []
            raise StopValidation(self.message or _ask_for(field))


def _ask_for(field: Field) -> str:
    label = field.label.text
    words = label if label[:2].isupper() else label[:1].lower() + label[1:]
    chosen = isinstance(field, SelectField | SelectMultipleField)
    article = "" if words.startswith(("your ", "the ", "a ", "an ")) else "an " if words[:1] in "aeiou" else "a "
    return f"{'Choose' if chosen else 'Enter'} {article}{words}"


def _strip(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


class Form(FlaskForm):
    """Base form. Text is trimmed (passwords are not); ``errors`` are sentences; ``refuse`` adds a service's refusal."""

    #: The form takes keys beside other things: one that comes back says that they have to be entered again, because a secret is never written into a page.
    takes_keys = False

    class Meta(FlaskForm.Meta):
        def bind_field(self, form: Any, unbound_field: Any, options: dict[str, Any]) -> Any:
            if "Password" not in unbound_field.field_class.__name__:
                options = {**options, "filters": [_strip, *unbound_field.kwargs.get("filters", ())]}
                if unbound_field.field_class.__name__ not in ("StringField", "TextAreaField", "EmailField", "URLField", "TelField"):
                    options.pop("filters")
            return unbound_field.bind(form=form, **options)

    def refuse(self, error: DomainError) -> None:
        """Show a refusal beside its field, or on top of the form."""
        words = f"{error.message} {error.remedy}".strip()
        field = self._fields.get(error.field or "")
        if field is not None:
            field.errors = [*field.errors, words]
        else:
            self.form_errors.append(words)

    @contextmanager
    def catching(self) -> Iterator[None]:
        """A ``DomainError`` inside becomes an error of the form."""
        try:
            yield
        except DomainError as error:
            self.refuse(error)

    @property
    def summary(self) -> list[tuple[str, str]]:
        """(field id or "", sentence) for the error summary, in the form's order."""
        found = [("", text) for text in self.form_errors]
        for field in self:
            found += [(field.id, text) for text in _flat(field.errors)]
        if found and self.takes_keys:
            typed = [field for field in self if isinstance(field, PasswordField) and field.data]
            found += [(field.id, f"{field.label.text} was not saved: enter it again") for field in typed if not field.errors]
        return found

    def values(self) -> dict[str, Any]:
        """The fields' data without the CSRF token and buttons; a text that was not sent at all counts as empty."""
        kept = {name: field for name, field in self._fields.items() if name != "csrf_token" and field.type != "SubmitField"}
        return {name: "" if field.data is None and isinstance(field, StringField) else field.data for name, field in kept.items()}


def _flat(errors: Any) -> list[str]:
    if isinstance(errors, dict):
        return [text for each in errors.values() for text in _flat(each)]
    return [text for each in errors for text in (_flat(each) if isinstance(each, dict | list | tuple) else [str(each)])]


def render_form(page: str, partial: str | None = None, *, form: Form, **context: Any) -> Response:
    """The form's page (or its partial for htmx); 422 when what was sent has errors."""
    status = 422 if form.is_submitted() and form.summary else 200
    return render(page, partial, status, form=form, **context)


def time_zone_choices() -> dict[str, str]:
    zones = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "SystemV/", "posix/", "right/")))
    return {"UTC": "UTC"} | {zone: zone.replace("_", " ") for zone in zones}
