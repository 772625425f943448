"""tools/speed.py: the tables on the pages are those of the result files."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from scripts import ROOT


@pytest.fixture
def speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool on copies of the results, with one page of its own."""
    spec = importlib.util.spec_from_file_location("speed", ROOT / "tools" / "speed.py")
    assert spec is not None
    assert spec.loader is not None
    monkeypatch.syspath_prepend(ROOT / "tools")  # as of a script that is run
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for file in module.RESULTS.glob("layers_*.json"):
        shutil.copy(file, tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- speed: summary -->\nold\n<!-- end -->\n<!-- speed: padded -->\n<!-- end -->\nafter\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "PAGES", (page,))
    return module


def test_tables_say_what_the_files_say(speed: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    file = speed.RESULTS / "layers_padded.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    for row in content["rows"]["rows"]:
        row["ratio"] = 2.0 if row["layer"] == "GRU" else 3.0
    content["rows"]["rows"][-1]["ratio"] = 0.456
    file.write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["speed.py"])
    speed.main()
    text = speed.PAGES[0].read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    (summary,) = [row for row in text.splitlines() if row.startswith("| forward and backward")]
    assert summary.split(" | ")[1:4] == ["3.0× (3.00×)", "3.0× (3.00×)", "2.0× (2.00×)"]
    assert "(0.46×)" in summary
    assert "| LSTM, H = 1024 | 3.00× | 3.00× | 3.00× | 0.46× |" in text

    monkeypatch.setattr("sys.argv", ["speed.py", "--check"])
    speed.main()
    assert speed.PAGES[0].read_text(encoding="utf-8") == text


def test_check_sees_an_old_table(speed: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    before = speed.PAGES[0].read_text(encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["speed.py", "--check"])
    with pytest.raises(SystemExit, match=r"page\.md and benchmarks/results differ"):
        speed.main()
    assert speed.PAGES[0].read_text(encoding="utf-8") == before
