"""The dashboard in Chromium: one browser, which goes through the pages."""

from collections.abc import Iterator

import pytest

from quantum_forge.web.dashboard.routes import PAGES
from tests.support.browser import Browser, browsing
from tests.web.conftest import PASSWORD, Served

PATHS = {page.title: page.path for page in PAGES if page.in_navigation}


@pytest.fixture(scope="module")
def browser(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser in which an admin has signed in."""
    with browsing(served.url, tmp_path_factory.mktemp("profile")) as browser:
        browser.sign_in("ada", PASSWORD)
        yield browser


@pytest.mark.parametrize("title", PATHS)
def test_a_page_is_clean(browser: Browser, title: str) -> None:
    """No error in the console, no request to others, nothing that keeps anybody out."""
    browser.open(PATHS[title])
    assert browser.wait_for("h1").text == title
    assert title in browser.driver.title
    for panel in browser.driver.find_elements("css selector", "[data-panel]"):
        assert panel.text.strip()

    browser.screenshot(title.lower().replace(" ", "-"))
    assert browser.complaints() == []
    assert browser.asked_elsewhere() == []
    assert browser.violations() == []
