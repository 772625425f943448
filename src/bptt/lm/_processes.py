"""The processes of one training, as torchrun starts them: who this one is, and waiting for each other before the loop.

The rendezvous is torchrun's, the exchange of gradients Lightning's. The group is made before Lightning would, so that
the text is encoded once a machine while the others wait.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

PATIENCE = timedelta(hours=1)
"""How long processes wait for each other: a large text takes its time to encode. One that dies is noticed at once."""


@dataclass(frozen=True)
class Place:
    """This process among all.

    Attributes:
        rank, world: its number of how many.
        local, machine: its number on this machine of how many.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    machine: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.world > 1:
            distributed.barrier()

    def trainer(self) -> dict[str, Any]:
        """What Lightning's trainer is told."""
        if self.world == 1:
            return {"accelerator": "auto", "devices": 1}
        from lightning.pytorch.strategies import DDPStrategy

        return {
            "accelerator": "auto",
            "devices": self.machine,
            "num_nodes": self.world // self.machine,
            "strategy": DDPStrategy(gradient_as_bucket_view=True),
        }


@contextmanager
def processes() -> Iterator[Place]:
    """This process's place by torchrun's variables; the group exists meanwhile."""
    told = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE")}
    if "TORCHELASTIC_RUN_ID" not in os.environ or not all(told.values()):
        yield Place()
        return
    place = Place(
        int(told["RANK"]),
        int(told["WORLD_SIZE"]),
        int(os.environ.get("LOCAL_RANK", "0")),
        int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
    )
    own = place.world > 1 and not distributed.is_initialized()
    if own:
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield place
    finally:
        if own and distributed.is_initialized():
            distributed.destroy_process_group()


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's hints put aside; its errors and those warnings stay that mean something here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for hint in (
            ".*does not have many workers.*",  # the streams read less than the loop takes
            ".*GPU available but not used.*",
            ".*LeafSpec.*",  # between Lightning and torch
        ):
            warnings.filterwarnings("ignore", hint)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
