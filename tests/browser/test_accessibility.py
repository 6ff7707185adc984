"""Every page with a screen reader's eyes (axe-core), in light and dark; and in the hand: at 1280 pixels and on a phone (product.md 11)."""

from __future__ import annotations

from pathlib import Path
from pprint import pformat
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from bench.house import House
from tests.browser.conftest import PHONE, WIDE, NewContext, sign_in
from tests.browser.people import swap

AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

#: What can differ between light and dark, wide and narrow; the rest is the same markup.
LOOKS = ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable", "meta-viewport", "focus-order-semantics"]

#: Every kind of page; ids are of the rows that the shop of tests/browser/shop.py has.
PAGES = (
    "/", "/orders/", "/orders/?tab=error", "/orders/?q=nothing-like-this", "/orders/1", "/orders/1?reveal=1", "/orders/1/items", "/orders/1/data", "/orders/import",
    "/orders/ship?order=1&order=2&order=3&order=4&order=5&order=6", "/orders/ship-file", "/queue/", "/queue/runs/3", "/queue/schedule", "/reconciliation/",
    "/reconciliation/1", "/api-calls/", "/api-calls/20", "/activity/", "/accounts/", "/accounts/1", "/accounts/1/go-live", "/deadlines/", "/accounts/new", "/policies/",
    "/policies/1", "/policies/2", "/policies/3", "/policies/4", "/policies/5", "/policies/4/versions", "/configuration/", "/configuration/outbox", "/users",
    "/users/new", "/users/1", "/me", "/account-activity", "/setup/account", "/setup/policies", "/setup/summary", "/privacy", "/report-an-issue", "/nothing-here",
    "/products/", "/products/?tab=rejected", "/products/?tab=incomplete", "/products/?q=nothing-like-this", "/products/import", "/products/1", "/products/1/preview",
    "/products/1/stock", "/products/1/unlink", "/products/1/delete", "/products/21", "/products/21/preview", "/products/linking", "/products/linking/file",
    "/queue/products", "/templates/", "/templates/1", "/templates/new", "/templates/assign", "/attributes/", "/attributes/?tab=unmapped", "/attributes/1", "/attributes/3",
    "/returns/", "/returns/?tab=all&q=nothing-like-this", "/returns/1", "/returns/1/data", "/returns/answer?kind=accept&ids=1,2,3",
    "/returns/answer?kind=reject&ids=1,2,3", "/attributes/template/1", "/attributes/assign", "/attributes/refetch", "/attributes/changes",
    "/holds/", "/cancellations/", "/cancellations/?tab=all", "/cancellations/1", "/cancellations/answer?answer=approve&id=1&id=2&id=3&id=4&id=5&id=6",
    "/cancellations/answer?answer=reject&id=1&id=2&id=3&id=4&id=5&id=6", "/cancellations/recalls", "/cancellations/recalls/1", "/deadlines/?ids=1+2", "/oms/",
    "/oms/updates", "/oms/batches", "/oms/batches/1", "/oms/batches/upload", "/oms/connections/", "/oms/connections/1", "/api/docs",
)  # fmt: skip
FOR_STRANGERS = ("/sign-in", "/privacy", "/nothing-here")


def examine(page: Page) -> list[str]:
    page.evaluate(AXE)
    return run_axe(page, RULES)


