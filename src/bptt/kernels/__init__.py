"""One recurrent layer in one direction, on three engines that give the same numbers.

`native` is the compiled recurrence, `reference` loops over `bptt.cells` and can be read in a minute, `torch` is
PyTorch's own. What the engines share is a `Call`: the cell, where the steps lie, and what the backward pass shall do
besides.
"""

from bptt.kernels._call import GATES as GATES
from bptt.kernels._call import Call as Call
from bptt.kernels._call import Clip as Clip
from bptt.kernels._call import Inputs as Inputs
from bptt.kernels._call import Rows as Rows
from bptt.kernels._call import StepGradients as StepGradients
from bptt.kernels._choice import BACKENDS as BACKENDS
from bptt.kernels._choice import Backend as Backend
from bptt.kernels._choice import as_backend as as_backend
from bptt.kernels._choice import obstacle as obstacle
from bptt.kernels._choice import torch_is_faster as torch_is_faster
from bptt.kernels._layer import layer as layer
from bptt.kernels._load import available as available
from bptt.kernels._load import isa as isa
from bptt.kernels._load import present as present
from bptt.kernels._load import require as require
from bptt.kernels._units import clip_units as clip_units
