"""A reader that has enough, as `head` does, is no fault."""

import os
import signal
import subprocess
import sys


def test_a_pipe_that_is_closed_early_ends_a_command_without_a_word() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bptt", "task", "--table"],
            stdout=writes,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
