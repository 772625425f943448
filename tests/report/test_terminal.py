"""The page: what it says, plainly, and that nothing in a name can break it."""

import io
from typing import Any

import pytest
from rich.console import Console

from bptt.doctor import Tally
from bptt.report import console, show
from bptt.report._plot import Canvas, draw

RUN = {"script": "train.py", "updates": 1240, "probes": 2, "overhead": 0.0191, "state": "finished"}


def site(**changes: Any) -> dict[str, Any]:
    credit = [[k, 0.5**k] for k in range(0, 128, 2)]
    known = {"kind": "rnn_tanh", "steps": 128, "horizon": 9, "lags": 127, "rate": -0.69}
    return known | {"unreached": 0.92, "credit": credit} | changes


def page(sites: dict[str, Any], *, encoding: str = "utf-8", **more: Any) -> str:
    tally = Tally()
    tally.add({"update": 1, "sites": sites, "notes": more.pop("notes", [])})
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show(RUN | more, tally, console(file), "runs/a")
    file.seek(0)
    return file.read()


def test_a_site() -> None:
    lines = page({"rnn.l0": site()}).splitlines()
    assert lines[0] == "bptt · train.py · 1,240 updates, 2 probes · 1.9 % of the time"
    assert lines[2] == (
        "rnn.l0  tanh RNN · gradient reaches 9 of 128 steps · ×0.502 per step · "
        "92 % of steps unreached"
    )
    assert [line[:8] for line in lines[3:9]] == [
        "     1 │",
        "       │",
        "       │",
        "  1e-3 ┼",
        "       │",
        "  1e-6 │",
    ]
    assert lines[9].split() == ["0", "63", "127", "steps", "back"]
    assert lines[-1] == "Results: runs/a"
    assert len(lines) == 12


def test_the_curve_crosses_the_threshold_at_the_horizon() -> None:
    canvas = Canvas(columns=128, rows=61, lags=127, low=-6.0, high=0.0)
    curve = [[k, 10 ** (-k / 10)] for k in range(128)]
    assert (30, 30) in canvas.dots(curve)  # 1e-3 is reached 30 steps back, halfway down
    assert max(x for x, _ in canvas.dots(curve)) == 60  # and nothing is drawn below the floor


@pytest.mark.parametrize("credit", [[[0, 1.0], [1, None], [2, 0.0], [3, 0.1]], [[0, None]], []])
def test_gaps_stay_empty(credit: list[list[float | None]]) -> None:
    rows = draw(credit, 1e-3, width=4, ascii_only=True)
    assert sum(row.cells.count("*") for row in rows) == sum(bool(value) for _, value in credit)


def test_many_sites_make_a_table() -> None:
    lines = page({f"layers.{n}.l0": site() for n in range(9)}).splitlines()
    assert len(lines) == 14
    assert lines[2].split() == ["site", "cell", "gradient", "reaches", "per", "step", "unreached"]
    assert len({len(line) for line in lines[3:12]}) == 1


def test_ascii_where_nothing_else_can_be_written() -> None:
    text = page({"rnn.l0": site()}, encoding="ascii")
    assert "x0.502 per step" in text
    assert "+---" in text
    assert text.isascii()


def test_the_page_to_look_at_is_the_last_line() -> None:
    file = io.StringIO()
    show(RUN, Tally(), console(file), "runs/a", "runs/a/re\x1bport.html")
    assert file.getvalue().splitlines()[-2:] == [
        "Results: runs/a",
        "To look at: runs/a/re?port.html",
    ]


def test_unknown_numbers_are_left_out() -> None:
    nothing = dict.fromkeys(["horizon", "rate", "unreached", "credit"])
    text = page({"rnn.l0": site(**nothing)})
    assert "rnn.l0  tanh RNN · reach not measured\n" in text
    assert "None" not in text


def test_gradients_that_are_not_finite_are_no_reach_of_no_step() -> None:
    lost = site(horizon=None, lags=0, rate=None, unreached=None, total=[[0, None], [127, None]])
    tally = Tally()
    tally.add({"update": 1, "sites": {"rnn.l0": site(total=[[0, 1.0]])}})
    tally.add({"update": 3, "sites": {"rnn.l0": lost}})
    file = io.StringIO()
    show(RUN, tally, console(file))
    title = file.getvalue().splitlines()[2]
    assert title == (
        "rnn.l0  tanh RNN · gradients are not finite · gradient reached 9 of 128 steps at update 1"
    )
    # As folders of earlier versions have it: a horizon of 0, and a share that nothing was measured for.
    earlier = lost | {"horizon": 0, "unreached": 0.98}
    assert "tanh RNN · gradients are not finite\n" in page({"rnn.l0": earlier})
    dead = site(horizon=None, lags=0, rate=None, unreached=None, total=[[0, 0.0], [127, 0.0]])
    assert "tanh RNN · no gradient arrives\n" in page({"rnn.l0": dead})
    many = page({f"l{n}": earlier for n in range(9)})
    assert "l3    tanh RNN  gradients are not finite\n" in many
    assert "98 %" not in many


@pytest.mark.parametrize("columns", [34, 40, 80, 300])
def test_on_a_terminal_lines_break_between_words(columns: int) -> None:
    message = " ".join(["thousandfold"] * 30)
    finding = {
        "code": "VG101",
        "name": "x",
        "site": "rnn.l0",
        "severity": "error",
        "message": message,
    }
    tally, folder = Tally(), "runs/" + "x" * 400
    tally.add({"update": 1, "sites": {"rnn.l0": site()}})
    tally.verdict = [finding]
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=columns)
    show(RUN, tally, out, folder)
    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    told = [line for line in lines if "thousandfold" in line]
    assert set(" ".join(told).split()) == {"thousandfold"}
    assert all(line.startswith("  t") for line in told)
    assert all(len(line) <= columns for line in lines if "│" not in line and "xxx" not in line)
    assert f"Results: {folder}" in lines, "a path can be copied"
    pictured = [line for line in lines if "│" in line]
    assert len(pictured) == 5


def test_notes_and_sentence() -> None:
    note = {"subject": "decoder", "reason": "it is compiled"}
    text = page({}, notes=[note], sentence="no recurrent module was called")
    assert "\nbptt: no recurrent module was called\n" in text
    assert "Not measured, or only in part\n  decoder: it is compiled\n" in text


def test_names_cannot_escape() -> None:
    text = page({"\x1b[2J[bold]evil\n": site()}, script="\x07a.py")
    assert "?[2J[bold]evil?  tanh RNN" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_change_since_the_first_probe_is_told() -> None:
    tally = Tally()
    for update, horizon in ((1, 9), (500, 30)):
        tally.add({"update": update, "sites": {"rnn.l0": site(horizon=horizon)}, "notes": []})
    file = io.StringIO()
    show(RUN, tally, console(file))
    assert "reaches 30 of 128 steps" in file.getvalue()
    assert "· 9 at update 1\n" in file.getvalue()
