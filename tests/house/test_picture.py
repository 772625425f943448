"""README.md's picture of a report: there, light enough to be loaded with the page, and made by the tool it names."""

import re

from PIL import Image

from scripts import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_picture_is_small_and_told_in_words() -> None:
    ((words, path),) = re.findall(r"!\[([^\]]+)\]\((docs/pictures/[^)]+)\)", TEXT)
    assert len(words) > 60, "who does not see it reads this"
    assert (ROOT / path).stat().st_size <= 150_000
    with Image.open(ROOT / path) as picture:
        picture.verify()
        assert picture.width >= 1000


def test_the_tool_writes_this_picture() -> None:
    code = (ROOT / "tools" / "picture.py").read_text(encoding="utf-8")
    assert '"docs" / "pictures" / "report.png"' in code
    assert "<!-- made by: python tools/picture.py -->" in TEXT
