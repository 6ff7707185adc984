"""TikTok's address as Magento accepts it (TTS §5.4.5, MAG §4.4.4 "Address hygiene")."""

from __future__ import annotations

from typing import Any

import pytest

from connector.domain.magento_address import Region, read_address

TEXAS = Region(57, "TX", "Texas")
GB: dict[str, Any] = {
    "name": "Ann Example", "first_name": "Ann", "last_name": "Example", "phone_number": "(+44)7700900123", "region_code": "GB", "postal_code": "AB1 2CD",
    "address_line1": "1 Sample Street", "address_line2": "Flat 2", "post_town": "Sampleton",
    "district_info": [{"address_level": "L0", "address_level_name": "Country", "address_name": "United Kingdom"}, {"address_level": "L1", "address_name": "England"}],
}  # fmt: skip
US: dict[str, Any] = GB | {
    "region_code": "US", "postal_code": "73301", "post_town": None,
    "district_info": [
        {"address_level": "L0", "address_level_name": "Country", "address_name": "United States", "iso_code": "US"},
        {"address_level": "L1", "address_level_name": "State", "address_name": "Texas", "iso_code": "US-TX"},
        {"address_level": "L2", "address_level_name": "County", "address_name": "Travis"},
        {"address_level": "L3", "address_level_name": "City", "address_name": "Austin"},
    ],
}  # fmt: skip


def test_a_british_address_takes_the_post_town_and_needs_no_region() -> None:
    address = read_address(GB, [])
    assert (address.firstname, address.lastname, address.street, address.city, address.postcode) == (
        "Ann",
        "Example",
        ("1 Sample Street", "Flat 2"),
        "Sampleton",
        "AB1 2CD",
    )
    assert (address.missing, address.masked, address.region_id) == ((), False, None)
    assert "region_id" not in address.as_magento("a@b.example")


@pytest.mark.parametrize("name", ["Texas", "TX", "texas"])
def test_an_american_state_is_found_in_magentos_directory(name: str) -> None:
    levels = [level | ({"address_name": name, "iso_code": ""} if level["address_level"] == "L1" else {}) for level in US["district_info"]]
    address = read_address(US | {"district_info": levels}, [Region(1, "AL", "Alabama"), TEXAS])
    assert (address.city, address.region_id, address.region_code, address.region) == ("Austin", 57, "TX", "Texas")


def test_the_iso_code_of_the_level_finds_the_state_too() -> None:
    levels = [level | ({"address_name": "Lone Star State"} if level["address_level"] == "L1" else {}) for level in US["district_info"]]
    assert read_address(US | {"district_info": levels}, [TEXAS]).region_id == 57


@pytest.mark.parametrize(
    ("changes", "regions", "missing"),
    [
        ({"address_line1": "", "address_line2": "", "address_detail": ""}, [TEXAS], ("street",)),
        ({"district_info": []}, [TEXAS], ("city", "region that Magento knows")),
        ({"postal_code": ""}, [TEXAS], ("postcode",)),
        ({}, [Region(1, "AL", "Alabama")], ("region that Magento knows",)),
        ({"region_code": "XX"}, None, ("country that Magento's store allows (XX)",)),
        ({"region_code": "GB", "postal_code": ""}, [], ()),
    ],
)
def test_what_magento_would_refuse_is_named(changes: dict[str, Any], regions: list[Region] | None, missing: tuple[str, ...]) -> None:
    assert read_address(US | changes, regions).missing == missing


def test_masking_is_taken_out_and_placeholders_put_in() -> None:
    address = read_address(GB | {"name": "J*** D***", "first_name": "J***", "last_name": "***", "phone_number": "(+1)***67"}, [])
    assert (address.firstname, address.lastname, address.telephone, address.masked) == ("J", "Buyer", "0000000000", True)
    assert "*" not in str(address)
    hidden = read_address({"region_code": "GB", "name": "***", "address_line1": "***", "phone_number": "***"}, [])
    assert (hidden.firstname, hidden.street, hidden.city, hidden.missing) == ("TikTok", ("Hidden by TikTok",), "Hidden by TikTok", ())


@pytest.mark.parametrize(
    ("first", "last", "name", "expected"),
    [
        ("", "", "Buyer 0042 Example", ("Buyer 0042", "Example")),
        ("Buyer 0042 Example", "", "", ("Buyer 0042", "Example")),
        ("Madonna", "", "Madonna", ("Madonna", "Buyer")),
        ("Zoë 🎁", "O'Example-Smith ✨", "", ("Zoë", "O'Example-Smith ✨")),
        ("🎁", "", "🎁", ("TikTok", "Buyer")),
        ("👩‍👩‍👧 Ann", "Example", "", ("Ann", "Example")),
    ],
)
def test_names_are_split_and_lose_what_magentos_tables_cannot_hold(first: str, last: str, name: str, expected: tuple[str, str]) -> None:
    address = read_address(GB | {"first_name": first, "last_name": last, "name": name}, [])
    assert (address.firstname, address.lastname) == expected


@pytest.mark.parametrize(
    ("town", "city"), [("St. Example's", "St Example's"), ("Ville 9 (Nord)", "Ville Nord"), ("Stoke-on-Trent", "Stoke-on-Trent"), ("Düsseldorf", "Düsseldorf")]
)
def test_a_city_has_letters_only_as_newer_magento_wants_it(town: str, city: str) -> None:
    assert read_address(GB | {"post_town": town}, []).city == city
