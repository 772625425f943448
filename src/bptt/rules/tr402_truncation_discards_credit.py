"""TR402 truncation-discards-credit: chunks of truncated backpropagation are shorter than the memory they cut.

## What it does

Fires when the state is carried from chunk to chunk without its gradient, and a large share of the credit would have
reached back beyond the chunk.

## Why it is bad

Truncation is a fair trade where the gradient has died out before the chunk's beginning. Where it has not, what is
thrown away is most of what the model could have learned from; and the gradient is biased towards short memory,
whatever the state still holds.

## Evidence

The credit curve within the chunk, carried on beyond it at the rate of its last half, and the share of its mass that
lies beyond.

## Threshold

`share` 0.25 at the last look, or at most of them, is advice, `most` 0.5 a warning.
A default cell keeps under 0.001 of its credit over chunks of 20 steps. What lies beyond is counted for `beyond` 20
further chunks. Where credit grows by `growth` 10 within the chunk there is nothing to carry on: EG201 has the word.

## Examples

`bad()`: an LSTM with open forget gates in chunks of 10. `good()`: a default LSTM in chunks of 35.

## Remedies

Longer chunks: `truncation` with the length at which a tenth would be thrown away. Or `reach_back`, which keeps the
chunks and their updates, and runs the steps before each again.

## Known limits

The curve beyond the chunk is not measured; it is carried on.

## References

Williams & Peng (1990); Tallec & Ollivier (2017), "Unbiasing truncated backpropagation through time", arXiv
1705.08209.
"""

import math

import torch
from torch import Tensor, nn

from bptt.rules._evidence import Evidence, Look
from bptt.rules._example import Example, Reader, example, gate_bias_
from bptt.rules._rule import Finding, Options, Prescription
from bptt.rules._truncation import discarded, passes, rate_at_end
from bptt.rules._words import confidence, median, percent

OPTIONS: Options = {"share": 0.25, "most": 0.5, "beyond": 20, "growth": 10.0}


class Stream:
    """A noisy wave in chunks; the state is carried on, its gradient is not."""

    def __init__(self, steps: int) -> None:
        self.steps, self.time, self.state = steps, 0, None

    def __call__(self, model: nn.Module) -> Tensor:
        """The next chunk's loss."""
        time = torch.arange(self.time, self.time + self.steps + 1).view(-1, 1, 1)
        wave = torch.sin(0.1 * time + torch.arange(8.0).view(1, 8, 1))
        y, state = model(wave[:-1], self.state)
        self.time, self.state = self.time + self.steps, [part.detach() for part in state]
        return (y - wave[1:]).square().mean()


def bad() -> Example:
    """A memory of hundreds of steps, cut every ten."""
    return example(Reader(gate_bias_(nn.LSTM(1, 24), gate=1, value=5.0)), Stream(10), updates=24)


def good() -> Example:
    """A memory of twelve steps, cut every 35."""
    return example(Reader(nn.LSTM(1, 24)), Stream(35), updates=24)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site that throws much away at the last look or at most of them."""
    found = []
    for site, looks in evidence.each():
        looks = [
            look
            for look in looks
            if (look.carried or (look.cuts and passes(evidence, look) > 1))
            and look.growth < math.log(options["growth"])
        ]
        if not looks:
            continue

        def wrong(look: Look) -> bool:
            return discarded(look, options["beyond"]) >= options["share"]

        if not wrong(looks[-1]) and 2 * sum(map(wrong, looks)) <= len(looks):
            continue
        look = next(look for look in reversed(looks) if wrong(look))
        share = discarded(look, options["beyond"])
        if look.steps < 2:
            continue
        enough = median([discarded(each, options["beyond"]) for each in looks]) >= options["most"]
        rate = rate_at_end(look)
        longer = math.ceil(math.log(0.1) / rate) if rate < -1e-3 else 10 * look.steps
        longer = max(2 * look.steps, min(longer, 10 * look.steps))
        found.append(
            Finding(
                code="TR402",
                name="truncation-discards-credit",
                site=site,
                severity="warning" if enough and share >= options["most"] else "advice",
                message=f"chunks of {look.steps} steps throw away {percent(share)} of the credit: "
                f"{percent(min(math.exp(look.log_credit[-1]), 1))} of a gradient is left where the chunk begins. "
                f"Chunks of about {longer} steps would keep most of it.",
                evidence={"discarded": share, "steps": look.steps, "rate": rate},
                update=next(each.update for each in looks if wrong(each)),
                persists=wrong(looks[-1]),
                prescriptions=(
                    Prescription("truncation", {"length": longer}),
                    Prescription("reach_back", {"length": longer}),
                ),
                confidence=confidence(looks, wrong),
            )
        )
    return found
