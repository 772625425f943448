"""An LSTM in a simple RNN's or a GRU's place."""

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Target
from bptt.remedies.structure import _gated

CURES = ("VG103", "EG201", "SA301")


def fits(target: Target) -> str:
    """A simple RNN, a GRU or a cell of one."""
    return target.refusal(lambda layer: _gated.why_not(layer, "lstm"), whole=True)


def to_lstm(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    lag: int | None = None,
    seed: int = 0,
) -> Change:
    """Turn a simple RNN or a GRU into an LSTM, in place: `c_t = f c_{t-1} + i g`, `h_t = o tanh(c_t)`.

    | from | kept | fresh | lost |
    |---|---|---|---|
    | RNN | its weights, as those of the candidate `g` | `i f o` | a ReLU |
    | GRU | `n` as `g`; `z` as `f` and, since `1 - σ(a) = σ(-a)`, with its sign turned as `i` | `o` | `r` |

    Fresh gates are drawn as torch draws them. A fresh `f` has a bias of 3 (95 % of the cell stays, a step). With `lag`
    the biases of `f` and `i` are drawn for spans of 2 to `lag` steps as `chrono` has it.

    The module object stays (its hooks, its place, other references to it), and so does its call: where an `nn.LSTM`
    returns `y, (h, c)`, this one returns `y, h` and keeps `c` beside it. For each sample whose `h` comes back as it was
    returned (detached or not), `c` goes on; where `h` was changed (zeroed, learned, another layer's), `c` starts as
    `h`. Reordering the samples between two calls loses their `c`.

    Args:
        model: holds the layers; changed in place. A cell is exchanged in a whole module, so a site that is one of its
            layers stands for all of them.
        optimizer: gets the new parameters in the old ones' places; their momentum starts anew.
        site: one module or site, `""` for all that fit.
        lag: the longest dependency of the task, in steps, if it is known.
        seed: of the draw's own generator: the script's random numbers stay as they are.

    Raises:
        RemedyError: nothing at the site fits, or the optimizer is another model's; nothing was changed.

    Example:
        >>> import bptt, torch
        >>> from bptt.remedies import to_lstm
        >>> _ = torch.manual_seed(0)
        >>> model, x = nn.RNN(2, 16), torch.randn(100, 4, 2)
        >>> change = to_lstm(model)
        >>> y, h = model(x)
        >>> h.shape
        torch.Size([1, 4, 16])
        >>> bptt.measure(model, x, loss=lambda out: out[0][-1].sum())["l0"].horizon
        99
        >>> change.undo()
        >>> bptt.measure(model, x, loss=lambda out: out[0][-1].sum())["l0"].horizon < 30
        True

    Source: Hochreiter & Schmidhuber (1997); Gers, Schmidhuber & Cummins (2000) for `f`.
    """
    simple: _gated.Kept = {"g": ("h", 1)}
    kept = {
        "rnn_tanh": simple,
        "rnn_relu": simple,
        "gru": {"i": ("z", -1), "f": ("z", 1), "g": ("n", 1)},
    }
    with Change("to_lstm", {"lag": lag, "seed": seed}) as change:
        _gated.swap(change, model, optimizer, site, "lstm", kept, lag, seed)
        change.lines = lines(to_lstm, change.args, site)
    return change
