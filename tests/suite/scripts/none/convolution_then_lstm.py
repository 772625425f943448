# a strided convolution shortens 160 samples to 10 frames before the LSTM sees them
import torch
from torch import nn


class KeywordSpotter(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(1, 16, kernel_size=32, stride=16, padding=8),
            nn.BatchNorm1d(16),
            nn.ReLU(),
        )
        self.lstm = nn.LSTM(16, 24, batch_first=True)
        self.fc = nn.Linear(24, 3)

    def forward(self, audio):
        frames = self.conv(audio.unsqueeze(1)).transpose(1, 2)
        _, (h, _) = self.lstm(frames)
        return self.fc(h.squeeze(0))


torch.manual_seed(75)
net = KeywordSpotter()
opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
for i in range(60):
    y = torch.randint(3, (16,))
    t = torch.arange(160.0)
    audio = torch.sin(t * (0.3 + 0.25 * y[:, None])) + 0.3 * torch.randn(16, 160)
    loss = nn.functional.cross_entropy(net(audio), y, label_smoothing=0.05)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
