"""Language models on the user's own text: training that survives interruption, evaluation, samples."""

from bptt.lm._config import Config as Config
from bptt.lm._config import LmError as LmError
from bptt.lm._evaluate import ContextCurve as ContextCurve
from bptt.lm._evaluate import context_curve as context_curve
from bptt.lm._evaluate import evaluate as evaluate
from bptt.lm._keep import load_model as load_model
from bptt.lm._keep import resumed as resumed
from bptt.lm._model import LanguageModel as LanguageModel
from bptt.lm._module import Point as Point
from bptt.lm._module import Tally as Tally
from bptt.lm._sample import sample as sample
from bptt.lm._text import addresses as addresses
from bptt.lm._text import documents as documents
from bptt.lm._train import Result as Result
from bptt.lm._train import train as train
from bptt.lm._vocabulary import UNKNOWN_BITS as UNKNOWN_BITS
