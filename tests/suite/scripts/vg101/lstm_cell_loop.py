"""Remember the first symbol until the end; written with a cell and a loop."""

import torch
from torch import nn, optim


class Memory(nn.Module):
    def __init__(self, symbols: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.cell = nn.LSTMCell(symbols, hidden)
        self.project = nn.Linear(hidden, symbols)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        h = sequence.new_zeros(sequence.shape[1], self.hidden)
        c = torch.zeros_like(h)
        for step in sequence:
            h, c = self.cell(step, (h, c))
        return self.project(h)


def main() -> None:
    torch.manual_seed(11)
    model = Memory(symbols=6, hidden=20)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    loss_function = nn.CrossEntropyLoss()
    for update in range(30):
        tokens = torch.randint(0, 6, (100, 8))
        one_hot = torch.nn.functional.one_hot(tokens, 6).float()
        loss = loss_function(model(one_hot), tokens[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % 10 == 0:
            print(f"{update:4d} {loss:.4f}")


if __name__ == "__main__":
    main()
