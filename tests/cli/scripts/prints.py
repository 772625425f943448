"""Writes to its terminal in the way its first argument names; no torch, so that it starts at once."""

import os
import signal
import sys
import time


def lines(n: int, seconds: float) -> None:
    for k in range(n):
        if k % 7 == 3:  # in pieces, each of which may have a drawing of the panel behind it
            print("li", end="", flush=True)
            print(f"ne {k}", end="", flush=True)
            print(flush=True)
        elif k % 7 == 5:
            print(f"half of a bar\rline {k}" + " " * 12)
        else:
            print("line", k)
        if k % 10 == 0:
            time.sleep(seconds / (n / 10))


def bar(n: int) -> None:
    for k in range(n):
        print(f"\rbar {'#' * k:20} {k}/{n}", end="", flush=True)
        time.sleep(0.08)
    print()


def main(way: str) -> None:
    print("begun", flush=True)
    if way == "lines":
        lines(1000, 2.0)
    elif way == "bar":
        bar(20)
        print("after the bar")
    elif way == "clear":
        lines(40, 0.2)
        print("\x1b[31m\x1b[2J\x1b[Hcleared", flush=True)
        time.sleep(1.5)
        lines(40, 0.2)
        time.sleep(1.5)
    elif way == "steady":
        for k in range(10_000):
            print("line", k, flush=True)
            time.sleep(0.05)
    else:
        print("unfinished", end="", flush=True)
        time.sleep(1.0)
        if way == "error":
            raise RuntimeError("as it was told")
        if way == "_exit":
            os._exit(3)
        os.kill(os.getpid(), signal.Signals[way])
        time.sleep(20)


if __name__ == "__main__":
    main(sys.argv[1])
