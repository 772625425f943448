"""The laws of the table of remedies: what every row keeps, restores and refuses, and what it cures."""

import copy
import inspect
import io
import math
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from bptt.doctor import Monitor
from bptt.remedies import Change, Remedy, RemedyError, Target, table
from bptt.rules import Finding
from bptt.rules import table as rules
from bptt.rules._example import Reader
from everything import bits, everything

REMEDIES, RULES = table(), rules()
GIVEN: dict[str, Any] = {
    "lag": 40, "lr": 0.01, "max_norm": 1.0, "value": 1.0, "length": 8, "clip": 0.5, "limit": 1.0,
}  # fmt: skip
"""What a remedy is told where it has to be told something and no rule prescribes it."""
CELLS = ("tanh", "relu", "gru", "lstm")
CURES = [(name, code) for name, row in REMEDIES.items() for code in row.cures]
each_remedy = pytest.mark.parametrize("name", REMEDIES)


def subject(cell: str) -> tuple[Reader, Optimizer]:
    """A small model amid its training: gradients and momenta are there, and one parameter has no gradient."""
    torch.manual_seed(1)
    kinds = {"gru": nn.GRU, "lstm": nn.LSTM}
    rnn = kinds[cell](2, 6) if cell in kinds else nn.RNN(2, 6, nonlinearity=cell)
    model = Reader(rnn)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(2):
        update(model, optimizer)
    model.readout.bias.grad = None
    return model, optimizer


def update(model: nn.Module, optimizer: Optimizer) -> None:
    """One update on numbers that take nothing from torch's random stream."""
    x = torch.linspace(-1, 1, 9 * 3 * 2).view(9, 3, 2)
    optimizer.zero_grad()
    model(x)[0].square().mean().backward()
    optimizer.step()


def told(remedy: Remedy) -> dict[str, Any]:
    """Arguments for it: only those that have to be there."""
    named = inspect.signature(remedy.function).parameters
    needed = [name for name in remedy.arguments if named[name].default is inspect.Parameter.empty]
    return {name: GIVEN[name] for name in needed}


def fitting(remedy: Remedy, **changes: Any) -> list[str]:
    return [cell for cell in CELLS if not remedy.fits(Target(*with_optimizers(subject(cell))))]


def with_optimizers(pair: tuple[Reader, Optimizer]) -> tuple[Reader, tuple[Optimizer, ...]]:
    return pair[0], (pair[1],)


def prepared(remedy: Remedy, cell: str) -> tuple[Reader, Optimizer]:
    """A subject that the remedy has something to do for."""
    model, optimizer = subject(cell)
    if remedy.name == "own_parameters":
        model.rnn.weight_hh_l0.requires_grad_(False)
        optimizer.param_groups[0]["params"] = list(model.readout.parameters())
        for p in model.rnn.parameters():
            optimizer.state.pop(p, None)
    if remedy.name == "redraw":
        model.rnn.get_parameter("weight_hh_l0").data *= 30
    if remedy.name == "ignore_padding":
        model.words, model.loss = nn.Embedding(4, 2, padding_idx=0), nn.CrossEntropyLoss()
    return model, optimizer


def applied(remedy: Remedy, model: nn.Module, optimizer: Optimizer) -> Change:
    return remedy.apply(model, optimizer, **told(remedy))


PAIRS = [
    (name, cell)
    for name, remedy in REMEDIES.items()
    for cell in CELLS
    if not remedy.fits(Target(*with_optimizers(prepared(remedy, cell))))
]
each_pair = pytest.mark.parametrize(("name", "cell"), PAIRS)


@each_remedy
def test_a_remedy_fits_something(name: str) -> None:
    assert [cell for each, cell in PAIRS if each == name]


@each_pair
def test_undo_restores_every_bit(name: str, cell: str) -> None:
    model, optimizer = prepared(REMEDIES[name], cell)
    before = everything(model, optimizer)
    change = applied(REMEDIES[name], model, optimizer)
    assert change.active
    change.undo()
    assert everything(model, optimizer) == before
    assert not change.active


@each_pair
def test_undo_after_updates_leaves_nothing_behind(name: str, cell: str) -> None:
    model, optimizer = prepared(REMEDIES[name], cell)
    kept = (
        "classes",
        "settings",
        "hooks",
        "names",
        "identities",
        "trains",
        "owned",
        "own",
        "step hooks",
        "torch",
    )
    before = everything(model, optimizer)
    change = applied(REMEDIES[name], model, optimizer)
    for _ in range(2):
        update(model, optimizer)
    change.undo()
    after = everything(model, optimizer)
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    update(model, optimizer)


