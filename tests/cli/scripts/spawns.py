"""Starts processes in the way its argument names; each reports its main module."""

import multiprocessing
import sys


class Task:
    def __call__(self, n: int) -> tuple[int, bool, bool]:
        return n * n, type(self) is Task, "bptt" in sys.modules


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        squares = pool.map(Task(), range(4))
    print([square for square, _, _ in squares], {known for _, known, _ in squares})
    print("bptt in the workers:", {there for _, _, there in squares})
