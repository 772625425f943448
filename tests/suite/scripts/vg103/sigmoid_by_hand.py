"""A sigmoid recurrence with small weights: each step keeps about a fiftieth of the gradient."""

import torch


class SigmoidRNN(torch.nn.Module):
    def __init__(self, n_in, n_hidden, n_out):
        super().__init__()
        self.W_in = torch.nn.Parameter(0.01 * torch.randn(n_hidden, n_in))
        self.W_rec = torch.nn.Parameter(0.01 * torch.randn(n_hidden, n_hidden))
        self.bias = torch.nn.Parameter(torch.zeros(n_hidden))
        self.W_out = torch.nn.Parameter(0.01 * torch.randn(n_out, n_hidden))

    def forward(self, x):
        h = torch.zeros(x.shape[1], self.W_rec.shape[0])
        for x_t in x:
            h = torch.sigmoid(x_t @ self.W_in.T + h @ self.W_rec.T + self.bias)
        return h @ self.W_out.T


torch.manual_seed(8)
model = SigmoidRNN(6, 50, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for update in range(30):
    symbols = torch.randint(0, 4, (60, 20))
    symbols[10:] += 2
    x = torch.nn.functional.one_hot(symbols, 6).float()
    loss = torch.nn.functional.cross_entropy(model(x), symbols[0])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if update % 10 == 0:
        print(update, loss.item())
