"""One fixed problem, four loops: plain torch, Lightning, the Hugging Face Trainer, Accelerate. One verdict.

The data, the weights to begin with and the optimizer are the same, and so are all losses and weights that follow, bit
for bit: what differs is who calls whom. `vanishing` is a tanh RNN whose loss stands behind 150 steps; `healthy` is one
that reads 8, from orthogonal weights.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, Dataset

import bptt
from bptt import BpttError, Monitor
from bptt.doctor._verdict import as_dict
from bptt.integrations import lightning as lightning_room
from bptt.integrations import transformers as transformers_room

with warnings.catch_warnings():  # deprecations inside of the frameworks
    warnings.simplefilter("ignore")
    import lightning.pytorch as L
    import transformers
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

UPDATES, BATCH, HIDDEN = 12, 8, 16
STEPS = {"vanishing": 150, "healthy": 8}


class Series(Dataset[dict[str, Tensor]]):
    """What is asked for is the mean of a series."""

    def __init__(self, steps: int) -> None:
        self.x = torch.randn(UPDATES * BATCH, steps, 1, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"x": self.x[i], "labels": self.x[i].mean(0)}


def build(module: nn.Module, problem: str) -> None:
    """The same layers with the same weights, whatever holds them."""
    torch.manual_seed(3)
    rnn = nn.RNN(1, HIDDEN, batch_first=True)
    module.rnn, module.head = rnn, nn.Linear(HIDDEN, 1)
    if problem == "healthy":
        nn.init.orthogonal_(rnn.all_weights[0][1])


def loss_of(module: Any, x: Tensor, labels: Tensor) -> Tensor:
    return mse_loss(module.head(module.rnn(x)[0][:, -1]), labels)


class Net(nn.Module):
    def __init__(self, problem: str) -> None:
        super().__init__()
        build(self, problem)

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": loss_of(self, x, labels)}


class LightningNet(L.LightningModule):
    def __init__(self, problem: str) -> None:
        super().__init__()
        build(self, problem)

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        return loss_of(self, **batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return sgd(self)


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.02)


def loader(problem: str) -> DataLoader[dict[str, Tensor]]:
    return DataLoader(Series(STEPS[problem]), batch_size=BATCH)


@dataclass
class Outcome:
    """What a loop leaves behind."""

    monitor: Monitor
    model: nn.Module

    @property
    def findings(self) -> list[dict[str, Any]]:
        return [as_dict(each) for each in self.monitor.findings]


def plain(problem: str, folder: Path) -> Outcome:
    model = Net(problem)
    optimizer = sgd(model)
    with Monitor(model, optimizer) as monitor:
        for batch in loader(problem):
            loss = model(**batch)["loss"]
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return Outcome(monitor, model)


def quiet_trainer(folder: Path, *callbacks: Any, **told: Any) -> L.Trainer:
    off = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    told = {"logger": False, "max_epochs": 1, **off, **told}
    return L.Trainer(accelerator="cpu", default_root_dir=folder, callbacks=list(callbacks), **told)


def lightning(problem: str, folder: Path) -> Outcome:
    watch, model = lightning_room.MonitorCallback(), LightningNet(problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few workers, few steps
        quiet_trainer(folder, watch).fit(model, loader(problem))
    assert watch.monitor is not None
    return Outcome(watch.monitor, model)


def hugging_face_trainer(
    problem: str, folder: Path, model: nn.Module, *callbacks: Any
) -> transformers.Trainer:
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        max_grad_norm=0,
        train_sampling_strategy="sequential",
        lr_scheduler_type="constant",
        use_cpu=True,
        disable_tqdm=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        dataloader_pin_memory=False,
    )
    return transformers.Trainer(
        model,
        arguments,
        train_dataset=Series(STEPS[problem]),
        optimizers=(sgd(model), None),
        callbacks=list(callbacks),
    )


def hugging_face(problem: str, folder: Path) -> Outcome:
    watch, model = transformers_room.MonitorCallback(), Net(problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hugging_face_trainer(problem, folder, model, watch).train()
    assert watch.monitor is not None
    return Outcome(watch.monitor, model)


def accelerate(problem: str, folder: Path) -> Outcome:
    accelerator = Accelerator(cpu=True)
    model = Net(problem)
    model, optimizer, batches = accelerator.prepare(model, sgd(model), loader(problem))
    with Monitor(model, optimizer) as monitor:  # as Accelerate gives them
        for batch in batches:
            loss = model(**batch)["loss"]
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
    return Outcome(monitor, accelerator.unwrap_model(model))


@pytest.fixture(autouse=True)
def _left_as_it_was(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Frameworks keep state in the process; their chatter is no part of these tests."""
    for name in ("lightning.pytorch", "lightning.fabric", "transformers", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def expected() -> dict[str, Outcome]:
    return {problem: plain(problem, Path()) for problem in STEPS}


def test_the_plain_loop_tells_the_two_apart(expected: dict[str, Outcome]) -> None:
    severe = {
        problem: [
            (each["code"], each["site"])
            for each in outcome.findings
            if each["severity"] != "advice"
        ]
        for problem, outcome in expected.items()
    }
    assert severe == {"vanishing": [("VG101", "rnn.l0")], "healthy": []}


@pytest.mark.parametrize("problem", list(STEPS))
@pytest.mark.parametrize(
    "loop", [lightning, hugging_face, accelerate], ids=lambda loop: loop.__name__
)
def test_the_same_problem_has_the_same_findings(
    loop: Callable[[str, Path], Outcome], problem: str, expected: dict[str, Outcome], tmp_path: Path
) -> None:
    outcome, plain_one = loop(problem, tmp_path), expected[problem]
    assert outcome.monitor.fault is None
    assert outcome.monitor.updates == UPDATES
    state, reference = outcome.model.state_dict(), plain_one.model.state_dict()
    assert list(state) == list(reference)
    assert all(torch.equal(state[name], reference[name]) for name in reference)
    assert outcome.findings == plain_one.findings
    sites, known = outcome.monitor.tally.sites, plain_one.monitor.tally.sites
    assert sites.keys() == known.keys() == {"rnn.l0"}
    for key in ("horizon", "rate", "unreached", "steps", "batch", "credit"):
        assert sites["rnn.l0"][key] == known["rnn.l0"][key]


# Lightning.


def test_lightnings_loggers_get_the_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from lightning.pytorch.loggers import CSVLogger

    watch = lightning_room.MonitorCallback(lag=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger = CSVLogger(tmp_path)
        quiet_trainer(tmp_path, watch, logger=logger).fit(
            LightningNet("vanishing"), loader("vanishing")
        )
    assert watch.monitor is not None
    assert watch.monitor.flow is not None
    (file,) = tmp_path.rglob("metrics.csv")
    head, *lines = [row.split(",") for row in file.read_text().splitlines()]
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    drawn = {
        int(row["step"]): row["bptt/horizon/rnn.l0"] for row in rows if row["bptt/horizon/rnn.l0"]
    }
    assert {1, 3, 10} <= set(drawn)
    assert float(drawn[max(drawn)]) == watch.monitor.flow["rnn.l0"].horizon
    said = [each.getMessage() for each in caplog.records if each.name == "bptt"]
    assert [each.split(":")[0] for each in said] == ["VG101 vanishing-through-time rnn.l0"]


def test_a_lightning_run_that_breaks(tmp_path: Path) -> None:
    class Breaks(LightningNet):
        def training_step(self, batch: dict[str, Tensor]) -> Tensor:
            if self.global_step == 2:
                raise RuntimeError("no more")
            return loss_of(self, **batch)

    watch = lightning_room.MonitorCallback(out=tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RuntimeError, match="no more"):
            quiet_trainer(tmp_path, watch).fit(Breaks("vanishing"), loader("vanishing"))
    run = bptt.doctor.open_run(tmp_path / "run")
    assert (run.run["state"], run.run["updates"]) == ("failed", 2)
    assert [each.code for each in watch.findings][:1] == ["VG101"]


# Hugging Face.


def test_a_trainer_that_breaks_is_ended_by_the_next(tmp_path: Path) -> None:
    class Breaks(Net):
        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            if calls.append(1) or len(calls) == 3:
                raise RuntimeError("no more")
            return super().forward(x, labels)

    calls: list[int] = []
    watch = transformers_room.MonitorCallback()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RuntimeError, match="no more"):
            hugging_face_trainer("vanishing", tmp_path, Breaks("vanishing"), watch).train()
        first = watch.monitor
        assert first is not None
        hugging_face_trainer("vanishing", tmp_path, Net("vanishing"), watch).train()
    assert first.log.run["state"] == "failed"
    assert first.updates == 2
    assert watch.monitor is not first
    assert watch.monitor is not None
    assert watch.monitor.log.run["state"] == "finished"
    watch.close()
    assert watch.monitor.log.run["state"] == "finished"


@pytest.mark.parametrize(
    "room", [lightning_room, transformers_room], ids=["lightning", "transformers"]
)
def test_a_setting_that_does_not_exist(room: Any) -> None:
    with pytest.raises(BpttError, match="unknown setting 'stop_after': expected budget, out"):
        room.MonitorCallback(stop_after=3)
