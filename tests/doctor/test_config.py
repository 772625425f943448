"""`[tool.bptt]`: what is read, and what is refused with a sentence."""

from pathlib import Path

import pytest

from bptt.doctor import Config, ConfigError, read_config


def write(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def test_the_nearest_file_counts_and_the_command_line_goes_before_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        '[tool.bptt]\nlag = 200\nselect = ["VG", "EG201"]\nbudget = 0.05\n'
        "[tool.bptt.options.VG101]\nshare = 0.6\n",
    )
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    config = read_config(below)
    assert (config.lag, config.select, config.budget) == (200, ("VG", "EG201"), 0.05)
    assert config.options == {"VG101": {"share": 0.6}}
    assert config.changed(lag=50, budget=None).lag == 50
    assert config.changed(budget=None).budget == 0.05


@pytest.mark.parametrize("text", ["", "[tool.other]\nx = 1\n", "[[[ not toml"])
def test_a_file_that_says_nothing_to_us_is_passed_over(tmp_path: Path, text: str) -> None:
    assert read_config(write(tmp_path, text)) == Config()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tool.bptt\n", "not to be read"),
        ("[tool]\nbptt = 3\n", "expected a table"),
        ("[tool.bptt]\nlags = 3\n", "unknown entry 'lags'; the nearest is 'lag'"),
        ('[tool.bptt]\nlag = "far"\n', "lag is 'far', expected a whole number"),
        ("[tool.bptt]\nlag = 0\n", "lag is 0"),
        ("[tool.bptt]\nbudget = -1\n", "budget is -1"),
        ("[tool.bptt]\nthreshold = 2.0\n", "threshold is 2.0"),
        ('[tool.bptt]\nselect = "VG101"\n', "expected a list of codes"),
        ('[tool.bptt]\nignore = ["VG111"]\n', "no rule 'VG111'; the nearest is VG101"),
        ("[tool.bptt.options.VG999]\nx = 1\n", "no rule 'VG999'"),
        ("[tool.bptt.options.VG101]\nshared = 1\n", "no threshold 'shared'"),
        ('[tool.bptt.options.VG101]\nshare = "much"\n', "expected a number"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_config(write(tmp_path, text))
    assert sentence in str(refused.value)
    assert str(tmp_path / "pyproject.toml") in str(refused.value)
