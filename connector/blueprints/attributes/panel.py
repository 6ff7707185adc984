"""What the form of one attribute shows: its mappings, the values of the chosen Magento attribute, and the suggestions for them (A124, A138)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.blueprints.attributes.forms import MappingForm
from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain.attribute_mapping import AttributeMapping
from connector.domain.listing_category import CategoryAttribute as Attribute
from connector.domain.suggestions import MagentoAttribute, suggest_values
from connector.models.account import Account
from connector.models.listing import CategoryAttribute, MappingRow
from connector.services.attributes import mapping, suggest
from connector.services.attributes.merge import Fetched, misfit

#: Names of the value-by-value fields begin so.
VALUE = "value-"


@dataclass
class ValueRow:
    """One Magento option: the TikTok value it is mapped to, ``suggested`` by how many percent when nobody has saved it, what it gets ``by_name``."""

    option: str
    label: str
    chosen: str
    suggested: int = 0
    by_name: str = ""
    lost: str = ""


@dataclass
class Panel:
    """The form of one attribute with everything around it."""

    row: CategoryAttribute
    offered: Attribute | None
    fetched: Fetched
    store: list[MagentoAttribute]
    mappings: list[tuple[MappingRow, AttributeMapping]]
    mapping_id: int | None
    current: AttributeMapping | None
    form: MappingForm
    posted_values: dict[str, str]
    values: list[ValueRow] = field(default_factory=list)
    value_errors: dict[str, str] = field(default_factory=dict)
    users: dict[int, list[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, row_id: int, given: Mapping[str, Any], *, posted: bool = False) -> Panel:
        """``given``: the query string or what was posted. Raises ``NotFoundError``."""
        row = mapping.attribute_row(row_id)
        fetched = Fetched.load(db.session(), row.account_id)
        store = suggest.store_attributes(db.session.get_one(Account, row.account_id).magento_id)
        mappings = mapping.of_attribute(row_id)
        mapping_id, current = _chosen(mappings, given)
        posted_values = {name.removeprefix(VALUE): value for name, value in given.items() if name.startswith(VALUE)} if posted else {}
        offered = fetched.offered(row.attribute_id, current.categories if current else ())
        if offered is not None:  # long lists are typed by name
            posted_values = {option: value if value in offered.values else offered.value_named(value) or value for option, value in posted_values.items()}
        filled: dict[str, Any] = (
            {} if posted else {"formdata": None, "data": _data(row, current, given, offered, any(not each.categories for _, each in mappings))}
        )
        form = MappingForm(row, offered, store, fetched, **filled)
        panel = cls(row, offered, fetched, store, mappings, mapping_id, current, form, posted_values)
        panel.values = panel._value_rows(posted)
        panel.users = mapping.used_by([each.id for each, _ in mappings])
        return panel

    @property
    def store_attribute(self) -> MagentoAttribute | None:
        return next((each for each in self.store if each.code == self.form.magento_attribute.data), None)

    @property
    def suggestions(self) -> list[dict[str, Any]]:
        return [] if self.row.removed_at else self.row.suggestions

    @property
    def requiring(self) -> list[str]:
        """Names of the categories that require it."""
        rows = self.fetched.facts
        return [self.fetched.label(key) for key in self.row.categories if rows[key].attributes[self.row.attribute_id].is_required]

    @property
    def category_names(self) -> list[str]:
        return [self.fetched.label(key) for key in self.row.categories]

    @property
    def misfit(self) -> str:
        return misfit(self.current, self.fetched) if self.current else ""

    def label_of(self, body: AttributeMapping) -> str:
        if not body.categories:
            return "All categories"
        first = self.fetched.label(body.categories[0])
        return first if len(body.categories) == 1 else f"{first} and {len(body.categories) - 1} more"

    def refuse(self, error: DomainError) -> None:
        """Show a refusal beside its field; a value's beside its option."""
        if (error.field or "").startswith(VALUE):
            self.value_errors[str(error.field).removeprefix(VALUE)] = str(error)
            self.form.form_errors.append(str(error))
        else:
            self.form.refuse(error)

    def _value_rows(self, posted: bool) -> list[ValueRow]:
        """Options of the chosen Magento attribute. A value that a person gave stays; open ones are filled in with a suggestion and marked as such."""
        attribute, offered = self.store_attribute, self.offered
        if attribute is None or offered is None or not attribute.options or not offered.values:
            return []
        saved = self.current.values if self.current and self.current.magento_attribute == attribute.code else {}
        same = posted and any(option in self.posted_values for option in attribute.options)
        guesses = {each.option_id: each for each in suggest_values(offered.values, attribute.options)}
        rows = []
        for option, label in attribute.options.items():
            chosen = self.posted_values.get(option, "") if same else saved.get(option, "") or saved.get(label, "")
            guess, suggested = guesses.get(option), 0
            if guess is not None and not saved and (chosen == guess.value_id or (not chosen and not same)):
                chosen, suggested = guess.value_id, guess.confidence
            by_name = offered.values.get(offered.value_named(label), "")
            rows.append(ValueRow(option, label, chosen, suggested, by_name, "" if not chosen or chosen in offered.values else chosen))
        return rows


def _chosen(mappings: list[tuple[MappingRow, AttributeMapping]], given: Mapping[str, Any]) -> tuple[int | None, AttributeMapping | None]:
    """The mapping that is asked for: by number, by scope, else the first; none for a new one."""
    asked = str(given.get("mapping") or "")
    for row, body in mappings:
        if str(row.id) == asked:
            return row.id, body
    if asked == "new" or not mappings:
        return None, None
    first = mappings[0]
    scope = given.get("scope") if not asked else None
    if scope == "all" and first[1].categories:
        return None, None
    if scope == "chosen":
        first = next((pair for pair in mappings if pair[1].categories), (None, None))  # type: ignore[assignment]
    return (first[0].id, first[1]) if first[0] is not None else (None, None)


def _data(row: CategoryAttribute, current: AttributeMapping | None, given: Mapping[str, Any], offered: Attribute | None, all_taken: bool) -> dict[str, Any]:
    """What the form shows at first."""
    data: dict[str, Any] = {"source": "magento", "scope": "all", "attach": current is None}
    if current is not None:
        data |= current.model_dump(include={"source", "magento_attribute", "recommended_values", "custom_value", "categories"})
        data["scope"] = "chosen" if current.categories else "all"
    elif given.get("scope") == "chosen" or all_taken:
        data["scope"] = "chosen"
    if asked := str(given.get("suggest") or ""):
        data |= {"source": "magento", "magento_attribute": asked}
    return data
