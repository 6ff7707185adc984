"""Countries, regions and currencies; anonymous (MAG §4.1)."""

from __future__ import annotations

from .errors import RestError
from .regions import COUNTRIES
from .routing import ANONYMOUS, Call, route
from .storage import Doc

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


@route("GET", "/V1/directory/currency", ANONYMOUS)
def currency(call: Call) -> Doc:
    base = call.world["base_currency"]
    display = call.store.get("currency") or base
    return {
        "base_currency_code": base,
        "base_currency_symbol": _SYMBOLS.get(base, base),
        "default_display_currency_code": display,
        "default_display_currency_symbol": _SYMBOLS.get(display, display),
        "available_currency_codes": list(call.world["rates"]),
        "exchange_rates": [{"currency_to": code, "rate": rate} for code, rate in call.world["rates"].items()],
    }


@route("GET", "/V1/directory/countries", ANONYMOUS)
def countries(call: Call) -> list:
    return list(COUNTRIES.values())


@route("GET", "/V1/directory/countries/:countryId", ANONYMOUS)
def country(call: Call, code: str) -> Doc:
    if code not in COUNTRIES:
        raise RestError(404, "The country isn't available.")
    return COUNTRIES[code]
