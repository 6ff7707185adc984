"""TikTok's recipient address as Magento accepts it (TTS §5.4.5, MAG §4.4.4 "Address hygiene").

Masking characters are taken out and placeholders put in where nothing is left; emoji go, because Magento's tables cannot hold them; regions are
found in Magento's own directory, because a name alone is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: A postcode may be missing there, in a store with default settings; elsewhere Magento refuses the address (MAG §4.4.4).
POSTCODE_OPTIONAL = frozenset({"HK", "IE", "MO", "PA", "GB"})
#: Magento wants a region of its directory there.
REGION_REQUIRED = frozenset({"US", "CA", "BR", "MX"})

FIRST_NAME, LAST_NAME, PHONE, HIDDEN = "TikTok", "Buyer", "0000000000", "Hidden by TikTok"
_CITY = re.compile(r"[^\w\s',\-]|[\d_]")


@dataclass(frozen=True, slots=True)
class Region:
    """One region of Magento's directory."""

    region_id: int
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class RecipientAddress:
    """An address in Magento's words. ``missing`` names what Magento would refuse it for; ``masked`` that placeholders stand in."""

    firstname: str
    lastname: str
    street: tuple[str, ...]
    city: str
    postcode: str
    country_id: str
    telephone: str
    region: str = ""
    region_id: int | None = None
    region_code: str = ""
    missing: tuple[str, ...] = ()
    masked: bool = False

    def as_magento(self, email: str = "") -> dict[str, Any]:
        """The body of a cart or order address."""
        body: dict[str, Any] = {
            "firstname": self.firstname, "lastname": self.lastname, "street": list(self.street), "city": self.city, "postcode": self.postcode,
            "country_id": self.country_id, "telephone": self.telephone,
        }  # fmt: skip
        if self.region or self.region_id:
            body["region"] = self.region
        if self.region_id:
            body |= {"region_id": self.region_id, "region_code": self.region_code}
        return body | ({"email": email} if email else {})


def read_address(address: Mapping[str, Any], regions: Sequence[Region] | None, *, directory: bool = True) -> RecipientAddress:
    """``regions``: Magento's directory of the address's country ([] when it lists none, None when Magento does not know the country).

    Without a ``directory`` the store takes regions as they are written."""
    masked = "*" in "".join(str(address.get(key) or "") for key in ("name", "first_name", "last_name", "phone_number", "address_line1", "full_address"))
    first, last = _names(address)
    country = _text(address.get("region_code")).upper()
    levels = [level for level in address.get("district_info") or () if isinstance(level, Mapping)]
    state = _level(levels, lambda level: level.get("address_level") == "L1")
    region = _region(state, levels, regions or ())
    street = tuple(line for key in ("address_line1", "address_line2", "address_line3", "address_line4") if (line := _clean(address.get(key))))
    street = street or tuple(line for line in (_clean(address.get("address_detail")),) if line)
    city, postcode = _city(address, levels), _clean(address.get("postal_code"))
    if masked:
        street = street or (HIDDEN,)
        city = city or HIDDEN
        postcode = postcode or ("" if country in POSTCODE_OPTIONAL else "00000")
    missing = [
        name
        for name, present in (
            ("street", street), ("city", city), ("country", country), ("postcode", postcode or country in POSTCODE_OPTIONAL),
            ("region that Magento knows", region or not directory or country not in REGION_REQUIRED),
        )
        if not present
    ]  # fmt: skip
    if country and regions is None:
        missing.append(f"country that Magento's store allows ({country})")
    return RecipientAddress(
        firstname=first, lastname=last, street=street, city=city, postcode=postcode, country_id=country, telephone=_phone(address.get("phone_number")),
        region=region.name if region else state, region_id=region.region_id if region else None, region_code=region.code if region else "",
        missing=tuple(missing), masked=masked,
    )  # fmt: skip


def country_of(address: Mapping[str, Any] | None) -> str:
    """The country code of a TikTok address, empty without one."""
    return _text((address or {}).get("region_code")).upper()


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _clean(value: object) -> str:
    """Without masking, without characters beyond Magento's three-byte text, without what only joined them."""
    text = _text(value).replace("*", " ")
    kept = "".join(
        char for char in text if ord(char) <= 0xFFFF and unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co") and char not in "\ufe0e\ufe0f\u20e3"
    )
    return " ".join(kept.split())[:255]


def _names(address: Mapping[str, Any]) -> tuple[str, str]:
    """First and last name. ``last_name`` may be empty, and then ``first_name`` is the whole name (TTS §5.4.5)."""
    first, last = _clean(address.get("first_name")), _clean(address.get("last_name"))
    if not last:
        first, _, last = (first or _clean(address.get("name"))).rpartition(" ")
        if not first:
            first, last = last, ""
    return first[:255] or FIRST_NAME, last or LAST_NAME


def _phone(value: object) -> str:
    """A masked number is of no use to anybody; Magento wants one all the same."""
    text = _text(value)
    return text[:60] if text and "*" not in text and any(map(str.isdigit, text)) else PHONE


def _level(levels: Sequence[Mapping[str, Any]], chosen: Any) -> str:
    return next((name for level in reversed(levels) if chosen(level) and (name := _clean(level.get("address_name")))), "")


def _city(address: Mapping[str, Any], levels: Sequence[Mapping[str, Any]]) -> str:
    """The deepest level that is called a city, else ``post_town``, else the deepest level; in letters only, as newer Magento wants it."""
    city = _level(levels, lambda level: _text(level.get("address_level_name")).casefold() in ("city", "town", "municipality"))
    city = (
        city
        or _clean(address.get("post_town"))
        or _level(levels, lambda level: level.get("address_level") not in ("L0", None))
        or _level(levels, lambda _: True)
    )
    return " ".join(_CITY.sub(" ", city).split())


def _region(state: str, levels: Sequence[Mapping[str, Any]], regions: Sequence[Region]) -> Region | None:
    """By name, by code, or by the ISO code of the level (``US-TX`` or ``TX``)."""
    first = next((level for level in levels if level.get("address_level") == "L1"), {})
    iso = _text(first.get("iso_code")).upper().rpartition("-")[2]
    wanted = {state.casefold(), iso.casefold()} - {""}
    by_name = next((region for region in regions if region.name.casefold() in wanted), None)
    return by_name or next((region for region in regions if region.code.casefold() in wanted), None)
