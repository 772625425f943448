"""The recurrent modules that a remedy of this folder hooks."""

from torch import nn

from bptt.remedies._target import Target


def modules_at(model: nn.Module, site: str) -> list[nn.Module]:
    """The recurrent modules at a site, each once.

    Raises:
        RemedyError: there is none.
    """
    return list(
        {id(layer.module): layer.module for layer in Target(model, site=site).layers()}.values()
    )


def sequences_at(model: nn.Module, site: str) -> list[nn.RNNBase]:
    """Those that take a whole sequence at a call."""
    return [each for each in modules_at(model, site) if isinstance(each, nn.RNNBase)]
