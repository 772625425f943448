"""tools/reliability.py: the tables of docs/reliability.md are those of the result files, and nothing is lost."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from scripts import ROOT


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool with results and a page of its own."""
    spec = importlib.util.spec_from_file_location("reliability", ROOT / "tools" / "reliability.py")
    assert spec is not None
    assert spec.loader is not None
    monkeypatch.syspath_prepend(ROOT / "tools")  # as of a script that is run
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = {
        "tests": [{"fault": "disk full", "tried": 1500, "survived": 1500, "lost": []}],
        "plants": [{"fault": "bug planted", "tried": 4, "survived": 3, "lost": ["a hook"]}],
    }
    file = {"command": "python x.py", "processor": "P", "date": "D", "versions": {"torch": "T"}}
    (tmp_path / "faults.json").write_text(json.dumps(file | {"rows": rows}), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- reliability: faults -->\nold\n<!-- end -->\n", encoding="utf-8")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "PAGE", page)
    return module


def test_tables_say_what_the_files_say(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["reliability.py", "--check"])
    with pytest.raises(SystemExit, match="writes its tables anew"):
        tool.main()
    monkeypatch.setattr(sys, "argv", ["reliability.py"])
    tool.main()
    text = tool.PAGE.read_text(encoding="utf-8")
    for line in (
        "| disk full | 1,500 | 1,500 | 0 |",
        "| bug planted | 4 | 3 | 1 |",
        "| **all** | **1,504** | **1,503** | **1** |",
        "`python x.py`; P, torch T, D.",
    ):
        assert line in text.splitlines()
    assert "old" not in text
    monkeypatch.setattr(sys, "argv", ["reliability.py", "--check"])
    tool.main()


def test_the_repositorys_page_is_current_and_nothing_is_lost() -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "reliability.py", "--check"], check=True)
    known = json.loads((ROOT / "benchmarks/results/faults.json").read_text(encoding="utf-8"))[
        "rows"
    ]
    assert [row["lost"] for rows in known.values() for row in rows if row["lost"]] == []
    assert {row["survived"] - row["tried"] for rows in known.values() for row in rows} == {0}


@pytest.mark.parametrize(
    "file", sorted((ROOT / "benchmarks/results").glob("*.json")), ids=lambda each: each.stem
)
def test_every_result_names_a_command_that_is_there(file: Path) -> None:
    python, script, *_ = json.loads(file.read_text(encoding="utf-8"))["command"].split()
    assert python == "python"
    assert (ROOT / script).is_file()
