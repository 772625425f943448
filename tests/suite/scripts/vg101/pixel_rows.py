"""How bright was the first row? An LSTM reads a picture pixel by pixel and answers at its end."""

import torch
from torch import nn


class PixelClassifier(nn.Module):
    def __init__(self, hidden_size=48, classes=4):
        super().__init__()
        self.rnn = nn.LSTM(input_size=1, hidden_size=hidden_size, batch_first=True)
        self.fc = nn.Linear(hidden_size, classes)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.fc(out[:, -1, :])


def pictures(n, steps=256):
    y = torch.randint(4, (n,))
    x = 0.3 * torch.randn(n, steps, 1)
    x[:, :16] += y[:, None, None] - 1.5
    return x, y


if __name__ == "__main__":
    torch.manual_seed(1)
    model = PixelClassifier()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for step in range(80):
        x, y = pictures(16)
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step:3d}  loss {loss.item():.4f}")
