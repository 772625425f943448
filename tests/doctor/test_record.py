"""What a probe's line holds by step: the numbers of the flow itself, thinned and named by the input's own time."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import bptt
from bptt.doctor._record import digest_of
from bptt.flow import Flow


def measured(rnn: nn.Module, steps: int, last: bool = True) -> Flow:
    torch.manual_seed(0)
    return bptt.measure(
        rnn,
        torch.randn(steps, 3, 2),
        loss=lambda out: out[0][-1].sum() if last else out[0].square().sum(),
    )


def test_norms_are_those_of_the_flow() -> None:
    flow = measured(nn.LSTM(2, 4), 9, last=False)
    digest = digest_of(flow)
    assert {**digest, "sites": 0} == {**flow.digest(), "sites": 0}
    site = digest["sites"]["l0"]
    assert [t for t, _ in site["total"]] == list(range(9))
    for key, norms in (("total", flow["l0"].grad_h), ("direct", flow["l0"].grad_direct)):
        assert norms is not None
        assert [v for _, v in site[key]] == pytest.approx(norms.mean(1).tolist(), 1e-4)


def test_long_sequences_are_thinned_and_a_single_loss_stays_in_sight() -> None:
    flow = bptt.measure(
        nn.GRU(2, 4), torch.randn(1000, 1, 2), loss=lambda out: out[0][501].sum() + out[0][-1].sum()
    )
    site = digest_of(flow)["sites"]["l0"]
    assert [len(site[key]) for key in ("total", "direct")] == [64, 64]
    assert [t for t, v in site["direct"] if v] == [501, 999]
    assert [t for t, _ in site["direct"]] == [t for t, _ in site["total"]]  # one axis for both
    assert (site["total"][0][0], site["total"][-1][0]) == (0, 999)
    assert len(site["attribution"]["gates"]) == 64


def test_of_many_sites_fewer_steps_are_told() -> None:
    site = measured(nn.GRU(2, 4), 100)["l0"]
    many = Flow({f"l{n}": replace(site, name=f"l{n}") for n in range(200)})
    told = digest_of(many)["sites"]["l7"]
    assert [len(told["total"]), len(told["direct"]), len(told["attribution"]["slope"])] == [
        20,
        20,
        20,
    ]


def test_the_means_leave_padding_out() -> None:
    x = pack_padded_sequence(torch.randn(9, 3, 2), torch.tensor([9, 4, 1]))
    flow = bptt.measure(nn.RNN(2, 4), x, loss=lambda out: out[0].data.sum())
    told = dict(digest_of(flow)["sites"]["l0"]["total"])
    assert told[8] == pytest.approx(float(flow["l0"].grad_h[8, 0]), 1e-4)
    assert told[2] == pytest.approx(float(flow["l0"].grad_h[2, :2].mean()), 1e-4)


def test_attribution_is_told_by_cause_and_by_the_inputs_own_time() -> None:
    flow = measured(nn.LSTM(2, 4, bidirectional=True), 6, last=False)
    sites = digest_of(flow)["sites"]
    for name, steps in (("l0", [1, 2, 3, 4, 5]), ("l0_reverse", [0, 1, 2, 3, 4])):
        split = flow[name].attribution
        assert split is not None
        told = sites[name]["attribution"]
        assert sorted(told) == ["gates", "slope", "weight"]
        assert all([t for t, _ in points] == steps for points in told.values())
        own = split.gates.flip(0) if name != "l0" else split.gates
        assert [v for _, v in told["gates"]] == pytest.approx(own.tolist(), 1e-4)


def test_a_cell_without_gates_names_none_and_one_step_has_no_attribution() -> None:
    told = digest_of(measured(nn.RNN(2, 4), 5))["sites"]["l0"]
    assert sorted(told["attribution"]) == ["slope", "weight"]
    assert "attribution" not in digest_of(measured(nn.RNN(2, 4), 1))["sites"]["l0"]


def test_saturation_by_kind_of_cell() -> None:
    hot = nn.RNN(2, 4)
    with torch.no_grad():
        hot.get_parameter("weight_ih_l0").fill_(1e3)
    assert digest_of(measured(hot, 5))["sites"]["l0"]["saturation"]["tanh"] > 0.9
    dead = nn.RNN(2, 4, nonlinearity="relu")
    with torch.no_grad():
        dead.get_parameter("bias_ih_l0")[:3] = -1e3
    assert digest_of(measured(dead, 5))["sites"]["l0"]["saturation"] == {"relu_dead": 0.75}
    shut = nn.LSTM(2, 4)
    with torch.no_grad():
        shut.get_parameter("bias_ih_l0")[4:8] = -100.0
    gates = digest_of(measured(shut, 5))["sites"]["l0"]["saturation"]["gates"]
    assert sorted(gates) == ["f", "i", "o"]
    assert gates["f"] == {"open": 0.0, "shut": 1.0}


def test_what_is_not_finite_or_not_known_is_none() -> None:
    flow = measured(nn.GRU(2, 4), 5)
    flow["l0"].grad_h[2, 0] = math.inf
    flow["l0"].grad_direct = None
    flow["l0"].statistics = None
    site = digest_of(flow)["sites"]["l0"]
    assert site["total"][2] == [2, None]
    assert site["direct"] is None
    assert "saturation" not in site
