"""Forecast: GRU is warmed up on the history and trained on the forecast window."""

import torch
from torch import nn


def make_series(n, length, gen):
    # the amplitude in the forecast window is set by a pulse at the very start
    amp = torch.rand(n, 1, generator=gen) * 2 - 1
    phase = torch.rand(n, 1, generator=gen) * 6.28
    t = torch.arange(length).float()[None]
    wave = torch.sin(0.5 * t + phase)
    pulse = torch.zeros(n, length)
    pulse[:, :3] = amp
    feats = torch.stack([wave, pulse], -1)
    return feats, (amp * wave)[..., None]


class Forecaster(nn.Module):
    def __init__(self, hid=32):
        super().__init__()
        self.rnn = nn.GRU(2, hid, batch_first=True)
        self.readout = nn.Sequential(nn.Linear(hid, hid), nn.ReLU(), nn.Linear(hid, 1))

    def warm_up(self, past):
        with torch.no_grad():  # burn-in
            _, h = self.rnn(past)
        return h

    def forward(self, past, future):
        h = self.warm_up(past)
        y, _ = self.rnn(future, h)
        return self.readout(y)


if __name__ == "__main__":
    gen = torch.Generator().manual_seed(5)
    torch.manual_seed(5)
    model = Forecaster()
    optim = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-4)
    sched = torch.optim.lr_scheduler.StepLR(optim, 80, 0.5)
    hist, fut = 8, 6
    for step in range(100):
        x, y = make_series(64, hist + fut, gen)
        pred = model(x[:, :hist], x[:, hist:])
        loss = nn.functional.mse_loss(pred, y[:, hist:])
        optim.zero_grad(set_to_none=True)
        loss.backward()
        optim.step()
        sched.step()
        if step % 50 == 0:
            print(f"{step:4d} mse {loss.item():.4f}")
