"""The adding problem under Hugging Face Accelerate, with the gradients of two batches for each update.

    python examples/accelerate_adding.py --length 20
    accelerate launch examples/accelerate_adding.py     # on several processes, as `accelerate config` says

Two of T numbers are marked; after the last step the net says their sum. Who remembers nothing says 1, at a mean squared
error of 1/6.
"""

import argparse

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset


class Adder(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(2, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.rnn(x)
        return self.readout(h[:, -1]).squeeze(-1)


def draw(length: int, samples: int) -> TensorDataset:
    """Numbers and marks [B, T, 2], one mark in each half, and the sums [B]."""
    numbers, marks = torch.rand(samples, length), torch.zeros(samples, length)
    row = torch.arange(samples)
    marks[row, torch.randint(length // 2, (samples,))] = 1
    marks[row, torch.randint(length // 2, length, (samples,))] = 1
    return TensorDataset(torch.stack([numbers, marks], dim=-1), (numbers * marks).sum(1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--length", type=int, default=200, help="steps")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--lr", type=float, default=5e-3)
    args = parser.parse_args()
    torch.manual_seed(0)

    accelerator = Accelerator(gradient_accumulation_steps=2, cpu=not torch.cuda.is_available())
    data = DataLoader(draw(args.length, 2 * args.batch * args.updates), batch_size=args.batch)
    net = Adder(args.hidden)
    model, optimizer, batches = accelerator.prepare(
        net, torch.optim.Adam(net.parameters(), lr=args.lr), data
    )
    losses: list[float] = []
    for x, y in batches:
        with accelerator.accumulate(model):
            loss = mse_loss(model(x), y)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    late = losses[-len(losses) // 4 :]
    accelerator.print(f"last quarter: mean squared error {sum(late) / len(late):.4f}")


if __name__ == "__main__":
    main()
