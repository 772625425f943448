"""Recurrent layers in torch.nn's place: same signatures, state dicts and numbers, on the compiled recurrence.

`RNN`, `GRU` and `LSTM` are torch.nn's, with `grad_clip=` and `backend=` besides. `accelerate` turns a model's layers
into them, `restore` turns them back.
"""

from bptt.nn._convert import accelerate as accelerate
from bptt.nn._convert import restore as restore
from bptt.nn._layers import GRU as GRU
from bptt.nn._layers import LSTM as LSTM
from bptt.nn._layers import RNN as RNN
