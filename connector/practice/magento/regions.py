"""Countries and their regions with Magento's own region ids (excerpt of the directory tables)."""

from __future__ import annotations

from .storage import Doc

_US = """AL:Alabama AK:Alaska AS:American_Samoa AZ:Arizona AR:Arkansas AE:Armed_Forces_Africa AA:Armed_Forces_Americas
AE:Armed_Forces_Canada AE:Armed_Forces_Europe AE:Armed_Forces_Middle_East AP:Armed_Forces_Pacific CA:California CO:Colorado
CT:Connecticut DE:Delaware DC:District_of_Columbia FM:Federated_States_Of_Micronesia FL:Florida GA:Georgia GU:Guam HI:Hawaii
ID:Idaho IL:Illinois IN:Indiana IA:Iowa KS:Kansas KY:Kentucky LA:Louisiana ME:Maine MH:Marshall_Islands MD:Maryland
MA:Massachusetts MI:Michigan MN:Minnesota MS:Mississippi MO:Missouri MT:Montana NE:Nebraska NV:Nevada NH:New_Hampshire
NJ:New_Jersey NM:New_Mexico NY:New_York NC:North_Carolina ND:North_Dakota MP:Northern_Mariana_Islands OH:Ohio OK:Oklahoma
OR:Oregon PW:Palau PA:Pennsylvania PR:Puerto_Rico RI:Rhode_Island SC:South_Carolina SD:South_Dakota TN:Tennessee TX:Texas
UT:Utah VT:Vermont VI:Virgin_Islands VA:Virginia WA:Washington WV:West_Virginia WI:Wisconsin WY:Wyoming"""
_CA = """AB:Alberta BC:British_Columbia MB:Manitoba NL:Newfoundland_and_Labrador NB:New_Brunswick NS:Nova_Scotia
NT:Northwest_Territories NU:Nunavut ON:Ontario PE:Prince_Edward_Island QC:Quebec SK:Saskatchewan YT:Yukon_Territory"""
_NAMES = {
    "US": ("USA", "United States"),
    "CA": ("CAN", "Canada"),
    "GB": ("GBR", "United Kingdom"),
    "IE": ("IRL", "Ireland"),
    "DE": ("DEU", "Germany"),
    "FR": ("FRA", "France"),
    "ES": ("ESP", "Spain"),
    "IT": ("ITA", "Italy"),
    "NL": ("NLD", "Netherlands"),
    "BE": ("BEL", "Belgium"),
    "AT": ("AUT", "Austria"),
    "PL": ("POL", "Poland"),
    "PT": ("PRT", "Portugal"),
    "SE": ("SWE", "Sweden"),
    "MX": ("MEX", "Mexico"),
    "BR": ("BRA", "Brazil"),
    "SG": ("SGP", "Singapore"),
    "MY": ("MYS", "Malaysia"),
    "TH": ("THA", "Thailand"),
    "VN": ("VNM", "Vietnam"),
    "PH": ("PHL", "Philippines"),
    "ID": ("IDN", "Indonesia"),
    "JP": ("JPN", "Japan"),
    "AU": ("AUS", "Australia"),
    "HK": ("HKG", "Hong Kong SAR China"),
    "MO": ("MAC", "Macao SAR China"),
    "PA": ("PAN", "Panama"),
    "CH": ("CHE", "Switzerland"),
}
REGION_REQUIRED = {"US", "CA", "BR", "MX"}
ZIP_OPTIONAL = {"HK", "IE", "MO", "PA", "GB"}


def _regions(text: str, first: int) -> list[Doc]:
    rows = [entry.split(":") for entry in text.split()]
    return [{"id": str(first + n), "code": code, "name": name.replace("_", " ")} for n, (code, name) in enumerate(rows)]


_REGIONS = {"US": _regions(_US, 1), "CA": _regions(_CA, 66)}


def _country(code: str) -> Doc:
    three, name = _NAMES[code]
    shown = {
        "id": code,
        "two_letter_abbreviation": code,
        "three_letter_abbreviation": three,
        "full_name_locale": name,
        "full_name_english": name,
    }
    if code in _REGIONS:
        shown["available_regions"] = _REGIONS[code]
    return shown


COUNTRIES: dict[str, Doc] = {code: _country(code) for code in _NAMES}


def complete_region(address: Doc) -> None:
    """Fill in region id, code and name from whichever of id and code is given; a name alone is not enough (MAG §4.4.4)."""
    for region in _REGIONS.get(address.get("country_id") or "", ()):
        if str(address.get("region_id") or "") == region["id"] or address.get("region_code") == region["code"]:
            address.update(region_id=int(region["id"]), region_code=region["code"], region=region["name"])
            return
