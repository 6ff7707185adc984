"""Customers and customer groups (MAG §4.7)."""

from __future__ import annotations

from .catalog import bad_attribute
from .checkout import EMAIL
from .emails import log_email
from .errors import RestError, no_such, required
from .numbers import now
from .regions import COUNTRIES, complete_region
from .routing import ANONYMOUS, Call, route
from .schema import mysql_text
from .search_criteria import document_columns, search_docs, search_list, snake
from .storage import Doc

CUSTOMER = "Magento_Customer::customer"
MANAGE = "Magento_Customer::manage"
GROUP = "Magento_Customer::group"
_COLUMNS = document_columns(
    {
        "entity_id": "int",
        "id": "int",
        "email": "str",
        "firstname": "str",
        "lastname": "str",
        "website_id": "int",
        "store_id": "int",
        "group_id": "int",
        "created_at": "date",
        "updated_at": "date",
    }
)
_COLUMNS["entity_id"] = _COLUMNS["id"]
DUPLICATE = "A customer with the same email address already exists in an associated website."


@route("GET", "/V1/customers/search", CUSTOMER)
def search(call: Call) -> Doc:
    criteria = call.criteria()
    rows, total = search_docs(call.db, "customer", _COLUMNS, criteria, unknown=bad_attribute, repeat_last_page=call.repeats_last_page)
    return call.found(criteria, rows, total)


@route("GET", "/V1/customers/:customerId", CUSTOMER)
def get_customer(call: Call, customer_id: str) -> Doc:
    customer = call.db.get("customer", int(customer_id)) if customer_id.isdigit() else None
    if customer is None:
        raise no_such("customerId", int(customer_id) if customer_id.isdigit() else customer_id)
    return customer


@route("POST", "/V1/customers", ANONYMOUS)
def create(call: Call) -> Doc:
    """Creates and sends the welcome email: there is no switch."""
    customer = save(call, call.param("customer"))
    log_email(call.db, "welcome", None, customer["email"])
    return customer


@route("PUT", "/V1/customers/:customerId", MANAGE)
def update(call: Call, customer_id: str) -> Doc:
    given = {snake(key): value for key, value in call.param("customer").items()}
    customer = {**get_customer(call, customer_id)}
    for name in ("email", "firstname", "lastname", "group_id", "store_id"):
        if given.get(name) is not None:
            customer[name] = given[name]
    if given.get("addresses") is not None:  # replaces the whole list
        customer["addresses"] = _addresses(call, given["addresses"], customer)
    customer["updated_at"] = now()
    call.db.put("customer", customer["id"], customer)
    return customer


def save(call: Call, raw: Doc) -> Doc:
    """Validate and insert a customer of a request."""
    given = {snake(key): value for key, value in raw.items()}
    missing = [name for name in ("firstname", "lastname", "email") if not given.get(name)]
    if missing:
        raise required(*missing)
    email = mysql_text(str(given["email"]))
    if not EMAIL.fullmatch(email):
        raise RestError(400, '"%1" is not a valid email address.', [email])
    website = int(given.get("website_id") or call.store["website_id"] or 1)
    store = next((s for s in call.world["stores"] if s["id"] == given.get("store_id")), None)
    store = store or next(s for s in call.world["stores"] if s["website_id"] == website)
    sql = "json_extract(doc,'$.email') COLLATE NOCASE = ? AND json_extract(doc,'$.website_id') = ?"
    if call.db.where("customer", sql, email, website):
        raise RestError(400, DUPLICATE)
    at = now()
    customer: Doc = {
        "group_id": given.get("group_id") or 1,
        "created_at": at,
        "updated_at": at,
        "created_in": store["name"],
        "email": email,
        "firstname": given["firstname"],
        "lastname": given["lastname"],
        "store_id": store["id"],
        "website_id": website,
        "addresses": [],
        "disable_auto_group_change": 0,
        "extension_attributes": {"is_subscribed": False},
    }
    addresses = given.get("addresses") or []
    _check(addresses)
    call.db.add("customer", customer, "id")
    customer["addresses"] = _addresses(call, addresses, customer)
    customer = {"id": customer["id"], **customer}
    call.db.put("customer", customer["id"], customer)
    return customer


def _check(addresses: list[Doc]) -> None:
    for raw in addresses:
        address = {snake(key): value for key, value in raw.items()}
        names = ("firstname", "lastname", "street", "city", "telephone", "postcode")
        missing = [name for name in names if not address.get(name)]
        if address.get("country_id") not in COUNTRIES:
            missing.append("countryId")
        if missing:
            raise required(*missing)


def _addresses(call: Call, given: list[Doc], customer: Doc) -> list[Doc]:
    _check(given)
    shown = []
    for raw in given:
        address = {snake(key): value for key, value in raw.items()}
        region = {**(address.pop("region", None) or {})}
        flat = {"country_id": address["country_id"], **region}
        flat.setdefault("region_id", address.get("region_id"))
        complete_region(flat)
        kept = {key: address[key] for key in ("country_id", "street", "company", "telephone", "postcode", "city") if address.get(key)}
        row = {
            "id": address.get("id") or call.db.next("customer_address"),
            "customer_id": customer["id"],
            "region": {key: flat.get(key) for key in ("region_code", "region", "region_id")},
            "region_id": flat.get("region_id") or 0,
            **kept,
            "firstname": address["firstname"],
            "lastname": address["lastname"],
        }
        for kind in ("shipping", "billing"):
            if address.get(f"default_{kind}"):
                row[f"default_{kind}"] = True
                customer[f"default_{kind}"] = str(row["id"])
        shown.append(row)
    return shown


@route("POST", "/V1/customers/isEmailAvailable", ANONYMOUS)
def is_email_available(call: Call) -> bool:
    """False for an address that has an account, as 2.4.6 answers."""
    website = int(call.param("websiteId", None) or call.store["website_id"] or 1)
    sql = "json_extract(doc,'$.email') COLLATE NOCASE = ? AND json_extract(doc,'$.website_id') = ?"
    return not call.db.where("customer", sql, str(call.param("customerEmail")), website)


@route("GET", "/V1/customerGroups/search", GROUP)
def groups(call: Call) -> Doc:
    criteria = call.criteria()
    rows, total = search_list(call.world["customer_groups"], criteria)
    return call.found(criteria, rows, total)


@route("GET", "/V1/customerGroups/default/:storeId", GROUP)
def default_group(call: Call, store_id: str) -> Doc:
    return next(g for g in call.world["customer_groups"] if g["id"] == 1)
