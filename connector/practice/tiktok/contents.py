"""The check of a product body without its SKUs (TTS §5.3.8), and the body in the marketplace's own form."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import refusals as codes
from .brands import brand_of, why_unusable
from .categories import check_version, find, permission, required_ids, rules_of
from .findings import Findings, decimals, listed, nested, number, text, whole
from .orderbook import Document
from .refusals import Refusal
from .texts import check_description, check_title
from .traits import Attribute, attributes, conditions
from .tree import Node
from .uploads import MAIN_SIDES, picture_row

if TYPE_CHECKING:
    from .marketplace import Marketplace

MAIN_IMAGES = 9
CERTIFICATES = 10
VALUE_CHARACTERS = 2000
EXTERNAL_CHARACTERS = 999
WEIGHT_DECIMALS = {"KILOGRAM": 3, "POUND": 2}
# kept as they were sent and shown again
PLAIN_FIELDS = (
    *("video", "delivery_option_ids", "shipping_template_id", "is_cod_allowed", "manufacturer_ids", "responsible_person_ids", "minimum_order_quantity"),
    *("is_not_for_sale", "listing_platforms", "shipping_insurance_requirement", "is_pre_owned", "primary_combined_product_id", "scheduled_sale", "locale"),
    *("auto_translate_enabled", "search_terms", "key_product_features", "purchase_order_quantity_limit", "selling_format", "is_blind_box", "is_live_quick"),
)


def check_content(found: Findings, market: Marketplace, shop: Document, body: Document, product_id: str | None) -> tuple[Document, Node | None]:
    """Content in the form of get product, and its category when that is a usable one. Problems go to `found`."""
    title, description = text(body, "title"), text(body, "description")
    for name, value in (("title", title), ("description", description)):
        if value is None:
            found.wrong(codes.BAD_REQUEST, f"param body.{name} is missing", absent=name != "title")
    if title is not None:
        check_title(found, shop, title)
    if description is not None:
        check_description(found, market, description)
    content: Document = {"title": title or "", "description": description or ""}
    content |= {name: body[name] for name in PLAIN_FIELDS if body.get(name) is not None}
    node = _category(found, market, shop, body, content)
    content["main_images"] = _main_images(found, market, body)
    _external_id(found, market, shop, body, content, product_id)
    rules = rules_of(market, node) if node else {}
    if node is not None:
        content["brand"] = _brand(found, market, body, node)
        content["product_attributes"] = _product_attributes(found, market, body, node)
        _certificates(found, market, body, content, rules)
        _size_chart(found, market, body, content, rules)
    _package(found, shop, body, content, dimensions_needed=rules.get("package_dimension", {}).get("is_required", False))
    return content, node


def _category(found: Findings, market: Marketplace, shop: Document, body: Document, content: Document) -> Node | None:
    category_id = text(body, "category_id")
    content["category_id"] = category_id or ""
    if category_id is None:
        found.wrong(codes.CATEGORY_MISSING, "category_id is missing", absent=True)
        return None
    try:
        content["category_version"] = check_version(shop, text(body, "category_version"))
        node = find(market, category_id, content["category_version"])
    except Refusal as refusal:
        if refusal.code == codes.BAD_REQUEST:
            raise
        found.wrong(refusal.code, refusal.message)
        return None
    refused = {
        "PROHIBITED": (codes.CATEGORY_PROHIBITED, "is prohibited for this shop"),
        "INVITE_ONLY": (codes.CATEGORY_INVITE_ONLY, "is open by invitation only"),
        "NON_MAIN_CATEGORY": (codes.CATEGORY_NOT_IN_RANGE, "is not in the shop's range"),
    }.get(permission(market, node))
    if refused:
        found.wrong(refused[0], f"the category {node.name} {refused[1]}")
    return node


def _main_images(found: Findings, market: Marketplace, body: Document) -> list[Document]:
    wanted = listed(body, "main_images")
    if not wanted:
        found.wrong(codes.MAIN_IMAGE_MISSING, "main_images is missing: at least one main image is needed", absent=True)
    if len(wanted) > MAIN_IMAGES:
        found.wrong(codes.MAIN_IMAGE_COUNT, f"main_images holds {len(wanted)} images, at most {MAIN_IMAGES} are allowed")
    images = []
    for entry in wanted:
        row = picture_row(market, entry.get("uri"))
        if row is None:
            found.wrong(codes.MAIN_IMAGE_URI, f"the main image {entry.get('uri')} is not an uploaded image")
        elif row["use_case"] != "MAIN_IMAGE" and not (MAIN_SIDES[0] <= min(row["width"], row["height"]) and max(row["width"], row["height"]) <= MAIN_SIDES[1]):
            found.wrong(codes.MAIN_IMAGE_USE_CASE, f"the main image {row['uri']} was uploaded as {row['use_case']} and is no main image by its size")
        else:
            images.append({"uri": row["uri"], "width": row["width"], "height": row["height"]})
    return images


def _external_id(found: Findings, market: Marketplace, shop: Document, body: Document, content: Document, product_id: str | None) -> None:
    external = text(body, "external_product_id")
    if external is None:
        return
    content["external_product_id"] = external
    if len(external) > EXTERNAL_CHARACTERS:
        found.wrong(codes.EXTERNAL_ID_INVALID, f"external_product_id has {len(external)} characters, at most {EXTERNAL_CHARACTERS} are allowed")
        return
    query = "SELECT id FROM products WHERE shop_id = ? AND external_id = ? AND status != 'DELETED' AND id != ?"
    other = market.store.read.execute(query, (shop["id"], external, product_id or "")).fetchone()
    if other:
        found.wrong(codes.EXTERNAL_ID_TAKEN, f"external_product_id {external} belongs to product {other['id']} already")


def _brand(found: Findings, market: Marketplace, body: Document, node: Node) -> Document | None:
    """A brand that cannot be used is cleared with a warning."""
    brand_id = text(body, "brand_id")
    if brand_id is None:
        return None
    brand = brand_of(market, brand_id)
    if brand is None:
        found.wrong(codes.BRAND_INVALID, f"brand_id {brand_id} does not exist")
        return None
    if why := why_unusable(brand, node):
        if market.settings.refuse_unusable_brand:
            found.wrong(*why)
        else:
            found.warn(f"brand_id {brand_id} was cleared: {why[1]}")
        return None
    return {"id": brand_id, "name": brand["name"]}


# -- attributes ---------------------------------------------------------------------------------------------------------------------------


def _product_attributes(found: Findings, market: Marketplace, body: Document, node: Node) -> list[Document]:
    known = attributes(node.traits)
    kept: dict[str, Document] = {}
    emptied: set[str] = set()
    for entry in listed(body, "product_attributes"):
        attribute = known.get(text(entry, "id", "body.product_attributes") or "")
        if attribute is None or attribute.sales:
            found.warn(f"product attribute {entry.get('id')} was cleared: the category {node.name} has no such product attribute")
            continue
        if attribute.id in kept:
            found.wrong(codes.INPUT_INVALID, f"product attribute {attribute.id} ({attribute.name}) is given twice")
            continue
        values = _values(found, attribute, listed(entry, "values", "body.product_attributes"))
        if values:
            kept[attribute.id] = {"id": attribute.id, "name": attribute.name, "values": values}
        else:
            emptied.add(attribute.id)
    required = required_ids(market, node)
    for attribute in known.values():
        if attribute.sales or attribute.id in kept:
            continue
        named = f"product attribute {attribute.id} ({attribute.name})"
        met = next((each for each in conditions(attribute, known) if _holds(each, kept)), None)
        if attribute.id in required and attribute.id in emptied:
            found.wrong(codes.ATTRIBUTE_VALUES_UNUSABLE, f"required {named} has no usable value")
        elif attribute.id in required:
            found.wrong(codes.ATTRIBUTE_MISSING, f"required {named} is missing", absent=True)
        elif met is not None:
            cause = known[met["attribute_id"]]
            because = f"{cause.name} is {cause.value_of(met['attribute_value_id'])}"
            found.wrong(codes.ATTRIBUTE_CONDITIONAL, f"{named} is missing: it is required because {because}", absent=True)
    return list(kept.values())


def _holds(condition: Document, kept: dict[str, Document]) -> bool:
    values = kept.get(condition["attribute_id"], {}).get("values", [])
    return any(value["id"] == condition["attribute_value_id"] for value in values)


def _values(found: Findings, attribute: Attribute, wanted: list[Document]) -> list[Document]:
    """Usable values; `id` wins over `name`. What the attribute does not allow is cleared with a warning."""
    kept: list[Document] = []
    label = f"product attribute {attribute.id} ({attribute.name})"
    for value in wanted:
        value_id, name = text(value, "id", "body.product_attributes.values"), text(value, "name", "body.product_attributes.values")
        known = attribute.value_of(value_id) if value_id else None
        if known is None and value_id is None and name in attribute.values:
            known = name
        if known is not None:
            kept.append({"id": attribute.value_id(known), "name": known})
        elif value_id is not None:
            found.warn(f"{label}: the value id {value_id} was cleared, it does not exist")
        elif name is None:
            found.warn(f"{label}: an empty value was cleared")
        elif attribute.number and ((amount := number(name)) is None or amount <= 0):
            found.warn(f"{label}: the value {name} was cleared, it is not a positive number")
        elif attribute.values and not attribute.custom:
            found.warn(f"{label}: the value {name} was cleared, values of one's own are not allowed")
        elif len(name) > VALUE_CHARACTERS:
            found.wrong(codes.INPUT_INVALID, f"{label}: a value has {len(name)} characters, at most {VALUE_CHARACTERS} are allowed")
        else:
            kept.append({"id": "", "name": name})
    names = [value["name"] for value in kept]
    if len(names) != len(set(names)):
        found.wrong(codes.INPUT_INVALID, f"{label}: a value is given twice")
    if len(kept) > 1 and not attribute.multiple:
        found.wrong(codes.INPUT_INVALID, f"{label} takes one value only")
    return kept


# -- documents ----------------------------------------------------------------------------------------------------------------------------


def _certificates(found: Findings, market: Marketplace, body: Document, content: Document, rules: Document) -> None:
    given = listed(body, "certifications")
    if len(given) > CERTIFICATES:
        found.wrong(codes.INPUT_INVALID, f"certifications holds {len(given)} entries, at most {CERTIFICATES} are allowed")
    present: dict[str, Document] = {}
    for entry in given:
        pictures = [each for each in listed(entry, "images", "body.certifications") if picture_row(market, each.get("uri")) is not None]
        if len(pictures) < len(listed(entry, "images", "body.certifications")):
            found.wrong(codes.CERTIFICATE_MISSING, f"certification {entry.get('id')} names an image that is not an uploaded image")
        if pictures or listed(entry, "files", "body.certifications"):
            present[text(entry, "id", "body.certifications") or ""] = entry
    kept = {attribute["id"]: attribute for attribute in content["product_attributes"]}
    for rule in rules["product_certifications"]:
        needed = rule["is_required"] or any(_holds(each, kept) for each in rule["requirement_conditions"])
        entry = present.get(rule["id"])
        if entry is None and needed:
            found.wrong(codes.CERTIFICATE_MISSING, f"the certificate {rule['id']} ({rule['name']}) is missing", absent=True)
        elif entry is not None and rule["expiration_date"]["is_required"]:
            expires = whole(entry, "expiration_date", "body.certifications")
            if expires is None or expires <= market.clock.now():
                when = "missing" if expires is None else f"over since {datetime.fromtimestamp(expires, UTC):%Y-%m-%d}"
                found.wrong(codes.CERTIFICATE_MISSING, f"the expiration_date of the certificate {rule['id']} ({rule['name']}) is {when}")
    if present:
        content["certifications"] = list(present.values())


def _size_chart(found: Findings, market: Marketplace, body: Document, content: Document, rules: Document) -> None:
    """A chart that the category does not support is ignored silently; a template wins over an image."""
    chart = nested(body, "size_chart")
    if not rules["size_chart"]["is_supported"]:
        return
    if template := nested(chart, "template", "body.size_chart").get("id"):
        content["size_chart"] = {"template": {"id": template}}
    elif row := picture_row(market, nested(chart, "image", "body.size_chart").get("uri")):
        content["size_chart"] = {"image": {"uri": row["uri"]}}
    elif rules["size_chart"]["is_required"]:
        found.wrong(codes.SIZE_CHART_REQUIRED, "a size chart is required in this category", absent=True)


def _package(found: Findings, shop: Document, body: Document, content: Document, *, dimensions_needed: bool) -> None:
    weight, size = nested(body, "package_weight"), nested(body, "package_dimensions")
    content |= {name: value for name, value in (("package_weight", weight), ("package_dimensions", size)) if value}
    imperial = {"POUND": "package_weight", "INCH": "package_dimensions"}
    if shop["region"] != "US":
        for unit, name in imperial.items():
            if unit in (weight.get("unit"), size.get("unit")):
                found.wrong(codes.IMPERIAL_OUTSIDE_US, f"{name}: the unit {unit} is for the US only")
    _weight(found, weight)
    if not size:
        if dimensions_needed:
            found.wrong(codes.DIMENSIONS_MISSING, "package_dimensions is missing", absent=True)
        return
    if size.get("unit") not in ("CENTIMETER", "INCH"):
        found.wrong(codes.DIMENSIONS_INVALID, f"package_dimensions: the unit {size.get('unit')} is not CENTIMETER or INCH")
    for name in ("length", "width", "height"):
        value = number(size.get(name))
        if value is None or value <= 0 or decimals(value):
            found.wrong(codes.DIMENSIONS_INVALID, f"package_dimensions: {name} {size.get(name)} is not a positive whole number")
    pair = (weight.get("unit"), size.get("unit"))
    if pair == ("KILOGRAM", "INCH"):
        found.wrong(codes.METRIC_WEIGHT_IMPERIAL_SIZE, "package_weight is metric, package_dimensions imperial")
    elif pair == ("POUND", "CENTIMETER"):
        found.wrong(codes.IMPERIAL_WEIGHT_METRIC_SIZE, "package_weight is imperial, package_dimensions metric")


def _weight(found: Findings, weight: Document) -> None:
    if not weight:
        found.wrong(codes.WEIGHT_INVALID, "package_weight is missing", absent=True)
        return
    value, unit = number(weight.get("value")), weight.get("unit")
    if unit not in WEIGHT_DECIMALS:
        found.wrong(codes.WEIGHT_INVALID, f"package_weight: the unit {unit} is not valid in this market")
    if value is None:
        found.wrong(codes.WEIGHT_INVALID, f"package_weight: {weight.get('value')} is not a number")
    elif value == Decimal():
        found.wrong(codes.WEIGHT_ZERO, "package_weight must be above 0")
    elif unit in WEIGHT_DECIMALS and decimals(value) > WEIGHT_DECIMALS[unit]:
        found.wrong(codes.WEIGHT_INVALID, f"package_weight: {weight['value']} {unit} has more than {WEIGHT_DECIMALS[unit]} decimals")


def changed_fields(before: Document, after: Document) -> list[str]:
    """`changed_fields` of webhook 15."""
    named = [name for name in ("title", "description", "main_images", "product_attributes") if before.get(name) != after.get(name)]
    charts: list[Any] = [before.get("size_chart"), after.get("size_chart")]
    if charts[0] != charts[1]:
        named.append("size_chart_template" if any(chart and "template" in chart for chart in charts) else "size_chart_image")
    rest = (set(before) | set(after)) - {"title", "description", "main_images", "product_attributes", "size_chart"}
    return named + ["others"] * any(before.get(name) != after.get(name) for name in rest)
