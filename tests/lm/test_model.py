"""The network: equal to plain torch.nn, dropout from (seed, step), masks that mean what they say."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from bptt.lm import Config, LmError
from bptt.lm._config import CELLS
from bptt.lm._model import LanguageModel, draw, nats
from bptt.lm._stream import IGNORED

SMALL = Config(hidden=12, embedding=5, layers=2, batch=3, backend="reference")
V, T, B = 9, 7, 3


def both(**changed: Any) -> tuple[LanguageModel, LanguageModel]:
    """The same weights on bptt's reference engine and on torch.nn."""
    own = LanguageModel(replace(SMALL, **changed), V)
    plain = LanguageModel(replace(SMALL, **changed, backend="torch"), V)
    plain.load_state_dict(own.state_dict())
    return own.double(), plain.double()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("weight_drop", [0.0, 0.5])
def test_equal_to_plain_torch(cell: str, weight_drop: float) -> None:
    if cell == "relu-rnn" and weight_drop:
        with pytest.raises(LmError, match="starts as the identity"):
            Config(cell=cell, weight_drop=weight_drop)
        return
    models = both(cell=cell, weight_drop=weight_drop, dropout=0.3)
    ids, targets = torch.randint(V, (T, B)), torch.randint(V, (T, B))
    found = []
    for model in models:
        masks = draw(model, B, slice(None), step=4)
        assert masks is not None
        masks = masks._replace(
            units=[m.double() for m in masks.units or []],
            weights=[m.double() for m in masks.weights] if masks.weights else None,
        )
        state = 0.1 * torch.ones_like(model.start(B))
        logits, end = model(ids, state, masks)
        nats(logits, targets).backward()
        grads = {name: p.grad for name, p in model.named_parameters()}
        found.append((logits, end, grads))
    (logits, end, grads), (expected, expected_end, expected_grads) = found
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(end, expected_end, rtol=0, atol=1e-12)
    for name, grad in grads.items():
        torch.testing.assert_close(grad, expected_grads[name], rtol=0, atol=1e-11, msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_a_text_in_chunks_is_the_text_at_once(cell: str) -> None:
    model = LanguageModel(replace(SMALL, cell=cell), V).double()
    ids = torch.randint(V, (T, B))
    whole, end = model(ids)
    first, state = model(ids[:3])
    second, last = model(ids[3:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(last, end, rtol=0, atol=1e-12)


def test_it_begins_orthogonal_with_open_gates() -> None:
    model = LanguageModel(replace(SMALL, cell="lstm"), V)
    layer: Any = model.layers[0]
    for block in layer.weight_hh_l0.split(12):
        torch.testing.assert_close(block @ block.T, torch.eye(12))
    assert (layer.bias_ih_l0 + layer.bias_hh_l0)[12:24].eq(1).all()


def test_tied_weights_are_one() -> None:
    model = LanguageModel(Config(hidden=6, tie=True), V)
    assert model.readout.weight is model.embedding.weight
    with pytest.raises(LmError, match="tied weights need both to be the same"):
        Config(hidden=6, embedding=5, tie=True)


def test_masks_come_from_seed_and_step_alone() -> None:
    model = LanguageModel(replace(SMALL, dropout=0.5, weight_drop=0.5), V)
    torch.manual_seed(1)
    first = draw(model, 8, slice(None), step=3)
    torch.manual_seed(2)
    again = draw(model, 8, slice(1, None, 2), step=3)  # of two processes the second
    other = draw(model, 8, slice(None), step=4)
    assert first is not None
    assert again is not None
    assert other is not None
    for n in range(2):
        assert torch.equal((first.units or [])[n][1::2], (again.units or [])[n])
        assert torch.equal((first.weights or [])[n], (again.weights or [])[n])
        assert not torch.equal((first.weights or [])[n], (other.weights or [])[n])
    assert not torch.equal((first.units or [])[0], (first.units or [])[1])


def test_a_mask_keeps_the_mean() -> None:
    model = LanguageModel(replace(SMALL, hidden=200, layers=1, dropout=0.25), V)
    masks = draw(model, 500, slice(None), step=0)
    assert masks is not None
    (units,) = masks.units or []
    assert units.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(units.mean()) == pytest.approx(
        1, abs=0.01
    )  # 100,000 draws: 0.01 is five deviations


def test_padding_costs_nothing() -> None:
    logits = torch.zeros(2, 2, V)
    targets = torch.tensor([[1, IGNORED], [IGNORED, IGNORED]])
    assert float(nats(logits, targets)) == pytest.approx(math.log(V))


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"cell": "gur"}, "cell is 'gur', expected one of rnn, relu-rnn, gru, lstm"),
        ({"hidden": 0}, "hidden is 0, expected a number of at least 1"),
        ({"dropout": 1.0}, "dropout is 1.0, expected a share"),
        ({"minutes": -1.0}, "minutes is -1.0"),
        ({"epochs": 0.0}, "epochs is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
    ],
)
def test_settings_out_of_range_are_a_sentence(told: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LmError, match=sentence):
        Config(**told)


def test_settings_come_back_from_json() -> None:
    config = Config(files=("a", "b"), cell="gru", dropout=0.5)
    assert Config.read(config.to_json(), "here") == config
    for text in ("{", "[]", '{"cel": "gru"}'):
        with pytest.raises(LmError, match="here does not hold the settings"):
            Config.read(text, "here")
