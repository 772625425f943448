"""Handwritten digits read one pixel at a time: packed sequences of up to 64 steps.

    python examples/sequence_classification.py
    python examples/sequence_classification.py --bidirectional --workers 2

The 1,797 images of 8 x 8 pixels come with scikit-learn. Blank pixels after a digit's last one are
left out, so an image is 59 to 64 steps long, and a batch is a PackedSequence. Each epoch ends with
the accuracy on the 360 images that training never sees.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils.data import DataLoader, Dataset, random_split


class Digits(Dataset[tuple[Tensor, int]]):
    """Each digit as its pixels [T, 1] in [0, 1], up to the last one that is not blank."""

    def __init__(self) -> None:
        pixels, labels = load_digits(return_X_y=True)
        self.pixels = torch.tensor(pixels, dtype=torch.float32) / 16
        self.labels = [int(label) for label in labels]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        last = int(self.pixels[i].nonzero().max())
        return self.pixels[i, : last + 1, None], self.labels[i]


class Classifier(nn.Module):
    def __init__(self, cell: str, hidden: int, bidirectional: bool) -> None:
        super().__init__()
        module = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.rnn = module(1, hidden, bidirectional=bidirectional)
        self.readout = nn.Linear(hidden * (2 if bidirectional else 1), 10)

    def forward(self, x: PackedSequence) -> Tensor:
        _, state = self.rnn(x)
        h = state[0] if isinstance(state, tuple) else state  # an LSTM's state is (h, c)
        return self.readout(torch.cat(list(h), dim=-1))


def collate(samples: list[tuple[Tensor, int]]) -> tuple[PackedSequence, Tensor]:
    pixels, labels = zip(*samples, strict=True)
    return pack_sequence(list(pixels), enforce_sorted=False), torch.tensor(labels)


@torch.no_grad()
def accuracy(model: Classifier, loader: DataLoader[tuple[Tensor, int]]) -> float:
    model.eval()
    hits = [(model(x).argmax(-1) == y).float() for x, y in loader]
    model.train()
    return torch.cat(hits).mean().item()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cell", default="gru", choices=["rnn", "gru", "lstm"])
    parser.add_argument("--bidirectional", action="store_true")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--workers", type=int, default=0, help="processes that load the data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", metavar="FILE", help="where the trained weights go")
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    digits = Digits()
    train, test = random_split(digits, [len(digits) - 360, 360])
    settings = {"batch_size": args.batch, "collate_fn": collate, "num_workers": args.workers}
    train_loader = DataLoader(train, shuffle=True, **settings)
    test_loader = DataLoader(test, **settings)

    model = Classifier(args.cell, args.hidden, args.bidirectional)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    for epoch in range(1, args.epochs + 1):
        losses: list[float] = []
        for x, y in train_loader:
            loss = cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        loss = sum(losses) / len(losses)
        print(f"epoch {epoch}: loss {loss:.3f}", end=", ")
        print(f"accuracy {accuracy(model, test_loader):.3f}", flush=True)
    if args.save:
        torch.save(model.state_dict(), args.save)


if __name__ == "__main__":
    main()