@each_pair
def test_a_remedy_says_what_it_did_and_how_to_keep_it(name: str, cell: str) -> None:
    change = applied(REMEDIES[name], *prepared(REMEDIES[name], cell))
    assert change.said
    assert all(change.said)
    assert len(change.lines) >= 1
    compiled = "\n".join(change.lines).replace("...", "Ellipsis")
    assert compiled.strip()
    change.undo()


@each_pair
def test_random_numbers_are_left_alone(name: str, cell: str) -> None:
    model, optimizer = prepared(REMEDIES[name], cell)
    before = torch.get_rng_state()
    change = applied(REMEDIES[name], model, optimizer)
    assert torch.equal(torch.get_rng_state(), before)
    change.undo()


@pytest.mark.parametrize(
    ("name", "cell"), [pair for pair in PAIRS if REMEDIES[pair[0]].kind != "structure"]
)
def test_state_dicts_keep_their_names_and_shapes(name: str, cell: str) -> None:
    """Swaps of structure are what changes them; everything else loads and is loaded as before."""
    model, optimizer = prepared(REMEDIES[name], cell)
    before = {key: value.shape for key, value in model.state_dict().items()}
    change = applied(REMEDIES[name], model, optimizer)
    assert {key: value.shape for key, value in model.state_dict().items()} == before
    y, _ = model(torch.ones(9, 3, 2))
    assert y.shape == (9, 3, 1) or name == "batch_first"
    change.undo()


@each_remedy
def test_what_does_not_fit_is_refused_and_nothing_touched(name: str) -> None:
    """A model without recurrence, no optimizer, a site that is not there: refused, or of no concern to the remedy."""
    remedy = REMEDIES[name]
    linear = nn.Linear(2, 2)
    adam = torch.optim.Adam(linear.parameters())
    cases: list[tuple[nn.Module, Optimizer | None, str]] = [(linear, adam, ""), (linear, None, "")]
    cases += [(*subject(cell), "elsewhere.l0") for cell in CELLS]
    said = []
    for model, optimizer, site in cases:
        known = optimizer or torch.optim.SGD(model.parameters())
        before = everything(model, known)
        try:
            change = remedy.apply(model, optimizer, site=site, **told(remedy))
        except RemedyError as error:
            said.append(str(error))
        else:
            change.undo()
        assert everything(model, known) == before
    assert said or name in ANYWHERE
    assert all(len(sentence) > 20 for sentence in said)


ANYWHERE = ("finite_gradients", *(n for n, each in REMEDIES.items() if each.kind == "clipping"))
"""They act on gradients, whatever the model is."""


@each_remedy
def test_an_unknown_argument_is_refused_by_name(name: str) -> None:
    model, optimizer = subject("gru")
    before = everything(model, optimizer)
    with pytest.raises(RemedyError, match="does not take colour"):
        REMEDIES[name].apply(model, optimizer, colour=1)
    assert everything(model, optimizer) == before


# The promise: the remedy silences the rule that it claims to cure, on that rule's bad model.


BRIEF = 4
"""Updates that show a fault, and that it stays away: both of the first milestones, 1 and 3, and one more."""
LONG = ("EG202", "EG203", "OP501", "TR402", "VG102")
"""Rules that read windows of updates, or what grows with training: their examples are trained whole."""


@cache
def judged(
    code: str, remedy: str | None = None, args: tuple[tuple[str, Any], ...] = ()
) -> tuple[list[Finding], list[float]]:
    """What the rule says of its bad model after training with the remedy in place, and the losses."""
    torch.manual_seed(0)
    example = RULES[code].bad()
    example.updates = example.updates if code in LONG else min(example.updates, BRIEF)
    change = None
    if remedy is not None:
        change = REMEDIES[remedy].apply(example.model, example.optimizer, **dict(args))
    with Monitor(example.model, example.optimizer) as monitor:
        example.train()
    assert monitor.fault is None, monitor.fault
    assert len(monitor.findings) >= 0
    found = RULES[code].check(monitor.case.evidence, RULES[code].options)
    if change is not None:
        change.undo()  # some remedies act on the whole process
    return found, list(example.losses)


