"""Trains a small GRU in the way its first argument names and prints every bit of the result."""

import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, as scripts do

import torch
from torch import nn

torch.manual_seed(0)
model = nn.ModuleDict({"rnn": nn.GRU(3, 8, num_layers=2, dropout=0.2), "head": nn.Linear(8, 1)})
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)


def loss() -> torch.Tensor:
    x = torch.randn(20, 4, 3)
    return (model["head"](model["rnn"](x)[0][-1]) - x[0, :, :1]).square().mean()


def update() -> None:
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()


def main(way: str) -> None:
    print("threads", torch.get_num_threads())
    for _ in range(5):
        update()
    if way == "error":
        model["rnn"](torch.zeros(20, 4, 5))
    if way in ("print", "print-kill"):
        for n in range(15):
            update()
            print("line", n, flush=True)
            time.sleep(0.1)
    if way.endswith("kill"):
        os.kill(os.getpid(), 9)
    if way == "wait":
        print("waiting", flush=True)
        time.sleep(60)
    if way == "cleanup":  # a script that clears the folder its results would lie in
        import shutil

        shutil.rmtree(sys.argv[2])
        update()
    for name, weight in model.state_dict().items():
        print(name, weight.double().sum().item().hex())


if __name__ == "__main__":
    main(sys.argv[1])
