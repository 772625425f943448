"""What a training leaves in its folder: checkpoints to go on from, and the model to use.

| file | holds |
|---|---|
| `config.json` | the settings |
| `tokens/` | the text as symbols |
| `last.ckpt` | weights, optimizer, carried states, position, progress: all that a resumed run needs |
| `model.safetensors` | the weights with the fewest bits per character yet; settings and vocabulary in its header |
| `log.jsonl` | a line a validation |
| `run.json`, `flow.jsonl`, `findings.json` | what the monitor saw |

Nothing that is read can run code: checkpoints are loaded with `weights_only`, safetensors and JSON hold data.
"""

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from bptt._files import DamagedFileError, check_stamp, read_regular, regular, seal, stamped, unseal
from bptt.lm._config import Config, LmError
from bptt.lm._files import write
from bptt.lm._model import LanguageModel
from bptt.lm._vocabulary import Vocabulary, from_dict

CONFIG, TOKENS, LAST, MODEL, LOG = (
    "config.json",
    "tokens",
    "last.ckpt",
    "model.safetensors",
    "log.jsonl",
)

CONVERT = (
    "`content = torch.load(FILE, weights_only=False)` where you trust the file, then `torch.save` of the tensors and "
    "plain values in it, and of nothing else"
)
CONVERT_MODEL = (
    "`safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW)` takes over weights; settings and "
    "vocabulary come from `bptt train`"
)
CONFIG_FORMAT = 2
"""Of `config.json`; format 1 had no checksum, and is read."""


