"""Every number on docs/theory.md, computed.

    python docs/theory.py           writes the numbers into the page
    python docs/theory.py --check   says which differ

On the page a number is followed by its name in a comment, `0.58<!--plain.total-->`.
"""

import math
import re
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import bptt
from bptt.flow import Site, Theory

PAGE = Path(__file__).parent / "theory.md"
NUMBER = re.compile(r"(?P<value>[-+\d.,e]+)<!--(?P<name>[\w.]+)-->")
STEPS, INPUTS, HIDDEN = 100, 8, 64


def example(module: nn.RNNBase, scale: float = 1.0, steps: int = STEPS) -> Site:
    """The page's running example: random inputs, and a loss that reads only the last output."""
    generator = torch.Generator().manual_seed(1)
    x = scale * torch.randn(steps, 16, INPUTS, dtype=torch.float64, generator=generator)
    return bptt.measure(module, x, loss=lambda out: out[0][-1].square().sum())["l0"]


Kind = type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]


def made(kind: Kind, **options: str) -> nn.RNNBase:
    """A layer with PyTorch's own initial weights."""
    torch.manual_seed(0)
    return kind(INPUTS, HIDDEN, dtype=torch.float64, **options)


def orthogonal(scale: float = 1.0, nonlinearity: str = "tanh") -> nn.RNNBase:
    """An RNN whose recurrent weights are a multiple of an orthogonal matrix."""
    module = made(nn.RNN, nonlinearity=nonlinearity)
    with torch.no_grad():
        nn.init.orthogonal_(module.get_parameter("weight_hh_l0"), gain=scale)
    return module


def gate_bias(kind: Kind, value: float) -> nn.RNNBase:
    """A gated layer with a given bias on the gate that keeps: an LSTM's f, a GRU's z. Both are the second."""
    module = made(kind)
    with torch.no_grad():
        module.get_parameter("bias_ih_l0")[HIDDEN : 2 * HIDDEN] = value
        module.get_parameter("bias_hh_l0")[HIDDEN : 2 * HIDDEN] = 0
    return module


def credit_at(site: Site, lag: int) -> float:
    """The credit curve at one lag."""
    assert site.credit is not None
    return float(site.credit[lag])


def factors(name: str, site: Site) -> dict[str, float]:
    """The horizon and the attribution of one example under its name."""
    assert site.attribution is not None
    assert site.horizon is not None
    mean = site.attribution.per_step()
    return {f"{name}.horizon": site.horizon} | {f"{name}.{key}": each for key, each in mean.items()}


def numbers() -> dict[str, str]:
    """All of the page's numbers, as they are printed there."""
    return {
        n: shown(v) for part in (chain(), wrong(), learning(), cures()) for n, v in part.items()
    }


def shown(value: float) -> str:
    """Whole numbers as they are, others with two digits."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.2f}" if 0.01 <= abs(value) < 100 else f"{value:.1e}"


def chain() -> dict[str, float]:
    """The plain RNN: its two numbers of theory beside what is measured."""
    site = example(made(nn.RNN))
    assert site.theory is not None
    assert site.rate is not None
    found = factors("plain", site)
    return found | {
        "plain.radius": site.theory.radius,
        "plain.norm": site.theory.norm,
        "plain.rate": math.exp(site.rate),
        "plain.credit10": credit_at(site, 10),
        "plain.linear10": float(site.theory.linear[10]),
        "plain.bound10": site.theory.norm**10,
    }


def wrong() -> dict[str, float]:
    """Where the popular statement fails: non-normal weights, slopes, inputs."""
    shear = torch.tensor([[0.5, 10.0], [0.0, 0.5]], dtype=torch.float64)
    two = Theory.of(shear, 2)
    gains = [float(torch.linalg.matrix_norm(torch.matrix_power(shear, k), 2)) for k in range(1, 40)]
    found = {
        "shear.radius": two.radius,
        "shear.norm": two.norm,
        "shear.top": max(gains),
        "shear.below": 1 + next(k for k, gain in enumerate(gains) if gain < 1),
    }
    for name, scale in (("quiet", 0.1), ("normal", 1.0), ("loud", 5.0)):
        found |= factors(name, example(orthogonal(), scale))
    return found


def learning() -> dict[str, float]:
    """What vanishing and exploding do to the gradient that the weights get."""
    plain, steep = example(made(nn.RNN)), example(orthogonal(1.5, "relu"), 0.1, 60)
    norms = plain.grad_h.sum(1)
    growth = steep.grad_h[0] / steep.grad_h[-1]
    return {
        "learning.last10": 100 * float(norms[-10:].sum() / norms.sum()),
        "learning.first50": float(norms[:50].sum() / norms.sum()),
        "steep.growth": float(growth.mean()),
        "steep.total": factors("", steep)[".total"],
        "clip.cosine": clipped_cosine(),
    }


def clipped_cosine() -> float:
    """Cosine between an exploding gradient before and after clipping its norm to 1."""
    module = orthogonal(1.5, "relu")
    x = torch.randn(60, 16, INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    module(0.1 * x)[0][-1].square().sum().backward()

    def flat() -> Tensor:
        return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])

    before = flat()
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    return float(nn.functional.cosine_similarity(before, flat(), dim=0))


def cures() -> dict[str, float]:
    """What ReLU and gates change in each factor."""
    found = factors("relu", example(orthogonal(1.0, "relu"), 0.1))
    identity = made(nn.RNN, nonlinearity="relu")
    with torch.no_grad():
        nn.init.eye_(identity.get_parameter("weight_hh_l0"))
    found |= factors("identity", example(identity, 0.1))
    for name, module in (
        ("lstm", made(nn.LSTM)),
        ("lstm1", gate_bias(nn.LSTM, 1.0)),
        ("lstm3", gate_bias(nn.LSTM, 3.0)),
        ("gru", made(nn.GRU)),
        ("gru3", gate_bias(nn.GRU, 3.0)),
    ):
        found |= factors(name, example(module))
        noisy = bptt.lyapunov(module, k=1, steps=300, samples=4)["l0"]
        found[f"{name}.exponent"] = noisy.largest
    return found


def rewritten(text: str, values: dict[str, str]) -> str:
    """The page with every number set to its value."""
    return NUMBER.sub(lambda match: f"{values[match['name']]}<!--{match['name']}-->", text)


def main() -> None:
    """Write the page, or compare."""
    text, values = PAGE.read_text(encoding="utf-8"), numbers()
    fresh = rewritten(text, values)
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, encoding="utf-8")
    elif fresh != text:
        stale = [m["name"] for m in NUMBER.finditer(text) if m["value"] != values[m["name"]]]
        sys.exit(f"{PAGE.name}: not as computed: {', '.join(stale)}; run python docs/theory.py")


if __name__ == "__main__":
    main()
