"""A reader that has left is no error to speak of."""

import subprocess
import sys
from pathlib import Path

CODE = """
from bptt.cli._pipe import reader_may_leave
with reader_may_leave():
    for n in range(100_000):
        print("line", n)
"""


def test_nobody_reads_to_the_end(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"line 0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1