class Whole(CheckpointIO):
    """Lightning's checkpoints, written beside the old one and then put in its place."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """One file."""
        write(Path(path), stamped(lambda file: torch.save(checkpoint, file)))

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Whatever was asked for, tensors and plain values only."""
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Delete it."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content.

    Raises:
        LmError: there is none, or it is damaged or of another program.
    """
    try:
        check_stamp(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except DamagedFileError as error:
        raise LmError(f"{path} cannot be used: {error}") from None
    except OSError as error:
        if path.is_file():  # a file cut short fails in the reading
            raise LmError(f"{path} is not a checkpoint ({error.strerror or error})") from None
        raise LmError(
            f"{path} cannot be read: {error.strerror or error}; a run can be resumed once it has saved a checkpoint"
        ) from None
    except pickle.UnpicklingError:
        raise LmError(
            f"{path} is not a checkpoint of bptt train: it is damaged, or a pickle that would run code as it is read. "
            f"If it is your own, convert it: {CONVERT}"
        ) from None
    except Exception as error:  # of damaged bytes torch's reader raises nearly anything
        reason = [*str(error).splitlines(), "it is empty"][0]
        raise LmError(f"{path} is not a checkpoint ({reason})") from None
    if not isinstance(content, dict) or not isinstance(content.get("bptt"), dict):
        raise LmError(f"{path} is a checkpoint of another program; expected one of bptt train")
    return content


def check_fits(path: Path, content: dict[str, Any], config: Config, model: LanguageModel) -> None:
    """That a checkpoint is one of this model.

    Raises:
        LmError: it is of another one; the message names the first difference.
    """
    weights = content.get("state_dict")
    if not isinstance(weights, dict) or not isinstance(content["bptt"].get("config"), str):
        raise LmError(f"{path} is damaged: it holds no settings or no weights")
    saved = Config.read(content["bptt"]["config"], path)
    for name in ("cell", "layers", "hidden", "inputs", "tie", "tokens", "batch", "optimizer"):
        if getattr(saved, name) != getattr(config, name):
            raise LmError(
                f"{path} is a checkpoint of another model: its {name} is {getattr(saved, name)!r}, here it is "
                f"{getattr(config, name)!r}"
            )
    own = {f"model.{name}": value.shape for name, value in model.state_dict().items()}
    for name in sorted(own.keys() | weights.keys(), key=str):
        there = weights.get(name)
        if not isinstance(there, torch.Tensor) or name not in own or there.shape != own[name]:
            raise LmError(f"{path} is a checkpoint of another model: {name} differs")


def export(path: Path, model: LanguageModel, vocabulary: Vocabulary, update: int) -> None:
    """Write the weights, with all that is needed to use them."""
    about = {
        "version": 2,
        "config": json.loads(model.config.to_json()),
        "vocabulary": vocabulary.to_dict(),
        "update": update,
    }
    weights = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    if model.config.tie:
        del weights["readout.weight"]  # the embedding's, and no file holds a tensor twice
    told = json.dumps(about)
    stated = {"bptt": told, "sha256": _digest(weights, told)}
    write(path, lambda file: file.write(save(weights, stated)))


def _digest(weights: dict[str, torch.Tensor], told: str) -> str:
    """SHA-256 of a model's file: what it says about itself, then name, shape and bytes of each tensor."""
    digest = hashlib.sha256(told.encode())
    for name in sorted(weights):
        value = weights[name].contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_model(path: str | Path) -> tuple[LanguageModel, Vocabulary]:
    """A model that `bptt train` made, from its run folder or its file.

    Raises:
        LmError: there is none, or it is damaged or of another program.
    """
    path = Path(path)
    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise LmError(f"{path} does not exist; give the folder of a training, or its {MODEL}")
    try:
        with safe_open(path, framework="pt") as file:
            stated = file.metadata() or {}
            told = stated.get("bptt")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        if _is_pickled(path):
            raise LmError(
                f"{path} is a pickle or of torch.save, and such files may run code as they are read; expected "
                f"safetensors, as {MODEL} of a training. If it is your own, convert it: {CONVERT_MODEL}"
            ) from None
        raise LmError(f"{path} is not a model of bptt train ({error})") from None
    if told is None:
        raise LmError(f"{path} is a model of another program; expected one of bptt train")
    try:
        about = json.loads(told)
        config = Config.read(json.dumps(about["config"]), path)
        vocabulary = from_dict(about["vocabulary"], path)
        version = about["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LmError(f"{path} is damaged ({error})") from None
    # Files of version 1 had no checksum.
    if (version != 1 or "sha256" in stated) and stated.get("sha256") != _digest(weights, told):
        raise LmError(f"{path} is damaged: its content does not fit its checksum")
    if version not in (1, 2):
        raise LmError(
            f"{path} is of format {version}, and this bptt reads up to 2: install a newer bptt"
        )
    _check_sizes(path, config, vocabulary, weights)
    model = LanguageModel(config, vocabulary.size)
    if config.tie:
        weights["readout.weight"] = weights.get("embedding.weight", torch.empty(0))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise LmError(f"{path} is damaged: {str(error).splitlines()[1].strip()}") from None
    return model.eval(), vocabulary


def _is_pickled(path: Path) -> bool:
    """Whether a file begins as a zip archive of torch's, or as a pickle."""
    try:
        with regular(path) as file:
            begins = file.read(8)
    except OSError:
        return False
    if begins.startswith(b"PK\x03\x04"):
        return True
    # A safetensors file begins with the length of its header, eight bytes whose higher ones are 0.
    return begins[:1] == b"\x80" and begins[1:2] in b"\2\3\4\5" and any(begins[4:])


def _check_sizes(
    path: Path, config: Config, vocabulary: Vocabulary, weights: dict[str, torch.Tensor]
) -> None:
    """That the settings' sizes are those of the weights, before memory is taken for a model of these sizes."""
    stated = {
        "embedding.weight": (vocabulary.size, config.inputs),
        f"layers.{config.layers - 1}.weight_hh_l0": (None, config.hidden),
    }
    for name, sizes in stated.items():
        there = weights.get(name, torch.empty(0)).shape
        if len(there) != 2 or there[1] != sizes[1] or sizes[0] not in (None, there[0]):
            raise LmError(
                f"{path} is damaged: {name} is of shape {list(there)}, not of its settings' sizes"
            )


def resumed(folder: str | Path, **changed: Any) -> Config:
    """The settings of a training in a folder; those given as other than None are changed.

    Raises:
        LmError: there is no training.
    """
    path = Path(folder) / CONFIG
    try:
        data = read_regular(path)
        text = data.decode()
        if _sealed(text):
            text = json.dumps(unseal(data, CONFIG_FORMAT, before=()))
    except DamagedFileError as error:
        raise LmError(f"{path} cannot be used: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LmError(
            f"{folder} has no training to resume: {path} cannot be read ({reason})"
        ) from None
    given = {name: value for name, value in changed.items() if value is not None}
    return replace(Config.read(text, path), **given)


def _sealed(text: str) -> bool:
    """Whether settings have a checksum; not those of format 1, and not what is no JSON."""
    try:
        told = json.loads(text)
    except ValueError:
        return False
    except RecursionError:
        raise DamagedFileError("it is damaged: it is nested too deeply") from None
    return isinstance(told, dict) and bool(told.keys() & {"format", "sha256", "writer"})


def write_config(folder: Path, config: Config) -> None:
    """Put the settings of a training into its folder.

    Raises:
        LmError: the folder cannot be written.
    """
    content = json.loads(config.to_json())
    write(folder / CONFIG, lambda file: file.write(seal(content, CONFIG_FORMAT)))
