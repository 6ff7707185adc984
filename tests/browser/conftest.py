"""A real Chromium against a whole product: web server, workers, scheduler, Valkey and practice servers, in a folder of their own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, expect, sync_playwright

from bench.house import House
from tests.browser.shop import ADMINISTRATOR, PASSWORD, open_shop

ARGUMENTS = [
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]  # fmt: skip
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

#: How long a state is waited for, in milliseconds: a busy machine takes its time, and whoever waits for a state loses nothing by patience.
PATIENCE = 90_000
expect.set_options(timeout=PATIENCE)


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.browser)
    item.add_marker(pytest.mark.timeout(900))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    setattr(item, f"report_{report.when}", report)
    return report


@pytest.fixture(scope="session")
def _playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium(_playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium, or Google's; Playwright's own is not needed."""
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    assert found is not None, "Chromium is missing; `make test` installs it"
    browser = _playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
    yield browser
    browser.close()


NewContext = Callable[..., BrowserContext]


@pytest.fixture
def new_context(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[NewContext]:
    """Contexts that reach nothing but this machine, fail the test on an error in the page's console, and leave a picture when the test fails."""
    opened: list[BrowserContext] = []
    complaints: list[str] = []

    def make(**options: object) -> BrowserContext:
        context = chromium.new_context(**{"viewport": WIDE, "locale": "en-GB", **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        context.on("request", _watch)  # a route would see every request first, and keep none of the answers in the browser's memory
        context.on("console", lambda message: complaints.append(f"{message.type}: {message.text}") if message.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(f"error: {error.error}"))
        opened.append(context)
        return context

    def _watch(request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", "localhost", None):
            complaints.append(f"a request left this machine: {request.url}")

    yield make
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        folder = Path("build/browser")
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", request.node.name)
        for number, page in enumerate(page for context in opened for page in context.pages):
            page.screenshot(path=folder / f"{name}-{number}.png", full_page=True)
    for context in opened:
        context.close()
    # A refused upload or a wrong password is a 4xx that the browser writes to its console; everything else is a fault of the page.
    assert [each for each in complaints if "Failed to load resource" not in each] == []


@pytest.fixture(scope="session")
def shop() -> Iterator[House]:
    """A house that has been open for two days: an administrator, a connected account, forty orders, parcels, failures."""
    with House() as house:
        open_shop(house)
        yield house


@pytest.fixture
def fresh_house() -> Iterator[House]:
    """A house as it is after the very first ``make run``."""
    with House() as house:
        yield house


def sign_in(page: Page, house: House, email: str = ADMINISTRATOR, password: str = PASSWORD) -> Page:
    page.goto(f"{house.url}/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1, name="Today")).to_be_visible()
    return page


def cookies(chromium: Browser, house: House) -> Any:
    """Those of the administrator, who signs in once for many tests."""
    context = chromium.new_context(locale="en-GB")
    context.set_default_timeout(PATIENCE)
    sign_in(context.new_page(), house)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="session")
def signed_in(chromium: Browser, shop: House) -> Any:
    """What a new context takes as ``storage_state`` to be the shop's administrator."""
    return cookies(chromium, shop)


@pytest.fixture
def page(new_context: NewContext, signed_in: Any) -> Page:
    """A signed-in administrator's page, wide, light, with JavaScript, before its first address."""
    return new_context(storage_state=signed_in).new_page()
