"""What every seeded world of the practice store is made of."""

from __future__ import annotations

from typing import Any

from . import products
from .attributes import attribute
from .auth import new_integration, save_integration
from .catalog import picture_entry
from .inventory import set_source_item
from .numbers import now, num
from .storage import Doc, Tables

SETTINGS: Doc = {
    "version": "2.4.6",
    "bearer": None,
    "maintenance": False,
    "emails": True,
    "legacy_last_page_repeat": False,
    "input_limit": None,
    "leaking_cart_lock": False,
    "base_url": None,
    "msi": True,
    "carriers": {
        "flatrate": {"active": True, "price": 5, "title": "Flat Rate", "name": "Fixed"},
        "freeshipping": {"active": True, "price": 0, "title": "Free Shipping", "name": "Free"},
    },
    "payments": {
        "checkmo": {"active": True, "title": "Check / Money order"},
        "banktransfer": {"active": True, "title": "Bank Transfer Payment"},
        "cashondelivery": {"active": True, "title": "Cash On Delivery"},
        "purchaseorder": {"active": False, "title": "Purchase Order"},
    },
}

MODULES = [
    "Magento_Store",
    "Magento_Config",
    "Magento_AdminNotification",
    "Magento_AdvancedPricingImportExport",
    "Magento_Directory",
    "Magento_Backend",
    "Magento_Eav",
    "Magento_Customer",
    "Magento_Catalog",
    "Magento_CatalogInventory",
    "Magento_Quote",
    "Magento_Sales",
    "Magento_SalesSequence",
    "Magento_Payment",
    "Magento_Checkout",
    "Magento_Shipping",
    "Magento_Tax",
    "Magento_Bundle",
    "Magento_ConfigurableProduct",
    "Magento_GroupedProduct",
    "Magento_Downloadable",
    "Magento_Integration",
    "Magento_Webapi",
    "Magento_WebapiAsync",
    "Magento_AsynchronousOperations",
    "Magento_Inventory",
    "Magento_InventoryApi",
    "Magento_InventoryCatalog",
    "Magento_InventoryIndexer",
    "Magento_InventoryReservations",
    "Magento_InventorySales",
    "Magento_InventorySalesApi",
    "Magento_InventoryShipping",
    "Magento_InventorySourceSelection",
    "Magento_InventorySourceSelectionApi",
    "Magento_InventoryExportStock",
    "Magento_OfflinePayments",
    "Magento_OfflineShipping",
]


def system_attributes() -> list[Doc]:
    """The product attributes of a fresh store that a connector meets."""
    text = {"is_searchable": "1", "is_visible_in_advanced_search": "1", "scope": "store"}
    rows = [
        attribute(
            73,
            "name",
            "Product Name",
            "text",
            "varchar",
            is_required=True,
            used_for_sort_by=True,
            used_in_product_listing="1",
            frontend_class="validate-length maximum-length-255",
            **text,
        ),
        attribute(
            74,
            "sku",
            "SKU",
            "text",
            "static",
            is_required=True,
            is_unique="1",
            is_comparable="1",
            is_searchable="1",
            is_visible_in_advanced_search="1",
            backend_model="Magento\\Catalog\\Model\\Product\\Attribute\\Backend\\Sku",
            frontend_class="validate-length maximum-length-64",
        ),
        attribute(75, "description", "Description", "textarea", "text", is_wysiwyg_enabled=True, **text),
        attribute(76, "short_description", "Short Description", "textarea", "text", is_wysiwyg_enabled=True, **text),
        attribute(77, "price", "Price", "price", "decimal", is_required=True, used_in_product_listing="1"),
        attribute(78, "special_price", "Special Price", "price", "decimal", used_in_product_listing="1"),
        attribute(79, "special_from_date", "Special Price From Date", "date", "datetime"),
        attribute(80, "special_to_date", "Special Price To Date", "date", "datetime"),
        attribute(81, "cost", "Cost", "price", "decimal"),
        attribute(82, "weight", "Weight", "weight", "decimal"),
        attribute(84, "meta_title", "Meta Title", "text", "varchar", scope="store"),
        attribute(87, "image", "Base", "media_image", "varchar", scope="store"),
        attribute(88, "small_image", "Small", "media_image", "varchar", scope="store"),
        attribute(89, "thumbnail", "Thumbnail", "media_image", "varchar", scope="store"),
        attribute(
            97,
            "status",
            "Enable Product",
            "select",
            "int",
            scope="website",
            source_model="Magento\\Catalog\\Model\\Product\\Attribute\\Source\\Status",
            default_value="1",
        ),
        attribute(
            99, "visibility", "Visibility", "select", "int", scope="store", source_model="Magento\\Catalog\\Model\\Product\\Visibility", default_value="4"
        ),
        attribute(117, "country_of_manufacture", "Country of Manufacture", "select", "varchar", scope="website"),
        attribute(121, "url_key", "URL Key", "text", "varchar", scope="store"),
        attribute(
            127,
            "shipment_type",
            "Ship Bundle Items",
            "select",
            "int",
            is_required=True,
            source_model="Magento\\Bundle\\Model\\Product\\Attribute\\Source\\Shipment\\Type",
            default_value="0",
            options=[{"value": "0", "labels": {"0": "Together"}}, {"value": "1", "labels": {"0": "Separately"}}],
        ),
        attribute(135, "swatch_image", "Swatch", "media_image", "varchar", scope="store"),
        attribute(
            136, "tax_class_id", "Tax Class", "select", "int", scope="website", default_value="2", source_model="Magento\\Tax\\Model\\TaxClass\\Source\\Product"
        ),
    ]
    extra = (
        "options_container:varchar url_path:varchar required_options:static has_options:static category_ids:static"
        " image_label:varchar small_image_label:varchar thumbnail_label:varchar meta_keyword:text meta_description:varchar"
        " msrp:decimal msrp_display_actual_price_type:varchar gallery:varchar media_gallery:static minimal_price:decimal"
        " news_from_date:datetime news_to_date:datetime tier_price:decimal created_at:static updated_at:static"
        " quantity_and_stock_status:int custom_design:varchar page_layout:varchar gift_message_available:varchar"
    )
    for number, entry in enumerate(extra.split()):
        code, backend = entry.split(":")
        rows.append(attribute(200 + number, code, code.replace("_", " ").title(), "text", backend))
    return rows


