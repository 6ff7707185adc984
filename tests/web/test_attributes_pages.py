"""The attributes pages (A123-A138, A153), with and without HX headers."""

from __future__ import annotations

import re
from html import unescape

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.listing import CategoryAttribute, ListingTemplate, MappingRow, TemplateMapping
from connector.models.run import JobRun
from connector.practice.serve import PracticeServer
from connector.services.attributes import fetch, mapping
from tests.factories import catalogue, shop
from tests.web.test_html_quality import complaints

TEES, MUGS = "610021", "611421"
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/attributes/?variant=no&sort=-name"}


@pytest.fixture
def template(app: Flask, practice_tiktok: PracticeServer) -> ListingTemplate:
    account = shop.authorise("GB")
    store = catalogue.a_magento()
    with unit_of_work() as session:
        session.get_one(Account, account.id).magento_id = store.id
    found = catalogue.a_template(account, "Tees", category_id=TEES)
    catalogue.a_listing(account, catalogue.a_product(store.id, "TEE-1"), found)
    catalogue.a_template(account, "Mugs", category_id=MUGS)
    fetch.ensure(account.id, [TEES, MUGS])
    return found


def row_of(name: str, attribute_id: str | None = None) -> CategoryAttribute:
    db.session.commit()
    query = select(CategoryAttribute).where(CategoryAttribute.name == name).execution_options(populate_existing=True)
    return db.session.scalars(query if attribute_id is None else query.where(CategoryAttribute.attribute_id == attribute_id)).one()


def mappings() -> list[MappingRow]:
    db.session.commit()
    return list(db.session.scalars(select(MappingRow).order_by(MappingRow.id).execution_options(populate_existing=True)))


def token(client: FlaskClient) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/me").text)
    assert found is not None
    return found[1]


def send(client: FlaskClient, url: str, headers: dict[str, str] | None = None, **data: object):
    return client.post(url, data={"csrf_token": token(client), **{name.replace("__", "-"): value for name, value in data.items()}}, headers=headers or {})


def sound(text: str, *, whole: bool = True) -> str:
    assert complaints(text, whole=whole) == []
    return unescape(text)


def test_without_attributes_the_pages_say_what_to_do_next(operator_client: FlaskClient) -> None:
    assert "fetched with the first listing template" in sound(operator_client.get("/attributes/").text)
    for page in ("assign", "refetch"):
        assert "Add" in sound(operator_client.get(f"/attributes/{page}").text)
    assert "No refetch has found a difference yet." in operator_client.get("/attributes/changes").text
    assert operator_client.get("/attributes/1").status_code == 404
    assert operator_client.get("/attributes/template/1").status_code == 404


def test_the_grid_has_its_columns_tabs_filters_and_suggestions(operator_client: FlaskClient, template: ListingTemplate) -> None:
    """A123, A128-A138"""
    text = sound(operator_client.get("/attributes/").text)
    table = BeautifulSoup(text, "html.parser")
    heads = [each.get_text(strip=True) for each in table.select(".grid-table thead th[scope=col]")]
    assert heads[1:-1] == [
        "ID", "Code", "Name", "Type", "Required", "Category Dependent", "Is Variant",
        "Magento Attribute", "Default Recommended Value", "Default Custom Value", "Actions",
    ]  # fmt: skip
    assert "Suggestion: color," in text
    assert "Chosen categories" in text
    only = operator_client.get(f"/attributes/?category={MUGS}&variant=no").text
    assert "Dishwasher Safe" in only
    assert "Neckline" not in only
    todo = operator_client.get("/attributes/?tab=to_map").text
    assert "Material" in todo
    assert "Pattern" not in todo
    assert "Material" in operator_client.get("/attributes/export.csv").text


