"""Tax classes, rates and rules: kept and searched, never computed with (MAG §4.7)."""

from __future__ import annotations

from .errors import RestError
from .routing import Call, route
from .search_criteria import search_list, snake
from .storage import Doc

TAX = "Magento_Tax::manage_tax"


def _search(call: Call, name: str) -> Doc:
    criteria = call.criteria()
    rows, total = search_list(call.world[name], criteria)
    return call.found(criteria, rows, total)


def _add(call: Call, name: str, given: Doc) -> Doc:
    if any(row["code"] == given["code"] for row in call.world[name]):
        raise RestError(400, "%1 already exists.", ["Code"])
    entry = {"id": call.db.next(name), **given}
    call.db.set_config("world", {**call.world, name: [*call.world[name], entry]})
    return entry


@route("GET", "/V1/taxClasses/search", TAX)
def classes(call: Call) -> Doc:
    return _search(call, "tax_classes")


@route("GET", "/V1/taxRates/search", TAX)
def rates(call: Call) -> Doc:
    return _search(call, "tax_rates")


@route("POST", "/V1/taxRates", TAX)
def add_rate(call: Call) -> Doc:
    given = {snake(key): value for key, value in call.param("taxRate").items()}
    return _add(call, "tax_rates", {"titles": [], **given})


@route("GET", "/V1/taxRules/search", TAX)
def rules(call: Call) -> Doc:
    return _search(call, "tax_rules")


@route("POST", "/V1/taxRules", TAX)
def add_rule(call: Call) -> Doc:
    return _add(call, "tax_rules", {snake(key): value for key, value in call.param("rule").items()})
