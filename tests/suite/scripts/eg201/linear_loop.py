import torch
import torch.nn as nn


class LinearDynamics(nn.Module):
    """x' = A x + B u, unrolled in Python; A starts slightly too large."""

    def __init__(self, state=24, inputs=3):
        super().__init__()
        self.A = nn.Linear(state, state, bias=False)
        self.B = nn.Linear(inputs, state)
        self.C = nn.Linear(state, 1)
        nn.init.orthogonal_(self.A.weight, gain=1.25)

    def forward(self, u):
        x = u.new_zeros(u.size(0), self.A.in_features)
        for t in range(u.size(1)):
            x = self.A(x) + self.B(u[:, t])
        return self.C(x)


if __name__ == "__main__":
    torch.manual_seed(14)
    model = LinearDynamics()
    opt = torch.optim.Adam(model.parameters(), lr=1e-5)
    for i in range(40):
        u = torch.randn(16, 60, 3)
        y = u[:, -5:].mean(dim=(1, 2)).unsqueeze(1)
        err = nn.functional.smooth_l1_loss(model(u), y)
        opt.zero_grad()
        err.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        opt.step()
        if i % 10 == 0:
            print("iteration", i, "loss", err.item())
