"""What the bodies of all policies share: their field types, what is missing in them and what is worth knowing about them (A058)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Filled = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Code = Annotated[str, StringConstraints(strip_whitespace=True, max_length=60, pattern=r"^[A-Za-z][A-Za-z0-9_]*$|^$")]
Units = Annotated[int, Field(ge=0, le=1_000_000)]
Money = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=4)]
Minutes = Annotated[int, Field(ge=1, le=10_080)]


class Problem(NamedTuple):
    """Why a policy is not valid: the field, what is wrong, what to do."""

    field: str
    message: str
    remedy: str


class PolicyBody(BaseModel):
    """What all bodies share. ``title`` of a field is its label on screen, ``description`` its help text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def missing(self) -> list[Problem]:
        """Mandatory details that are not there yet."""
        return []

    def remarks(self) -> list[str]:
        """What is allowed and yet worth knowing: settings that do nothing together, or risk something."""
        return [text for name, info in type(self).model_fields.items() if getattr(self, name) is True and (text := warning(info))]


def warning(info: FieldInfo) -> str:
    """The warning of a switch that risks something when it is on; "" for every other field."""
    extra = info.json_schema_extra
    return str(extra.get("warning", "")) if isinstance(extra, dict) else ""


def refused(field: str, words: str) -> PydanticCustomError:
    """Two fields that cannot be right together; shown beside ``field``."""
    return PydanticCustomError("together", "{words}", {"field": field, "words": words})
