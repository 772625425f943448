"""Long-range tasks of the literature: one file a task, with its papers' settings, its chance loss and its criterion.

Each is a function that gives a `Task`; `table` has them all with their `PAPER` and `SMALL` settings, and `train` trains
a recurrent layer on one.
"""

from bptt.tasks._compare import compared as compared
from bptt.tasks._table import Entry as Entry
from bptt.tasks._table import entry as entry
from bptt.tasks._table import table as table
from bptt.tasks._task import Batch as Batch
from bptt.tasks._task import Evaluation as Evaluation
from bptt.tasks._task import Score as Score
from bptt.tasks._task import Task as Task
from bptt.tasks._task import TaskError as TaskError
from bptt.tasks._train import CELLS as CELLS
from bptt.tasks._train import Learner as Learner
from bptt.tasks._train import Point as Point
from bptt.tasks._train import Run as Run
from bptt.tasks._train import Trial as Trial
from bptt.tasks._train import train as train
from bptt.tasks._variant import Variant as Variant
from bptt.tasks.adding import adding as adding
from bptt.tasks.copy import copy as copy
from bptt.tasks.delayed_xor import delayed_xor as delayed_xor
from bptt.tasks.memorisation import memorisation as memorisation
from bptt.tasks.multiplication import multiplication as multiplication
from bptt.tasks.permuted_digits import permuted_digits as permuted_digits
from bptt.tasks.random_permutation import random_permutation as random_permutation
from bptt.tasks.sequential_digits import sequential_digits as sequential_digits
from bptt.tasks.temporal_order import temporal_order as temporal_order
