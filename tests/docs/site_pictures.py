"""Takes pictures of pages of the built site at two widths: `python -m tests.docs.site_pictures SITE FOLDER PAGE…`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.docs.screenshots import Browser, driver

WIDTHS = (380, 1400)
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def main(site: Path, folder: Path, pages: list[str]) -> None:
    """A picture for each page, width and colour scheme; prints how far a page is wider than the screen."""
    folder.mkdir(parents=True, exist_ok=True)
    with driver() as address:
        browser = Browser(address, 1400, 1000)
        for page in pages:
            for width, dark in [(width, dark) for width in WIDTHS for dark in (False, True)]:
                browser.open_at_width((site / f"{page}.html").resolve().as_uri(), width, dark=dark)
                file = folder / f"{page.replace('/', '_')}_{width}{'_dark' if dark else ''}.png"
                browser.whole_picture(file)
                print(file, browser.value_of(OVERFLOW))
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
