"""The mathematics of recurrent cells, one file each. A new cell is one file and one row here."""

from bptt.cells._cell import Cell as Cell
from bptt.cells._cell import State as State
from bptt.cells._cell import Weights as Weights
from bptt.cells._cell import at as at
from bptt.cells.gru import GRU
from bptt.cells.lstm import LSTM
from bptt.cells.rnn_relu import ReLURNN
from bptt.cells.rnn_tanh import TanhRNN

CELLS: dict[str, Cell] = {cell.name: cell for cell in (TanhRNN(), ReLURNN(), GRU(), LSTM())}
"""Every cell by name."""
