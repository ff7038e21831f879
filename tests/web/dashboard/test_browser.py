"""The dashboard in Chromium: one browser, which goes through the pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Keys

from quantum_forge.schema.domains.batches import BatchProgressed, BatchStarted, batch_id
from quantum_forge.web.dashboard.routes import PAGES
from quantum_forge.web.dashboard.vendor import STATIC_VENDOR
from tests.support.browser import Browser, browsing
from tests.support.chemical_history import happened, record
from tests.support.projecting import wait_until_projected
from tests.support.training_set import METHODS, MOLECULES, calculation_of
from tests.support.web import TENANT
from tests.web.conftest import PASSWORD, Served

PATHS = {page.title: page.path for page in PAGES if page.in_navigation}

DRAWS = pytest.mark.skipif(
    not (STATIC_VENDOR / "3Dmol.min.js").exists(),
    reason="the libraries that draw are not there: python -m quantum_forge.web.dashboard.vendor",
)

FEWER = {"/audit": "?action=login", "/log": "?type=molecule_deleted"}
"""Of the pages that would be long: axe looks at each cell."""


@pytest.fixture(scope="module")
def browser(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser in which an admin has signed in."""
    with browsing(served.url, tmp_path_factory.mktemp("profile")) as browser:
        browser.sign_in("ada", PASSWORD)
        yield browser


@pytest.mark.parametrize("title", PATHS)
def test_a_page_is_clean(browser: Browser, title: str) -> None:
    """No error in the console, no request to others, nothing that keeps anybody out."""
    browser.open(PATHS[title] + FEWER.get(PATHS[title], ""))
    assert browser.wait_for("h1").text == title
    assert title in browser.driver.title
    for panel in browser.driver.find_elements("css selector", "[data-panel]"):
        assert panel.text.strip()

    browser.screenshot(title.lower().replace(" ", "-"))
    assert browser.complaints() == []
    assert browser.asked_elsewhere() == []
    assert browser.violations() == []


def test_the_pages_of_a_batch_and_of_an_error_are_clean(browser: Browser, served: Served) -> None:
    """With its buttons, and what a retraction would cover."""
    started = BatchStarted(name="in a browser", parameters={}, total_count=3)
    progressed = BatchProgressed(successful_count=1, failed_count=1)
    id_ = batch_id(TENANT, "in a browser", {})
    record(served.engine, *(happened(event, id_) for event in (started, progressed)))
    wait_until_projected(served.engine)
    for name, path, text in (
        ("campaign", f"/campaigns/{id_}", "2 of 3"),
        ("retract", f"/campaigns/{id_}/retract", "What would be retracted"),
        ("error", "/campaigns?status=odd", "no status 'odd'"),
    ):
        browser.open(path)
        browser.screenshot(name)
        assert text in browser.text()
        browser.screenshot(
            path.strip("/").partition("?")[0].replace(str(id_), "one").replace("/", "-")
        )
        assert browser.violations() == []
    assert all("400 (Bad Request)" in each for each in browser.complaints())  # of the address
    assert browser.asked_elsewhere() == []


def test_an_open_page_follows_the_log(browser: Browser, served: Served) -> None:
    """The event is there without a reload, and a box keeps the page as it is."""
    browser.open("/log?entity_type=project")
    browser.wait_for(".panel")
    assert "came by itself" not in browser.text()
    with served.client("bob") as bob:
        assert bob.post("/rest/v1/projects", json={"name": "came by itself"}).status_code == 201
    browser.until(lambda: "came by itself" in browser.text())
    assert browser.complaints() == []


