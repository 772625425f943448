import torch as th
import torch.nn as nn

# Two layers, both directions; is the motif anywhere in the middle of the window?
th.manual_seed(0)


class Net(nn.Module):
    def __init__(self, n_in=3, n_hid=24):
        super().__init__()
        self.lstm = nn.LSTM(n_in, n_hid, num_layers=2, bidirectional=True, dropout=0.1)
        self.head = nn.Sequential(nn.Linear(2 * n_hid, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x):
        _, (h, c) = self.lstm(x)
        return self.head(th.cat([h[-2], h[-1]], dim=-1))


def sample(n, T=180):
    x = th.randn(T, n, 3)
    y = th.randint(0, 2, (n,))
    x[T // 2 : T // 2 + 4, y == 1] += 1.5
    return x, y


net = Net()
sgd = th.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
ce = nn.CrossEntropyLoss()
running = None
for i in range(40):
    x, y = sample(12)
    sgd.zero_grad()
    loss = ce(net(x), y)
    loss.backward()
    sgd.step()
    running = loss.item() if running is None else 0.9 * running + 0.1 * loss.item()
print("loss after 40 updates:", round(running or 0.0, 4))