def test_a_row_opens_in_place_shows_its_values_and_is_saved_there(operator_client: FlaskClient, template: ListingTemplate) -> None:
    """A124, A135-A138"""
    row = row_of("Color")
    link = BeautifulSoup(operator_client.get("/attributes/").text, "html.parser").select_one(f"#attributes-{row.id} a.row-link")
    assert link is not None
    assert (link["href"], link["hx-get"], link["hx-target"]) == (f"/attributes/{row.id}", f"/attributes/{row.id}", "closest tr")
    opened = operator_client.get(f"{link['href']}?suggest=color", headers=HTMX).text
    panel = BeautifulSoup(sound(opened, whole=False), "html.parser")
    assert panel.find().get("id") == f"attributes-{row.id}"  # type: ignore[union-attr]
    black = next(value["id"] for value in row.values if value["name"] == "Black")
    assert panel.select_one(f"#value-4-{row.id} option[selected]")["value"] == black  # type: ignore[index]
    assert "Suggested, 100 %" in opened
    assert mappings() == []
    shown = send(operator_client, f"/attributes/{row.id}", HTMX, source="magento", magento_attribute="size", then="show", value__4=black).text
    assert "XL" in shown
    assert mappings() == []
    answer = send(
        operator_client,
        f"/attributes/{row.id}",
        HTMX,
        source="magento",
        magento_attribute="color",
        value__4=black,
        scope="all",
        attach="y",
        mapping="new",
        grid_url="/attributes/?variant=yes",
    )
    assert (answer.status_code, answer.headers["HX-Reselect"]) == (200, f"#attributes-{row.id}")
    saved = BeautifulSoup(answer.text, "html.parser").select_one(f"tr#attributes-{row.id}")
    assert saved is not None  # htmx takes this row out of the grid that came back, as it was filtered
    assert saved.select_one("code").get_text() == row.attribute_id  # type: ignore[union-attr]
    assert "Neckline" not in answer.text
    assert "Color is mapped. It is used by Mugs, Tees." in answer.text
    [stored] = mappings()
    assert (stored.body["magento_attribute"], stored.body["values"]) == ("color", {"4": black})


def test_without_javascript_the_row_is_a_page_and_nothing_typed_is_lost(operator_client: FlaskClient, template: ListingTemplate) -> None:
    """A124"""
    row = row_of("Capacity (ml)")
    page = f"/attributes/{row.id}"
    assert "A number" in sound(operator_client.get(page).text)
    refused = send(operator_client, page, source="custom", custom_value="half a litre", scope="chosen", categories=[MUGS], mapping="new")
    assert refused.status_code == 422
    text = sound(refused.text)
    assert "Capacity (ml) is a number, and half a litre is none. Enter a positive number such as 12.5, without a unit." in text
    assert 'value="half a litre"' in text
    shown = BeautifulSoup(text, "html.parser")
    assert shown.select_one('input[name="source"][value="custom"]').has_attr("checked")  # type: ignore[union-attr]
    assert shown.select_one(f'input[name="categories"][value="{MUGS}"]').has_attr("checked")  # type: ignore[union-attr]
    nothing = send(operator_client, page, source="custom", custom_value="350", scope="chosen", mapping="new")
    assert (nothing.status_code, "Tick the categories" in nothing.text) == (422, True)
    done = send(operator_client, page, source="custom", custom_value="350", scope="chosen", categories=[MUGS], mapping="new", attach="y")
    assert (done.status_code, done.location) == (303, "/attributes/")
    assert mappings()[0].body["categories"] == [MUGS]
    [saved] = mappings()
    text = sound(operator_client.get(f"{page}?mapping={saved.id}").text)
    assert "Used by Mugs." in text
    question = sound(operator_client.get(f"/attributes/mappings/{saved.id}/delete").text)
    assert "It is used by Mugs." in question
    assert send(operator_client, f"/attributes/mappings/{saved.id}/delete", confirm="1").location == page
    assert mappings() == []


