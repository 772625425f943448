"""What is said where a package is missing, before anything of it is imported."""

import subprocess
import sys

WITHOUT = """
import sys
from importlib import util
find_spec = util.find_spec
util.find_spec = lambda name, *more: None if name in {"lightning", "transformers"} else find_spec(name, *more)
for module in ("lightning", "transformers"):
    try:
        __import__("bptt.integrations." + module)
    except ImportError as error:
        print(error)
from bptt.integrations import mlflow, tensorboard, wandb
tensorboard.TensorBoard("x"), wandb.WeightsAndBiases(), mlflow.MLflow("y")
heavy = {"mlflow", "wandb", "tensorboard", "transformers", "lightning", "accelerate"}
print(heavy & set(sys.modules))
"""


def test_what_is_not_there_and_what_is_not_imported() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "Lightning is not installed: pip install 'bptt[lm]'",
        "Transformers is not installed: pip install 'bptt[transformers]'",
        "set()",
    ], done.stderr
