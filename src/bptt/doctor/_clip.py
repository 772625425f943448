"""Hearing that gradients are clipped. Torch's clipping has one wrapper, which the remedies share: who comes and goes in
whatever order, all hear the clipping that takes place.
"""

from bptt.remedies.clipping._torch import Heard as Heard
from bptt.remedies.clipping._torch import listen as listen
from bptt.remedies.clipping._torch import unlisten as unlisten
