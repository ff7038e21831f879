"""The picture of the dashboard in the tutorial: `python -m docs.generate.screenshot LINK`.

LINK is the address that `qforge ui --no-browser` prints after the commands of the tutorial.
"""

import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.browser import browsing

PICTURE = Path(__file__).parents[1] / "images" / "dashboard.png"


def take(link: str, path: str = "/") -> None:
    """Open a page of a running dashboard, and keep its picture.

    Args:
        link: by which it lets in.
        path: of the page.
    """
    address = urlsplit(link)
    with (
        tempfile.TemporaryDirectory() as profile,
        browsing(f"{address.scheme}://{address.netloc}", Path(profile)) as browser,
    ):
        browser.driver.set_window_size(1200, 1500)
        browser.open(f"{address.path}?{address.query}")
        browser.open(path)
        browser.wait_for(".panel")
        browser.until(
            lambda: browser.driver.execute_script("return document.readyState") != "loading"
        )
        PICTURE.parent.mkdir(exist_ok=True)
        browser.driver.save_screenshot(str(PICTURE))


if __name__ == "__main__":
    take(*sys.argv[1:])