def category(category_id: int, parent: Doc | None, name: str, position: int) -> Doc:
    at = now()
    path = f"{parent['path']}/{category_id}" if parent else str(category_id)
    return {
        "id": category_id,
        "parent_id": parent["id"] if parent else 0,
        "name": name,
        "is_active": True,
        "position": position,
        "level": path.count("/"),
        "path": path,
        "created_at": at,
        "updated_at": at,
    }


def store(store_id: int, code: str, name: str, website: int, group: int, **more: Any) -> Doc:
    return {
        "id": store_id,
        "code": code,
        "name": name,
        "website_id": website,
        "store_group_id": group,
        "is_active": 1,
        "locale": "en_US",
        "currency": None,
        **more,
    }


ADMIN_WEBSITE = {"id": 0, "code": "admin", "name": "Admin", "default_group_id": 0}
ADMIN_GROUP = {"id": 0, "website_id": 0, "root_category_id": 0, "default_store_id": 0, "name": "Default", "code": "default"}
ADMIN_STORE = store(0, "admin", "Admin", 0, 0)

COMMON: Doc = {
    "base_currency": "USD",
    "modules": MODULES,
    "tax_classes": [
        {"class_id": 2, "class_name": "Taxable Goods", "class_type": "PRODUCT"},
        {"class_id": 3, "class_name": "Retail Customer", "class_type": "CUSTOMER"},
    ],
    "tax_rates": [
        {"id": 1, "tax_country_id": "US", "tax_region_id": 12, "region_name": "CA", "tax_postcode": "*", "rate": 8.25, "code": "US-CA-*-Rate 1", "titles": []},
        {"id": 2, "tax_country_id": "US", "tax_region_id": 43, "region_name": "NY", "tax_postcode": "*", "rate": 8.375, "code": "US-NY-*-Rate 1", "titles": []},
    ],
    "tax_rules": [],
    "customer_groups": [
        {"id": number, "code": code, "tax_class_id": 3, "tax_class_name": "Retail Customer"}
        for number, code in enumerate(("NOT LOGGED IN", "General", "Wholesale", "Retailer"))
    ],
    "attribute_sets": [{"attribute_set_id": 4, "attribute_set_name": "Default", "sort_order": 1, "entity_type_id": 4}],
}


def source(code: str, name: str, postcode: str, **more: Any) -> Doc:
    return {"source_code": code, "name": name, "enabled": True, **more, "country_id": more.get("country_id", "US"), "postcode": postcode}


DEFAULT_SOURCE = source("default", "Default Source", "00000", description="Default Source", latitude=0, longitude=0)


def add_product(
    db: Tables,
    sku: str,
    name: str,
    price: Any,
    weight: Any,
    categories: list[int],
    websites: list[int],
    *,
    stock: dict[str, Any] | None = None,
    pictures: tuple[str, ...] = (),
    attributes: Doc | None = None,
    **fields: Any,
) -> Doc:
    """One product with its pictures and source items (`{source: quantity}`)."""
    media = [
        picture_entry(
            db.next("media"), label if "." in label else f"{label}.png", label.partition(".")[0], n + 1, ["image", "small_image", "thumbnail"] if n == 0 else []
        )
        for n, label in enumerate(pictures)
    ]
    fields.setdefault("url_key", products.url_key(name))
    if db.one("SELECT 1 FROM product WHERE url_key = ?", fields["url_key"]):
        fields["url_key"] = f"{fields['url_key']}-{products.url_key(sku)}"
    product = products.new_product(
        db,
        sku,
        name,
        websites,
        price=num(price),
        weight=None if weight is None else num(weight),
        category_ids=categories,
        media=media,
        attributes={"tax_class_id": "2", **(attributes or {})},
        **fields,
    )
    for code, quantity in (stock or {}).items():
        set_source_item(db, sku, code, quantity, int(quantity > 0))
    return product


def begin(db: Tables, world: Doc, settings: Doc, keep_credentials: bool) -> None:
    """Empty the store, write the world's configuration and one integration with all resources."""
    old = db.where("integration", "1 ORDER BY id") if keep_credentials else []
    db.storage.wipe(db)
    db.set_config("settings", {**SETTINGS, **settings})
    db.set_config("world", {**COMMON, **world})
    for integration in old or [new_integration("Practice connector", "all")]:
        save_integration(db, {key: value for key, value in integration.items() if key != "id"})