def test_pages_are_clean_in_the_dark_and_by_keyboard(browser: Browser) -> None:
    """Contrast holds in both sets of colours; the first Tab leads past the navigation."""
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        browser.open("/")
        ground = "return getComputedStyle(document.body).backgroundColor"
        assert browser.driver.execute_script(ground) == "rgb(20, 24, 22)"
        assert browser.violations() == []
        browser.screenshot("overview-dark")
        browser.driver.find_element("tag name", "body").send_keys("\ue004")
        skip = browser.driver.switch_to.active_element
        assert skip.text == "Skip to the content"
        skip.send_keys("\ue007")
        assert browser.driver.switch_to.active_element.get_attribute("id") == "main"
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_pages_are_readable_on_a_narrow_screen(browser: Browser) -> None:
    """No page is wider than 400 px, no row is a screen high, nothing hidden is seen."""
    narrow = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    heights = "return Math.max(0, ...[...document.querySelectorAll('tr')].map(e => e.offsetHeight))"
    seen = "return [...document.querySelectorAll('[hidden]')].filter(e => e.offsetHeight).length"
    try:
        for path in (
            *("/editor", "/log", "/audit", "/calculations"),
            f"/calculations/{calculation_of(MOLECULES[0], METHODS[0])}",
            f"/molecules/{MOLECULES[0].id}",
        ):
            browser.open(path)
            browser.wait_for(".panel")
            width = "return document.documentElement.scrollWidth"
            assert browser.driver.execute_script(width) <= 400, path
            assert browser.driver.execute_script(heights) < 600, path
            assert browser.driver.execute_script(seen) == 0, path
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.complaints()


@DRAWS
def test_a_calculation_is_drawn_and_its_past_is_a_slider_away(browser: Browser) -> None:
    """By 3Dmol, under the policy of the page; the address says which moment is shown."""
    browser.open(f"/calculations/{calculation_of(MOLECULES[0], METHODS[0])}")
    browser.wait_for("[data-drawn] canvas")
    for structure in browser.driver.find_elements("css selector", "img.structure"):
        assert int(structure.get_property("naturalWidth")) > 0
    browser.screenshot("calculation")
    assert complaints(browser) == []
    assert browser.asked_elsewhere() == []
    assert browser.violations() == []
    browser.wait_for("#as_of:enabled").send_keys(Keys.HOME)
    browser.until(lambda: "as_of=" in browser.driver.current_url)
    browser.until(lambda: "as of position" in browser.text())


@DRAWS
def test_a_range_of_a_histogram_is_a_condition(browser: Browser) -> None:
    """Dragging over the bars goes to the rows in that range."""
    browser.open("/calculations")
    over = browser.wait_for("[data-brush] .u-over")
    across = over.size["width"] // 4
    ActionChains(browser.driver).move_to_element(over).click_and_hold().move_by_offset(
        across, 0
    ).release().perform()
    browser.until(lambda: "gap_from=" in browser.driver.current_url)
    assert "gap_to=" in browser.driver.current_url
    assert complaints(browser) == []


@DRAWS
def test_the_editor_comes_back_as_it_was(browser: Browser, served: Served, tmp_path: Path) -> None:
    """Use case 1: the browser is closed in the middle, another one has what was written."""
    browser.open("/editor")
    area = browser.wait_for("#structure")
    area.clear()
    area.send_keys("Cc1ccccc1O" + Keys.ARROW_LEFT * 3)
    browser.until(lambda: browser.wait_for("#drawing").get_property("naturalWidth"))
    browser.until(lambda: "Saved" in browser.wait_for("#saved").text)
    browser.screenshot("editor-used")
    assert complaints(browser) == []
    wait_until_projected(served.engine)

    with browsing(served.url, tmp_path) as other:
        other.sign_in("ada", PASSWORD)
        other.open("/editor")
        again = other.wait_for("#structure")
        assert again.get_property("value") == "Cc1ccccc1O"
        assert again.get_property("selectionStart") == 7
        again.clear()
        again.send_keys("2\n\nH 0 0 0\nH 0 0 0.74")
        other.wait_for("#geometry[data-drawn] canvas")
        assert complaints(other) == []


def complaints(browser: Browser) -> list[str]:
    """What the console says, but that Chromium draws by software without a graphics card."""
    return [each for each in browser.complaints() if "WebGL" not in each]
