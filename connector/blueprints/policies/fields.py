"""Fields of the policies' forms that offer what is known: Magento's attributes, sources and TikTok's warehouses.

Nothing is offered before it was imported; then the same field is free text. A value that is known no more stays, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wtforms import SelectField, SelectMultipleField
from wtforms.fields.choices import Choice
from wtforms.widgets import CheckboxInput, ListWidget

from connector.services import magento

#: Policy field -> Magento's input types of the attributes that can hold it; () for all.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "price_attribute": ("price",),
    "cost_attribute": ("price",),
    "main_image_attribute": ("media_image",),
    "alternate_sku_attribute": ("text",),
    "send_only": (),
    "react_only": (),
}
#: First in a long list: what people look for (A079).
_USUAL = ("name", "price", "quantity", "description", "image", "weight", "special_price", "short_description", "color", "size", "manufacturer")
#: The stock is no attribute in Magento, and can be chosen all the same.
_BESIDE = {"quantity": "Quantity"}


def known_attributes() -> dict[str, dict[str, str]]:
    """The choices of each field that has any, as code: "Label (code)"."""
    rows = [
        (row.code, row.label or row.code, str((row.data or {}).get("frontend_input") or (row.data or {}).get("input") or ""))
        for row in magento.known("attribute")
    ]
    unique = {code: (label, kind) for code, label, kind in rows}
    if not unique:
        return {}
    found: dict[str, dict[str, str]] = {}
    for field, inputs in ATTRIBUTES.items():
        choices = {code: label for code, (label, kind) in unique.items() if not inputs or kind in inputs}
        if not inputs:
            choices = {**choices, **_BESIDE}
        if choices:
            usual = [code for code in _USUAL if code in choices]
            ordered = [*usual, *sorted((code for code in choices if code not in usual), key=lambda code: choices[code].casefold())]
            found[field] = {code: f"{choices[code]} ({code})" for code in ordered}
    return found


class KnownField(SelectField):
    """A select of what is known; another value is kept and shown as not known."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, validate_choice=False, **kwargs)
        self.type = "SelectField"

    def iter_choices(self) -> Iterator[Choice]:
        known = super().iter_choices()
        yield from known
        if self.data and self.data not in {choice.value for choice in known}:
            yield _unknown(self.data)


class KnownListField(SelectMultipleField):
    """Tick boxes of what is known, the ticked ones first; others are kept and shown as not known."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, validate_choice=False, **kwargs)

    def process_data(self, value: Any) -> None:
        """A policy's list as a form shows it: one code a line."""
        super().process_data(value.split() if isinstance(value, str) else value)

    def process_formdata(self, valuelist: list[str]) -> None:
        self.data = list(dict.fromkeys(code for value in valuelist for code in value.replace(",", " ").split()))

    def iter_choices(self) -> Iterator[Choice]:
        known = super().iter_choices()
        names = {choice.value for choice in known}
        yield from (choice for choice in known if choice.selected)
        yield from (_unknown(code) for code in self.data or () if code not in names)
        yield from (choice for choice in known if not choice.selected)


def _unknown(code: str) -> Choice:
    return Choice(code, f"{code} (not known in Magento)", True, {})
