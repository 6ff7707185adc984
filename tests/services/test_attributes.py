"""TikTok attributes: fetched from the practice marketplace over real HTTP, compared, mapped, attached, suggested (A123-A138, A153)."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from connector.clients.errors import Rejected
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import Account
from connector.models.listing import CategoryAttribute, Listing, ListingCategory, MappingRow, TemplateMapping
from connector.models.run import JobItem
from connector.models.trace import Event
from connector.services.attributes import fetch, mapping, suggest
from tests.factories import catalogue, shop

TEES, MUGS, KIDS = "610021", "611421", "610567"
COLOR, MATERIAL, NECKLINE, CARE, CAPACITY, AGE = "100101", "100103", "100107", "100106", "100116", "100145"


def row_of(attribute_id: str) -> CategoryAttribute:
    db.session.commit()
    return db.session.scalars(select(CategoryAttribute).where(CategoryAttribute.attribute_id == attribute_id).execution_options(populate_existing=True)).one()


def value_id(attribute_id: str, name: str) -> str:
    return next(value["id"] for value in row_of(attribute_id).values if value["name"] == name)


def category(category_id: str) -> ListingCategory:
    db.session.commit()
    return db.session.scalars(select(ListingCategory).where(ListingCategory.category_id == category_id).execution_options(populate_existing=True)).one()


def due(listing: Listing) -> bool:
    """Was the listing marked, content included? Clears the mark."""
    db.session.commit()
    with unit_of_work() as session:
        session.refresh(listing)
        marked = listing.due_at is not None and listing.content_due
        listing.due_at, listing.content_due = None, False
    return marked


@pytest.fixture
def tees(account: Account) -> catalogue.ListingTemplate:
    """A template of the T-shirt category with two listings, connected to a store with colours and sizes; its category is fetched."""
    store = catalogue.a_magento()
    with unit_of_work() as session:
        session.get(Account, account.id).magento_id = store.id
    template = catalogue.a_template(account, "Tees", category_id=TEES)
    for number in (1, 2):
        catalogue.a_listing(account, catalogue.a_product(store.id, f"TEE-{number}"), template)
    fetch.ensure(account.id, [TEES])
    return template


def listings() -> list[Listing]:
    return list(db.session.scalars(select(Listing).order_by(Listing.id)))


def test_categories_are_fetched_once_and_make_rows_that_say_what_tiktok_wants(account: Account, tees: catalogue.ListingTemplate, market: shop.Market) -> None:
    """A123, A129-A134"""
    material, color = row_of(MATERIAL), row_of(COLOR)
    assert (material.name, material.type, material.required, material.is_variant, material.category_dependent) == (
        "Material",
        "PRODUCT_PROPERTY",
        True,
        False,
        False,
    )
    assert (color.type, color.is_variant) == ("SALES_PROPERTY", True)
    assert {"Black", "White"} <= {value["name"] for value in color.values}
    fetch.ensure(account.id, [TEES, MUGS])
    calls = market.get("calls")
    fetch.ensure(account.id, [TEES, MUGS])
    assert market.get("calls") == calls  # nothing is asked twice
    assert row_of(NECKLINE).category_dependent
    assert not row_of(COLOR).category_dependent
    assert row_of(COLOR).categories == [category(each).category_id for each in sorted((TEES, MUGS), key=lambda each: category(each).name)]
    facts = fetch.category_facts(account.id, TEES)
    assert (facts.exists, facts.is_leaf, facts.version, facts.name) == (True, True, "", "Women's T-shirts")
    assert facts.attributes[MATERIAL].is_required
    assert not fetch.category_facts(account.id, "9999").exists


def test_a_category_that_cannot_be_fetched_is_named_and_does_not_stop_the_others(
    account: Account, tees: catalogue.ListingTemplate, market: shop.Market
) -> None:
    with pytest.raises(DomainError, match="no category 424242"):
        fetch.ensure(account.id, ["424242", MUGS])
    assert category(MUGS).attributes
    parent = str(category(MUGS).node["parent_id"])
    with pytest.raises(DomainError, match="has subcategories"):
        fetch.ensure(account.id, [parent])
    market.post(f"categories/{KIDS}", leaf=False)
    with pytest.raises((DomainError, Rejected)):
        fetch.ensure(account.id, [KIDS])


def test_a_mapping_is_checked_saved_attached_and_marks_its_products(account: Account, tees: catalogue.ListingTemplate) -> None:
    """A124, A125, A135-A138"""
    material, color = row_of(MATERIAL), row_of(COLOR)
    cotton = value_id(MATERIAL, "Cotton")
    fetch.ensure(account.id, [MUGS])
    capacity = row_of(CAPACITY)
    refusals = (
        (material.id, {"source": ""}, "source"),
        (material.id, {"source": "magento", "magento_attribute": ""}, "magento_attribute"),
        (material.id, {"source": "magento", "magento_attribute": "no_such"}, "magento_attribute"),
        (material.id, {"source": "recommended", "recommended_values": []}, "recommended_values"),
        (material.id, {"source": "recommended", "recommended_values": ["nonsense"]}, "recommended_values"),
        (material.id, {"source": "custom", "custom_value": " "}, "custom_value"),
        (row_of(NECKLINE).id, {"source": "custom", "custom_value": "My own"}, "custom_value"),
        (row_of(NECKLINE).id, {"source": "recommended", "recommended_values": [value["id"] for value in row_of(NECKLINE).values[:2]]}, "recommended_values"),
        (capacity.id, {"source": "custom", "custom_value": "a lot"}, "custom_value"),
        (color.id, {"source": "custom", "custom_value": "Red"}, "source"),
        (color.id, {"source": "magento", "magento_attribute": "color", "values": {"4": "nonsense"}}, "value-4"),
        (material.id, {"source": "custom", "custom_value": "Linen", "categories": [MUGS]}, "categories"),
    )
    for row_id, body, field in refusals:
        with pytest.raises(DomainError) as refused:
            mapping.save(row_id, body)
        assert (refused.value.field, bool(refused.value.remedy)) == (field, True), body
    assert db.session.scalars(select(MappingRow)).all() == []

    saved = mapping.save(material.id, {"source": "recommended", "recommended_values": [cotton], "custom_value": "dropped"})
    assert saved.attached == ("Tees",)
    assert all(due(each) for each in listings())
    row = row_of(MATERIAL)
    assert (row.source, row.recommended_value, row.custom_value, row.magento_attribute) == ("recommended", "Cotton", "", "")
    of_template = mapping.of_template([tees.id, 999])
    assert [(each.attribute_id, each.recommended_values, each.custom_value) for each in of_template[tees.id]] == [(MATERIAL, (cotton,), "")]
    assert of_template[999] == []
    with pytest.raises(DomainError, match="for all categories already"):
        mapping.save(material.id, {"source": "custom", "custom_value": "Linen"})

    mapping.save(material.id, {"source": "custom", "custom_value": "Linen"}, mapping_id=saved.mapping_id)
    assert row_of(MATERIAL).custom_value == "Linen"
    assert all(due(each) for each in listings())
    event = db.session.scalars(select(Event).where(Event.kind == "attributes.mapped").order_by(Event.id.desc())).first()
    assert event is not None
    assert (event.before["source"], event.after["source"]) == ("recommended", "custom")

    own = mapping.save(material.id, {"source": "recommended", "recommended_values": [cotton], "categories": [TEES]})
    assert own.attached == ("Tees",)
    with pytest.raises(DomainError, match="has a mapping of its own already"):
        mapping.save(material.id, {"source": "custom", "custom_value": "Wool", "categories": [TEES]})
    overview = mapping.overview(tees)  # A153
    first = next(each for each in overview if each.attribute.id == MATERIAL)
    assert (first.recommended, first.problem, len(first.options)) == ("Cotton", "", 2)


def test_mappings_are_assigned_to_templates_detached_and_deleted(account: Account, tees: catalogue.ListingTemplate) -> None:
    """A125, A126"""
    saved = mapping.save(row_of(CARE).id, {"source": "custom", "custom_value": "Wash cold"}, attach=False)
    assert saved.templates == ()
    more = catalogue.a_template(account, "More tees", category_id=TEES)
    other = catalogue.a_template(account, "Mugs", category_id=MUGS)
    assert mapping.attach_matching(more) == 1
    assert mapping.attach_matching(more) == 0
    assert mapping.attach_matching(other) == 0
    assert mapping.assign([tees.id, more.id, other.id]) == {"More tees": 0, "Mugs": 0, "Tees": 1}
    assert all(due(each) for each in listings())
    assert mapping.used_by([saved.mapping_id]) == {saved.mapping_id: ["More tees", "Tees"]}
    assert mapping.set_attached(more, []) == (0, 1)
    assert mapping.attach_matching(more) == 0  # a person's choice stands
    assert mapping.delete([row_of(CARE).id, row_of(COLOR).id]) == 1
    assert all(due(each) for each in listings())
    assert db.session.scalars(select(TemplateMapping)).all() == []
    assert row_of(CARE).source == ""


def test_a_refetch_tells_what_changed_and_what_it_breaks(account: Account, tees: catalogue.ListingTemplate, market: shop.Market) -> None:
    """A127"""
    black, lilac = value_id(COLOR, "Black"), {"id": "990099", "name": "Lilac"}
    with unit_of_work():  # the last fetch had a colour more and an attribute more, and lacked one
        stored = category(TEES)
        rows = [{**row, "values": [*row["values"], lilac]} if row["id"] == COLOR else row for row in stored.attributes]
        gone = {"id": "100999", "name": "Sleeve", "type": "PRODUCT_PROPERTY", "is_requried": False, "is_customizable": True}
        stored.attributes = [*(row for row in rows if row["id"] != CARE), gone]
    fetch.finish(account.id)
    mapping.save(row_of(COLOR).id, {"source": "magento", "magento_attribute": "color", "values": {"4": black, "6": "990099"}})
    mapping.save(row_of("100999").id, {"source": "custom", "custom_value": "Long"})
    assert [due(each) for each in listings()] == [True, True]
    catalogue.a_template(account, "Gone", category_id="424242")
    market.post(f"categories/{TEES}", required=[NECKLINE], rules={"size_chart": {"is_required": True, "is_supported": True}})

    run = shop.carry_out(fetch.submit_refetch(account.id, started_by="tests").run_id)
    assert (run.state, run.done, run.failed, run.message) == ("partial", 1, 1, run.message)
    parked = db.session.scalars(select(JobItem).where(JobItem.run_id == run.id, JobItem.state == "failed")).one()
    assert (parked.ref, parked.code) == ("424242", "attributes.no_category")
    words = {change["words"]: change["products"] for change in category(TEES).changes}
    assert words == {
        "A size chart is required now. Add one in the listing template.": 2,
        "Neckline became required.": 2,
        "Color no longer offers Lilac.": 2,
        "Care Instructions is new.": 0,
        "Sleeve was removed; what is mapped to it is not sent any more.": 0,
    }
    found = fetch.changes_of(run.id)
    assert [(event.after["products"], event.run_id) for event in found] == [(2, run.id)]
    assert [due(each) for each in listings()] == [True, True]
    color, neckline, sleeve = row_of(COLOR), row_of(NECKLINE), row_of("100999")
    assert color.problem == "TikTok no longer offers Lilac, which is mapped. Choose another value."
    assert neckline.problem.startswith("TikTok requires it now in Women's T-shirts, and it is not mapped.")
    assert sleeve.removed_at is not None

    mapping.save(neckline.id, {"source": "recommended", "recommended_values": [neckline.values[0]["id"]]})
    mapping.save(color.id, {"source": "magento", "magento_attribute": "color", "values": {"4": black}}, mapping_id=mapping.of_attribute(color.id)[0][0].id)
    mapping.delete([sleeve.id])
    assert (row_of(NECKLINE).problem, row_of(COLOR).problem) == ("", "")
    assert db.session.get(CategoryAttribute, sleeve.id) is None
    kids = catalogue.a_template(account, "Kids", category_id=KIDS)  # saved while TikTok was away: fetched, and its mappings attached, later
    assert mapping.of_template([kids.id]) == {kids.id: []}
    assert shop.carry_out(fetch.submit_refetch(account.id, [KIDS], started_by="tests").run_id).state == "succeeded"
    assert {each.attribute_id for each in mapping.of_template([kids.id])[kids.id]} == {COLOR, NECKLINE}
    quiet = shop.carry_out(fetch.submit_refetch(account.id, [TEES], started_by="tests").run_id)
    assert (quiet.state, quiet.message) == ("succeeded", "Nothing changed.")


def test_a_category_that_tiktok_takes_away_or_splits_keeps_its_mappings_and_says_so(
    account: Account, tees: catalogue.ListingTemplate, market: shop.Market
) -> None:
    """A127: category not leaf, not allowed, gone"""
    mapping.save(row_of(CARE).id, {"source": "custom", "custom_value": "Wash cold"})
    said = []
    for change in ({"leaf": False}, {"leaf": True, "status": "INVITE_ONLY"}, {"available": False}):
        market.post(f"categories/{TEES}", **change)
        [reading] = fetch.refetch(account.id)
        said.append([each.what for each in reading.changes])
        assert reading.products == 2
    assert said == [["not_leaf"], ["not_allowed"], ["gone"]]
    facts = fetch.category_facts(account.id, TEES)
    assert (facts.exists, MATERIAL in facts.attributes) == (False, True)
    assert row_of(CARE).custom_value == "Wash cold"


def test_suggestions_are_worked_out_beforehand_and_applied_only_when_asked(account: Account, tees: catalogue.ListingTemplate) -> None:
    """A124"""
    color, size = row_of(COLOR), next(row for row in db.session.scalars(select(CategoryAttribute).where(CategoryAttribute.name == "Size")))
    best = suggest.best(color)
    assert best is not None
    assert (best["magento_attribute"], best["confidence"] >= 80) == ("color", True)
    assert {value["option"]: value["value"] for value in best["values"]}["Black"] == "Black"
    assert db.session.scalars(select(MappingRow)).all() == []
    done, left = suggest.apply([color.id, size.id, row_of(CARE).id], 80)
    assert done == 2
    assert left == ["Care Instructions Description is only 40 % likely"]
    assert mapping.of_attribute(color.id)[0][1].values["4"] == value_id(COLOR, "Black")
    assert suggest.apply([color.id], 40) == (0, ["Color is mapped already"])
    with unit_of_work() as session:
        fabric = catalogue.StoreReference(
            magento_id=session.get(Account, account.id).magento_id, kind="attribute", code="fabric", label="Fabric", data={"options": {"1": "Cotton"}}
        )
        session.add(fabric)
    assert suggest.recompute_for_store(fabric.magento_id) == 1
    assert suggest.best(row_of(MATERIAL))["magento_attribute"] == "fabric"  # type: ignore[index]


def test_attributes_without_a_store_have_no_suggestions(app: Flask, account: Account) -> None:
    fetch.ensure(account.id, [MUGS])
    assert row_of(CAPACITY).suggestions == []