def test_rows_are_deleted_assigned_and_mapped_by_suggestion_after_a_question(operator_client: FlaskClient, template: ListingTemplate) -> None:
    """A125, A126"""
    color, size, care = row_of("Color"), row_of("Size"), row_of("Care Instructions")
    ids = [color.id, size.id, care.id]
    question = sound(send(operator_client, "/attributes/bulk", action="suggest", ids=ids, scope="ids").text)
    assert "Color: Color (color), 100 %" in question or "Color (color)," in question
    assert "Apply suggestions of at least (%)" in question
    assert mappings() == []
    answer = send(operator_client, "/attributes/bulk", action="suggest", ids=ids, scope="ids", confirm="1", least="80")
    assert answer.status_code == 303
    assert len(mappings()) == 2
    assert "2 attributes mapped by suggestion." in operator_client.get("/attributes/").text
    with unit_of_work():
        assert mapping.set_attached(template, []) == (0, 2)
    answer = send(operator_client, "/attributes/bulk", action="assign", ids=ids, scope="ids", confirm="1", templates=[str(template.id)])
    assert answer.status_code == 303
    assert "Tees: 2 attached." in operator_client.get("/attributes/").text
    question = sound(send(operator_client, "/attributes/bulk", action="delete", ids=ids, scope="ids").text)
    assert "Color: used by Mugs, Tees" in question
    assert "Size: used by Tees" in question
    assert "Care Instructions: is not mapped" in question
    send(operator_client, "/attributes/bulk", action="delete", ids=ids, scope="ids", confirm="1")
    assert mappings() == []


def test_the_attributes_of_a_template_are_shown_and_attached(operator_client: FlaskClient, template: ListingTemplate) -> None:
    """A125, A153"""
    saved = mapping.save(row_of("Care Instructions").id, {"source": "custom", "custom_value": "Wash cold"}, attach=False)
    page = f"/attributes/template/{template.id}"
    text = sound(operator_client.get(page).text)
    assert "Required by TikTok, and no mapping is attached." in text
    assert "Wash cold" in text
    assert send(operator_client, page, mapping=[saved.mapping_id]).location == page
    db.session.commit()
    assert db.session.scalars(select(TemplateMapping.mapping_id)).all() == [saved.mapping_id]
    assert send(operator_client, page).location == page
    assert sound(operator_client.get("/attributes/assign").text).count("Tees, ") == 1
    assert send(operator_client, "/attributes/assign", templates=[str(template.id)]).location == "/attributes/"
    assert "Tees: 1 attached." in operator_client.get("/attributes/").text


def test_a_refetch_is_confirmed_runs_and_leads_to_what_changed(
    operator_client: FlaskClient, template: ListingTemplate, practice_tiktok: PracticeServer
) -> None:
    """A127"""
    assert "Women's T-shirts" in sound(operator_client.get("/attributes/refetch").text)
    shop.Market(practice_tiktok.url).post(f"categories/{TEES}", required=["100107"])
    answer = send(operator_client, "/attributes/refetch", account=template.account_id, categories=[TEES])
    run = db.session.scalars(select(JobRun).where(JobRun.kind == "attributes.refetch")).one()
    assert answer.location == f"/attributes/changes?run={run.id}"
    assert f'id="run-{run.id}"' in sound(operator_client.get(answer.location).text)
    done = shop.carry_out(run.id)
    assert (done.total, done.message) == (1, "1 category changed; breaks 1 product.")
    text = sound(operator_client.get(answer.location).text)
    assert "Neckline became required." in text
    assert "breaks 1 product" in text
    assert "Neckline became required." in operator_client.get("/attributes/changes").text
    assert "it is not mapped. Map it." in unescape(operator_client.get("/attributes/?tab=problems").text)


def test_a_viewer_sees_everything_and_changes_nothing(viewer_client: FlaskClient, template: ListingTemplate) -> None:
    saved = mapping.save(row_of("Care Instructions").id, {"source": "custom", "custom_value": "Wash cold"})
    row = row_of("Care Instructions")
    for page in ("/attributes/", f"/attributes/{row.id}", "/attributes/changes", f"/attributes/template/{template.id}"):
        text = sound(viewer_client.get(page).text)
        assert ">Save<" not in text
        assert "Assign Attributes" not in text
    assert "Wash cold" in viewer_client.get(f"/attributes/{row.id}", headers=HTMX).text
    for page in (
        f"/attributes/{row.id}",
        f"/attributes/mappings/{saved.mapping_id}/delete",
        "/attributes/assign",
        "/attributes/refetch",
        f"/attributes/template/{template.id}",
    ):
        assert send(viewer_client, page, confirm="1", source="custom", custom_value="Dry clean").status_code == 403
    assert send(viewer_client, "/attributes/bulk", action="delete", ids=[row.id], scope="ids", confirm="1").status_code == 403
    assert mappings()[0].body["custom_value"] == "Wash cold"
