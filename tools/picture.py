"""Takes README.md's picture of a report: the verdict and the first site of a run's page, in a real browser.

    python tools/picture.py [DIR]     # from DIR/report.html, runs/demo unless told, to docs/pictures/report.png

Parts of the page that are left out are left out whole: what is shown stands as it is on the page.
"""

import argparse
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "pictures" / "report.png"
WIDTH, COLOURS, LARGEST = 1120, 256, 150_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The clock too: how long a run took while a picture was made of it says nothing.
LEFT_OUT = (
    "nav, .head .quiet, #findings, #training, #sites > :not(section), .tools, .numbers, #about, footer "
    "{ display: none !important; }"
)


def taken(page: Page) -> Image.Image:
    """What is to be seen, cut to its own height."""
    page.add_style_tag(content=LEFT_OUT)
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    return shot.quantize(COLOURS, dither=Image.Dither.NONE)


def main() -> None:
    """Parse, take, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", nargs="?", type=Path, default=ROOT / "runs" / "demo")
    report = parser.parse_args().run.absolute() / "report.html"
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None or not report.is_file():
        sys.exit("this needs Chromium (`make browser`) and a run's report.html (`make demo`)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        view = {"width": WIDTH, "height": 600}
        page = started.new_page(viewport=view, color_scheme="light", bypass_csp=True)  # type: ignore[arg-type]
        page.goto(report.as_uri())
        picture = taken(page)
        started.close()
    held = io.BytesIO()
    picture.save(held, "PNG", optimize=True)
    if len(held.getvalue()) > LARGEST:
        sys.exit(f"the picture has {len(held.getvalue()):,} bytes, more than {LARGEST:,}")
    PICTURE.write_bytes(held.getvalue())
    print(
        f"{PICTURE.relative_to(ROOT)}: {picture.width} by {picture.height}, {len(held.getvalue()):,} bytes"
    )


if __name__ == "__main__":
    main()
