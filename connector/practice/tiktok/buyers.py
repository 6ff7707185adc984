"""Buyers with plainly made-up names, the same for the same number, and their addresses in each market (TTS §5.4.5)."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from .markets import MARKETS, stable_id

GB_TOWNS = (
    *(("Sampleton", "Kent", "ME1 2AB"), ("Upper Testing", "Norfolk", "NR9 4QT"), ("Bristol", "Bristol", "BS1 5TR")),
    *(("Leeds", "West Yorkshire", "LS2 7EE"), ("St. Example's", "Cornwall", "TR1 3XX"), ("Cardiff", "South Glamorgan", "CF10 1AA")),
)
US_TOWNS = (
    *(("Springfield", "Sangamon", "Illinois", "IL", "62701", "0.0625"), ("Austin", "Travis", "Texas", "TX", "73301", "0.0825")),
    *(("Denver", "Denver", "Colorado", "CO", "80202", "0.0881"), ("Portland", "Multnomah", "Oregon", "OR", "97201", "0")),
    *(("Los Angeles", "Los Angeles", "California", "CA", "90012", "0.0950"), ("Albany", "Albany", "New York", "NY", "12207", "0.0800")),
)
SG_TOWNS = (("Tampines", "520123"), ("Bedok", "460210"), ("Jurong West", "640511"), ("Ang Mo Kio", "560330"))
PHONES = {"GB": "(+44)7700900{:03d}", "US": "(+1)2025550{:03d}", "SG": "(+65)90000{:03d}"}


def buyer(region: str, number: int, *, emoji: bool = False, one_field: bool = False) -> dict[str, Any]:
    """`user_id`, `email`, `nickname` and unmasked `address`; `tax_rate` and `state_code` for the US."""
    dice = random.Random(f"{region}-{number}")
    first, last = f"Buyer {number:04d}", "Example" + (" 🎁" if emoji else "")
    address, tax_rate, state_code = _place(region, dice)
    handle = hashlib.sha1(f"{region}-{number}".encode()).hexdigest()[:10]
    return {
        "user_id": stable_id("7021", f"buyer:{region}:{number}"),
        "email": f"{handle}@chat.seller.tiktok.com",
        "nickname": f"buyer{number:04d}" + ("✨" if emoji else ""),
        "tax_rate": tax_rate,
        "state_code": state_code,
        "address": {
            "name": f"{first} {last}",
            "first_name": "" if one_field else first,
            "last_name": "" if one_field else last,
            "phone_number": PHONES[region].format(number % 1000),
            **address,
        },
    }


def _place(region: str, dice: random.Random) -> tuple[dict[str, Any], str, str]:
    house = dice.randint(1, 240)
    country = _level(0, "Country", MARKETS[region].country, region)
    if region == "US":
        city, county, state, code, postcode, tax_rate = dice.choice(US_TOWNS)
        street = f"{house * 10} Example Avenue"
        levels = [country, _level(1, "State", state, f"US-{code}"), _level(2, "County", county), _level(3, "City", city)]
        address = _address(region, street, f"Apt {house % 30}" if house % 3 == 0 else "", postcode, levels, f"{city}, {code} {postcode}")
        return {**address, "delivery_preferences": {"drop_off_location": "Front door"}}, tax_rate, code
    if region == "GB":
        town, county, postcode = dice.choice(GB_TOWNS)
        levels = [country, _level(1, "Nation", "England"), _level(2, "County", county)]
        address = _address(region, f"{house} Sample Street", "", postcode, levels, f"{town}, {postcode}")
        return {**address, "post_town": town}, "0", ""
    town, postcode = dice.choice(SG_TOWNS)
    levels = [country, _level(1, "District", town)]
    return _address(region, f"Blk {house} Example Road", f"#{house % 20:02d}-{house % 99:02d}", postcode, levels, f"Singapore {postcode}"), "0", ""


def _level(number: int, kind: str, name: str, iso: str = "") -> dict[str, str]:
    return {"address_level": f"L{number}", "address_level_name": kind, "address_name": name, "iso_code": iso}


def _address(region: str, line1: str, line2: str, postcode: str, levels: list[dict[str, str]], tail: str) -> dict[str, Any]:
    detail = ", ".join(part for part in (line1, line2) if part)
    return {
        "region_code": region,
        "postal_code": postcode,
        "address_line1": line1,
        "address_line2": line2,
        "address_line3": "",
        "address_line4": "",
        "address_detail": detail,
        "full_address": f"{detail}, {tail}, {MARKETS[region].country}",
        "district_info": levels,
    }


def masked(address: dict[str, Any]) -> dict[str, Any]:
    """Name and phone as platform-shipped orders show them."""
    phone = address["phone_number"]
    return {
        **address,
        **{name: _starred(address[name]) for name in ("name", "first_name", "last_name")},
        "phone_number": phone[: phone.index(")") + 1] + "*" * 7 + phone[-2:],
    }


def _starred(text: str) -> str:
    return " ".join(word[0] + "***" for word in text.split())