def run_axe(page: Page, rules: list[str]) -> list[str]:
    """What axe finds serious or critical, in words. Nothing is preloaded: only rules about videos and turned screens would want it."""
    result: dict[str, Any] = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations'], elementRef: false, preload: false})", rules
    )
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: {[node['target'] for node in each['nodes']][:3]}"
        for each in result["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def leave_one_of_a_make(page: Page) -> None:
    """Rows and entries that differ in their words alone are looked at once: a grid holds twenty of them, the menu as many."""
    page.evaluate(
        """() => {
        const kept = ["class", "role", "type", "hidden", "open", "disabled", "checked", "aria-current", "aria-hidden", "data-deadline"];
        const make = each => each.tagName + kept.map(name => each.getAttribute(name) ?? "").join("|") + [...each.children].map(make).join();
        for (const list of document.querySelectorAll("tbody, ul, ol, select")) {
          const seen = new Set();
          for (const entry of [...list.children]) seen.has(make(entry)) ? entry.remove() : seen.add(make(entry));
        }
        }"""
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_chosen_theme_is_written_by_the_server(shop: House, new_context: NewContext, theme: str) -> None:
    """Whatever the system prefers, and without a script."""
    context = new_context(color_scheme="light" if theme == "dark" else "dark", java_script_enabled=False)
    context.add_cookies([{"name": "theme", "value": theme, "url": shop.url}])
    page = context.new_page()
    page.goto(f"{shop.url}/sign-in")
    assert page.locator("html").get_attribute("data-bs-theme") == theme


@pytest.mark.parametrize("part", range(3))
def test_every_page_is_accessible_and_fits_the_screen(shop: House, new_context: NewContext, part: int) -> None:
    """axe finds nothing serious, light at 1280 pixels and dark on a phone; the page does not scroll sideways on either; every control can be reached."""
    context = new_context(color_scheme="light", viewport=WIDE, reduced_motion="reduce")  # colours would otherwise fade into the other theme
    context.add_init_script(AXE)  # as a script tag it would be refused by the pages' own content security policy
    page = context.new_page()
    touch = context.new_cdp_session(page)
    found: dict[str, list[str]] = {}

    def turn(size: dict[str, int], theme: str) -> None:
        page.set_viewport_size(size)  # type: ignore[arg-type]
        touch.send("Emulation.setTouchEmulationEnabled", {"enabled": size is PHONE})
        page.evaluate("theme => document.documentElement.setAttribute('data-bs-theme', theme)", theme)

    def look(path: str) -> list[str]:
        page.goto(shop.url + path, wait_until="domcontentloaded")  # the styles are there; pictures have their size
        assert page.locator("html").get_attribute("data-bs-theme") == "light"
        wide = sideways(page)
        turn(PHONE, "dark")
        page.evaluate("() => document.querySelectorAll('select option').forEach(each => { each.textContent += ', with a title that nobody shortened'; })")
        narrow = sideways(page)
        leave_one_of_a_make(page)
        # a row's menu stays in view and lies over the cells that are scrolled under it: at the end nothing is
        page.evaluate("() => document.querySelectorAll('.grid-scroll').forEach(each => { each.scrollLeft = each.scrollWidth; })")
        narrow += run_axe(page, LOOKS)
        turn(WIDE, "light")
        return [*(f"dark, phone: {each}" for each in narrow), *wide, *run_axe(page, RULES)]

    for path in FOR_STRANGERS[part::3]:
        found[f"stranger {path}"] = look(path)
    sign_in(page, shop)
    for path in PAGES[part::3]:
        found[path] = look(path)
    assert not any(found.values()), pformat({path: each for path, each in found.items() if each}, width=160)


def test_axe_finds_nothing_serious_in_what_opens(shop: House, page: Page) -> None:
    """Pop-ups, the confirm page, a form with errors."""
    found: dict[str, list[str]] = {}
    page.goto(f"{shop.url}/orders/?tab=error")
    for name in ("Filters", "Default View", "Own view", "Columns"):
        summary = page.locator("summary").filter(has_text=name)
        if summary.count():
            summary.first.click()
            found[name] = examine(page)
            page.keyboard.press("Escape")
    page.locator(".error-pop summary").first.click()
    expect(page.locator(".error-pop[open] .error-pop-body")).to_contain_text("What to do:")
    found["failure"] = examine(page)
    page.keyboard.press("Escape")
    page.locator("tbody tr .col-menu summary").first.click()
    found["row menu"] = examine(page)
    page.keyboard.press("Escape")
    page.get_by_label("Which rows").select_option("page")
    page.get_by_label("Action", exact=True).select_option("Create Sales Order")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Create Sales Order")
    found["confirm"] = examine(page)
    page.goto(f"{shop.url}/orders/import")
    page.get_by_label("From", exact=False).first.fill("2026-03-02")
    page.get_by_label("To", exact=False).first.fill("2026-03-01")
    page.get_by_role("main").get_by_role("button", name="Import Orders").click()
    expect(page.get_by_role("alert")).to_be_focused()
    found["form with errors"] = examine(page)
    assert not any(found.values()), pformat({name: each for name, each in found.items() if each}, width=160)


def sideways(page: Page) -> list[str]:
    """What makes the page itself scroll sideways, or lies outside of it where nobody can reach it."""
    return page.evaluate(
        """() => {
        const wide = document.documentElement.scrollWidth > innerWidth + 1;
        const found = wide ? [`the page is ${document.documentElement.scrollWidth} px wide`] : [];
        for (const control of document.querySelectorAll("a[href], button, input, select, textarea, summary")) {
          const box = control.getBoundingClientRect();
          if (!box.width || !box.height || control.closest(".visually-hidden, .skip-link, details:not([open]) > :not(summary), [hidden]")) continue;
          if (control.matches(".visually-hidden, .skip-link")) continue;
          let scroller = control.parentElement;
          while (scroller && !/auto|scroll/.test(getComputedStyle(scroller).overflowX)) scroller = scroller.parentElement;
          if (!scroller && (box.left < -1 || box.right > innerWidth + 1)) found.push(`${control.outerHTML.slice(0, 90)} at ${Math.round(box.left)}..${Math.round(box.right)}`);
        }
        return found.slice(0, 4);
        }"""
    )


def test_a_phone_holds_the_menu_the_filters_and_a_row_action(shop: House, new_context: NewContext, signed_in: Any) -> None:
    page = new_context(storage_state=signed_in, viewport=PHONE, has_touch=True).new_page()
    page.goto(shop.url)
    page.get_by_label("Menu").tap()
    page.get_by_role("navigation", name="Main, small screen").get_by_role("link", name="Orders").tap()
    expect(page.get_by_role("heading", level=1, name="Orders")).to_be_visible()
    page.locator("summary").filter(has_text="Filters").tap()
    apply = page.get_by_role("button", name="Apply filters")
    apply.scroll_into_view_if_needed()
    box = apply.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    with swap(page):
        apply.tap()
    # the rows are cards here, which takes the table's meaning away in some browsers: the roles give it back, after a swap too
    expect(page.locator("tbody tr:not([role=row]), tbody td:not([role=cell]), tbody:not([role=rowgroup]), .grid-table:not([role=table])")).to_have_count(0)
    first = page.locator("tbody tr").first
    first.locator(".col-menu summary").scroll_into_view_if_needed()
    first.locator(".col-menu summary").tap()
    menu = first.locator(".col-menu .pop-sheet")
    expect(menu).to_be_visible()
    box = menu.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    menu.get_by_role("button", name="Sync Status").tap()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Sync Status")
    expect(page.get_by_role("button", name="Sync Status (1)")).to_be_in_viewport()


def test_targets_for_a_finger_are_not_tiny(shop: House, new_context: NewContext, signed_in: Any) -> None:
    """WCAG 2.2: 24 by 24 pixels, or enough room around."""
    page = new_context(storage_state=signed_in, viewport=PHONE, has_touch=True).new_page()
    small = {}
    for path in ("/", "/orders/", "/orders/1", "/queue/"):
        page.goto(shop.url + path)
        small[path] = page.evaluate(
            """() => [...document.querySelectorAll("button, .btn, summary, input[type=checkbox], select")].filter(each => {
                 const box = (each.closest("label") ?? each.closest(".col-check") ?? each).getBoundingClientRect();
                 return box.width && box.height && !each.closest(".visually-hidden, details:not([open]) > :not(summary)") && (box.width < 24 || box.height < 20);
               }).map(each => each.outerHTML.slice(0, 90)).slice(0, 5)"""
        )
    assert not any(small.values()), pformat(small, width=160)
