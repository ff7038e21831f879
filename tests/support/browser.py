"""Chromium for tests: Debian's, without a window; what it complains of, and what it asked for."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from quantum_forge.web.dashboard.vendor import OF_TESTS, install

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "build" / "vendor"
SCREENSHOTS = ROOT / "build" / "screenshots"
SECONDS = 20


class Browser:
    """A browser, and what a test asks of it.

    Args:
        driver: of Selenium.
        url: of the server.
    """

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, path: str) -> None:
        """Go to a page."""
        self.driver.get(self.url + path)

    def sign_in(self, name: str, password: str) -> None:
        """Fill in the form, and send it."""
        self.open("/login")
        self.driver.find_element(By.NAME, "name").send_keys(name)
        self.driver.find_element(By.NAME, "password").send_keys(password)
        self.driver.find_element(By.CSS_SELECTOR, ".sign-in button").click()
        self.wait_for("nav[aria-label=Pages]")

    def wait_for(self, selector: str) -> Any:
        """Return the first element that fits a selector, once it is there."""
        return self.until(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector))[0]

    def until(self, found: Any) -> Any:
        """Return what is found, once it is true."""
        return WebDriverWait(self.driver, SECONDS).until(lambda _: found())

    def text(self) -> str:
        """Return what a person reads on the page."""
        return str(self.driver.find_element(By.TAG_NAME, "main").text)

    def complaints(self) -> list[str]:
        """Return what the console has said since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def asked_elsewhere(self) -> list[str]:
        """Return the addresses of requests to others, since it was last asked."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = urlsplit(message["params"]["request"]["url"])
                is_own = f"{address.scheme}://{address.netloc}" == self.url
                if not is_own and address.scheme not in ("data", "blob", "chrome", "about"):
                    found.append(message["params"]["request"]["url"])
        return found

    def violations(self) -> list[str]:
        """Return what axe finds wrong for people with disabilities."""
        self.driver.execute_script((VENDOR / "axe.min.js").read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1]; axe.run().then(done);"
        )
        return [
            f"{each['id']}: {each['help']}: {node['html'][:200]}: {node['failureSummary']}"
            for each in found["violations"]
            for node in each["nodes"]
        ]

    def screenshot(self, name: str) -> None:
        """Keep a picture of the page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


@contextmanager
def browsing(url: str, profile: Path) -> Iterator[Browser]:
    """Start a browser for the length of a `with`; the test is skipped where there is none.

    Args:
        url: of the server.
        profile: an empty folder.
    """
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("Chromium and its driver are not installed: apt install chromium-driver")
    if troubles := install(OF_TESTS, VENDOR):
        pytest.skip(f"axe cannot be fetched: {troubles[0]}")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--window-size=1280,1000",
        f"--user-data-dir={profile}",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        running.set_page_load_timeout(60)
        running.set_script_timeout(60)
        yield Browser(running, url)
    finally:
        running.quit()