@cache
def untreated(code: str) -> Finding:
    (found,), _ = judged(code)
    return found


def silences(name: str, code: str, args: dict[str, Any]) -> None:
    found, losses = judged(code, name, tuple(args.items()))
    # Where the rule was an error or a warning, a remark may be left of it.
    loud = untreated(code).severity != "advice"
    assert [each for each in found if not (loud and each.severity == "advice")] == []
    assert all(math.isfinite(loss) for loss in losses) or code == "NF603"


@pytest.mark.parametrize("code", RULES)
def test_every_rule_has_a_cure(code: str) -> None:
    assert [name for name, cured in CURES if cured == code]


@pytest.mark.parametrize(("name", "code"), CURES)
def test_the_cure_silences_its_rule(name: str, code: str) -> None:
    written = [p.args for p in untreated(code).prescriptions if p.remedy == name]
    silences(name, code, {**told(REMEDIES[name]), **(written[0] if written else {})})


@pytest.mark.parametrize("code", RULES)
def test_what_a_rule_prescribes_first_silences_it(code: str) -> None:
    """As it is written, with the arguments that the finding names and no others."""
    first = untreated(code).prescriptions[0]
    assert code in REMEDIES[first.remedy].cures
    silences(first.remedy, code, first.args)


@pytest.mark.parametrize("code", RULES)
def test_what_a_rule_prescribes_can_be_applied_as_it_is_written(code: str) -> None:
    example = RULES[code].bad()
    for each in untreated(code).prescriptions:
        each_change = REMEDIES[each.remedy].apply(example.model, example.optimizer, **each.args)
        assert each_change.said
        each_change.undo()


def test_copies_are_treated_apart() -> None:
    """Remedies are tried on copies: what is done to one must not reach the other."""
    model, _ = subject("lstm")
    other = copy.deepcopy(model)
    before = {key: bits(value) for key, value in other.state_dict().items()}
    REMEDIES["spectral_radius"].apply(model, radius=0.5)
    assert {key: bits(value) for key, value in other.state_dict().items()} == before


@each_pair
def test_a_copy_and_a_saved_model_have_the_remedy_for_themselves(name: str, cell: str) -> None:
    """Training the copy leaves the original as it is; both can be made in mid-training, and are not the original."""
    model, optimizer = prepared(REMEDIES[name], cell)
    change = applied(REMEDIES[name], model, optimizer)
    update(model, optimizer)
    other, its = copy.deepcopy((model, optimizer))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    before = everything(model, optimizer)
    weights = [p.detach().clone() for p in other.parameters()]
    for _ in range(2):
        update(other, its)
    loaded(torch.ones(9, 3, 2))[0].sum().backward()
    after = everything(model, optimizer)
    assert {key: after[key] for key in ("weights", "grads")} == {
        key: before[key] for key in ("weights", "grads")
    }
    assert not all(torch.equal(a, b) for a, b in zip(weights, other.parameters(), strict=True))
    assert any(p.grad is not None for p in loaded.parameters())
    change.undo()


NUMBERS = {
    "bound_bias": "limit", "forget_bias": "value", "identity_relu": "std", "learning_rate": "lr",
    "orthogonal": "gain", "spectral_radius": "radius", "redraw": "factor", "chrono": "lag", "truncation": "length",
}  # fmt: skip
"""One argument of each that takes a number."""


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["1", math.nan, math.inf, True], ids=str)
def test_what_is_no_number_is_refused_by_name(name: str, value: Any) -> None:
    cell = next(each for one, each in PAIRS if one == name)
    model, optimizer = prepared(REMEDIES[name], cell)
    before = everything(model, optimizer)
    # Past the type checker of the tests, as from a script.
    function = inspect.unwrap(REMEDIES[name].function)
    with pytest.raises(RemedyError, match=f"{NUMBERS[name]} is"):
        function(model, optimizer=optimizer, **{NUMBERS[name]: value})
    assert everything(model, optimizer) == before


def test_a_cell_is_not_exchanged_under_a_forward_pass_that_was_replaced() -> None:
    model, optimizer = subject("lstm")
    REMEDIES["h_detach"].apply(model, optimizer)
    with pytest.raises(RemedyError, match="replaced its forward pass"):
        REMEDIES["layer_norm"].apply(model, optimizer)
