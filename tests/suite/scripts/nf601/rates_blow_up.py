# relu rate network, weights too strong: activity blows up past float32 within one trial
import torch
import torch.nn.functional as F

torch.manual_seed(5)
N, T, B = 64, 120, 32
params = {
    "win": torch.randn(3, N) * 0.5,
    "w": torch.randn(N, N) * (4.5 / N**0.5),
    "wo": torch.randn(N, 3) * 0.1,
}
params = {k: v.requires_grad_() for k, v in params.items()}
opt = torch.optim.SGD(params.values(), lr=1e-3)


def run(p, u):
    h = torch.zeros(u.shape[1], N)
    hs = []
    for t in range(u.shape[0]):
        h = F.relu(u[t] @ p["win"] + h @ p["w"])
        hs.append(h)
    return torch.stack(hs)


for it in range(30):
    lab = torch.randint(0, 3, (B,))
    u = 0.3 * torch.randn(T, B, 3) + 0.5 * F.one_hot(lab, 3)
    hs = run(params, u)
    loss = F.cross_entropy(hs[-1] @ params["wo"], lab)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 10 == 0:
        print(it, loss.item(), hs.abs().max().item())
