# neuroscience style rate network, raw parameters; perceptual decision making
import numpy as np
import torch

rng = np.random.default_rng(11)
torch.manual_seed(11)
N, T, B, alpha = 40, 20, 64, 0.4
Win = (torch.randn(2, N) * 0.5).requires_grad_()
Wrec = (torch.randn(N, N) * 1.1 / N**0.5).requires_grad_()
brec = torch.zeros(N, requires_grad=True)
Wout = (torch.randn(N, 2) * 0.2).requires_grad_()
params = [Win, Wrec, brec, Wout]
opt = torch.optim.RMSprop(params, lr=1e-3, momentum=0.5)


def trial(batch):
    coh = rng.choice([-1.0, -0.5, 0.5, 1.0], size=batch)
    u = rng.normal(0, 0.6, size=(T, batch, 2))
    u[:, :, 0] += 0.5 * (1 + coh)
    u[:, :, 1] += 0.5 * (1 - coh)
    return torch.tensor(u, dtype=torch.float32), torch.tensor((coh > 0).astype(int))


def simulate(u):
    """Euler integration of the rate equations."""
    trace = np.zeros((T + 1, u.shape[1], N), dtype=np.float32)
    rates = None
    for t in range(T):
        prev = torch.from_numpy(trace[t].copy())
        drive = torch.einsum("bi,in->bn", u[t], Win) + prev @ Wrec + brec
        rates = (1 - alpha) * prev + alpha * torch.tanh(drive)
        trace[t + 1] = rates.data.numpy()  # store activity for plotting
    return rates, trace


for it in range(100):
    u, y = trial(B)
    r, trace = simulate(u)
    logit = r @ Wout
    loss = torch.nn.functional.cross_entropy(logit, y) + 1e-4 * (r**2).mean()
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    opt.step()
    if it % 40 == 0:
        print(
            it, f"loss {loss.item():.4f}", f"acc {(logit.argmax(1) == y).float().mean().item():.3f}"
        )
