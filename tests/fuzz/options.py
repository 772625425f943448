"""Command lines: words of all kinds in every option's place, parsed as `bptt` parses them; nothing is run."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from click import Command

from bptt import BpttError
from bptt.cli import app
from bptt.cli._sweep._command import _check, _number, _words
from bptt.cli._sweep._grid import steps_of
from bptt.cli._task import _all_of, _variant, parsed
from bptt.tasks import entry, table
from fuzz.draw import Draw

WORDS = (
    "", "-", "--", "0", "1", "-1", "nan", "inf", "1e999", "9" * 30, "9" * 400, "9" * 5000, "a", "é", "\udcff", "\x00",
    "lstm", "rnn,gru", ",", "none", "chrono", "chrono(lag=100)", "chrono(lag=", "forget_bias(value=1)+orthogonal",
    "forget_bias(value='a')", "forget_bias(" + "(" * 500, "forget_bias(value=" + "[" * 300 + "]" * 300 + ")",
    "forget_bias(value=" + "-" * 5000 + "1)", "forget_bias(**{})", "forget_bias(value=1, value=2)", "chrono(x=1)",
    "chrono\x00(lag=1)", "50-200", "200-50", "5-", "²", "adding", "copy", "1,2,3", "0.5,1", "--help", "x" * 3000,
    "VG101", "VG", "tensorboard:a", "{}", "[]", "~", "/",
)  # fmt: skip


def parsing(scratch: Path) -> Callable[[bytes], None]:
    """Any command line: chosen, shown help for, or refused with exit code 2 and a sentence."""
    command: Any = typer.main.get_command(app)
    names = list(command.commands)

    def words_of(draw: Draw, one: Command) -> list[str]:
        options = [name for each in one.params for name in each.opts if name.startswith("-")]
        said = []
        for _ in range(draw.below(6)):
            if options and draw.below(2):
                said.append(draw.choice(options))
            said.append(draw.choice(WORDS))
        return said

    def case(data: bytes) -> None:
        draw = Draw(data)
        name = draw.choice(names)
        words = words_of(draw, command.commands[name])
        argv, out, chosen = [name, *words], io.StringIO(), []
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                command.main(argv, prog_name="bptt", obj=chosen)
            except SystemExit as left:
                code = left.code
            else:
                code = 0
        assert code in (0, 2), f"exit code {code}: {argv}"
        assert code == 0 or "Error" in out.getvalue() or "Usage" in out.getvalue()

    return case


def words(scratch: Path) -> Callable[[bytes], None]:
    """What tasks and sweeps make of their options' words: something, or a sentence."""
    rows = list(table())

    def case(data: bytes) -> None:
        draw = Draw(data)
        word, other = draw.choice(WORDS), draw.choice(WORDS)
        if draw.chance(3):
            word = word[: draw.below(20)] + other
        if draw.chance(3):
            word += draw.take(9).decode("utf-8", "surrogateescape")
        name = draw.choice(rows) if draw.below(4) else word
        try:
            match draw.below(5):
                case 0:
                    row = entry(name)
                    _all_of([parsed(word)], row.make(**row.small.task), 0)
                case 1:
                    row = entry(name)
                    variant = _variant(
                        row, word, None, draw.choice((None, 1, 10**9)), paper=draw.chance(2)
                    )
                    row.make(**variant.task)
                case 2:
                    list(steps_of(word))
                case 3:
                    for each in _words([word, other]):
                        _number("--lag", each, draw.choice((int, float)), draw.below(2))
                case _:
                    _check(
                        [word],
                        _words([other]),
                        [name],
                        draw.chance(2),
                        draw.choice((None, word)),
                        None,
                    )
        except BpttError as refused:
            assert str(refused).strip(), "an empty sentence"  # noqa: PT017

    return case
