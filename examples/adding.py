"""The adding problem: two of T numbers are marked; after the last step the net says their sum.

    python examples/adding.py --length 20
    python examples/adding.py                       # 200 steps: out of the default LSTM's reach

Hochreiter and Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997, experiment 4;
numbers in [0, 1] as in Le, Jaitly and Hinton, A Simple Way to Initialize Recurrent Networks of
Rectified Linear Units, 2015. Who remembers nothing says 1, at a mean squared error of 1/6.
"""

import argparse

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss


class Adder(nn.Module):
    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        self.rnn = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell](2, hidden)
        self.readout = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.rnn(x)
        return self.readout(h[-1]).squeeze(-1)


def draw(length: int, batch: int) -> tuple[Tensor, Tensor]:
    """Numbers and marks [T, B, 2], one mark in each half, and the sums [B]."""
    numbers = torch.rand(length, batch)
    marks = torch.zeros(length, batch)
    column = torch.arange(batch)
    marks[torch.randint(length // 2, (batch,)), column] = 1
    marks[torch.randint(length // 2, length, (batch,)), column] = 1
    return torch.stack([numbers, marks], dim=-1), (numbers * marks).sum(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cell", default="lstm", choices=["rnn", "gru", "lstm"])
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--length", type=int, default=200, help="steps")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--clip", type=float, default=1.0, help="largest gradient norm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", metavar="FILE", help="where the trained weights go")
    args = parser.parse_args()
    if args.length < 2:
        parser.error(f"--length is {args.length}; two marks need 2 steps or more")
    torch.manual_seed(args.seed)

    model = Adder(args.cell, args.hidden)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    print("mean squared error of the constant 1: 0.1667")
    for update in range(1, args.updates + 1):
        x, y = draw(args.length, args.batch)
        loss = mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()
        if update == 1 or update % 100 == 0 or update == args.updates:
            print(f"update {update}: mean squared error {loss.item():.4f}", flush=True)

    with torch.no_grad():
        x, y = draw(args.length, 1000)
        error = mse_loss(model(x), y).item()
    print(f"1,000 fresh sequences: mean squared error {error:.4f}", flush=True)
    if args.save:
        torch.save(model.state_dict(), args.save)


if __name__ == "__main__":
    main()
