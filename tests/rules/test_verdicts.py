"""Near misses on either side of each rule's line, with evidence made by hand."""

import math
from typing import Any

import pytest

from bptt.rules import Evidence, Finding, Look, Updates, Weights, table

NAN = math.nan


def ask(code: str, evidence: Evidence) -> list[Finding]:
    rule = table()[code]
    return rule.check(evidence, rule.options)


def looks(*several: dict[str, Any], kind: str = "lstm", **fields: Any) -> Evidence:
    """A site seen at the first milestones; each dictionary is one look's own."""
    every = [
        Look(
            **{"site": "l0", "update": update, "milestone": True, "kind": kind, "batch": 8}
            | fields
            | own
        )
        for update, own in zip((1, 3, 10, 30), several, strict=False)
    ]
    return Evidence({"l0": every})


def updates(**lists: list[Any]) -> Evidence:
    """A run with these entries; the others are what a quiet run has."""
    count = len(next(iter(lists.values())))
    quiet = {"norm": [1.0] * count, "unclipped": [1.0] * count, "carried": [False] * count}
    for name in ("loss", "clip", "coefficient", "lr", "ratio", "whole_ratio"):
        quiet[name] = [NAN] * count
    return Evidence(updates=Updates(**{**quiet, "passes": [1] * count, **lists}))


def reach(horizon: int, steps: int = 100) -> dict[str, Any]:
    unreached = (steps - 1 - horizon) / steps
    return {
        "steps": steps,
        "lags": steps - 1,
        "horizon": horizon,
        "unreached": unreached,
        "rate": -0.5,
    }


def test_a_horizon_that_training_mends_is_no_vanishing() -> None:
    assert not ask("VG101", looks(reach(12), reach(30), reach(80)))


def test_vanishing_is_an_error_only_if_it_was_so_from_the_start() -> None:
    assert ask("VG101", looks(reach(12), reach(12)))[0].severity == "error"
    (late,) = ask("VG101", looks(reach(99), reach(12)))
    assert (late.severity, late.update) == ("advice", 3)


def test_a_window_that_is_only_a_little_too_long_is_advice() -> None:
    assert ask("VG101", looks(reach(12, steps=28)))[0].severity == "advice"
    assert not ask("VG101", looks(reach(12, steps=24)))


def test_a_direction_that_the_loss_reads_at_its_first_step_does_not_vanish() -> None:
    backward = {"steps": 100, "lags": 0, "horizon": 0, "unreached": 0.99}
    assert not ask("VG101", looks(backward))


@pytest.mark.parametrize(("lag", "severity"), [(50, "error"), (10, "advice")])
def test_a_stated_lag_decides(lag: int, severity: str) -> None:
    evidence = looks(reach(12))
    evidence.lag = lag
    (found,) = ask("VG101", evidence)
    assert found.severity == severity
    assert ("The task needs 50" in found.message) == (lag == 50)


def test_short_memory_spares_one_that_grows() -> None:
    def every(horizon: int) -> dict[str, Any]:
        return {**reach(horizon, steps=300), "unreached": 0.0, "bearing": 1.0}

    assert ask("VG102", looks(every(12), every(13)))[0].severity == "advice"
    assert not ask("VG102", looks(every(12), every(20)))
    assert not ask("VG102", looks(every(40), every(40)))


def test_zeros_that_begin_at_ordinary_sizes_are_no_underflow() -> None:
    assert ask("VG103", looks({"steps": 99, "zeros": 0.5, "smallest": 2e-38, "rate": -2.0}))
    assert not ask("VG103", looks({"steps": 99, "zeros": 0.5, "smallest": 1e-6, "rate": -2.0}))
    half = {"steps": 20, "smallest": 1e-8, "precision": "float16"}
    assert "GradScaler" in ask("VG103", looks(half))[0].message


def growth(log_growth: float) -> dict[str, Any]:
    curve = tuple(k * log_growth / 9 for k in range(10))
    return {"steps": 10, "lags": 9, "log_credit": curve}


def test_growth_counts_at_the_last_look_or_at_half_of_them() -> None:
    assert not ask("EG201", looks(growth(6.8)))
    assert not ask("EG201", looks(growth(0), growth(7.5), growth(0)))
    assert ask("EG201", looks(growth(7.5), growth(7.5), growth(0), growth(0)))[0].update == 1


def test_looks_after_a_non_finite_update_are_not_asked() -> None:
    gone = {"steps": 10, "lags": 9, "log_credit": (NAN,) * 10}
    assert ask("EG201", looks(growth(7.5), gone, gone, gone))


@pytest.mark.parametrize(("left", "severity"), [(0.5, "advice"), (0.001, "error")])
def test_clipping_holds_an_explosion_unless_it_has_to_cut_nearly_all(
    left: float, severity: str
) -> None:
    evidence = looks(growth(8.0))
    evidence.updates = updates(coefficient=[left] * 6, clip=[1.0] * 6).updates
    assert ask("EG201", evidence)[0].severity == severity


def test_spikes_have_to_tower_over_the_start_of_the_run_as_well() -> None:
    restless = [20.0] * 20 + [0.1] * 8 + [3.0] + [0.1] * 8 + [3.0] + [0.1] * 8
    assert not ask("EG202", updates(norm=restless))
    towering = [1.0] * 20 + [60.0] + [1.0] * 20 + [60.0] + [1.0] * 20
    assert ask("EG202", updates(norm=towering))[0].update == 21


def test_a_spike_is_held_only_by_clipping_that_the_step_used() -> None:
    norm = [1.0] * 10 + [500.0] + [1.0] * 10 + [500.0] + [1.0] * 10
    left = [1.0 if n < 100 else 0.002 for n in norm]
    late = updates(norm=norm, unclipped=norm, coefficient=left)
    assert ask("EG202", late)
    used = updates(norm=[1.0] * len(norm), unclipped=norm, coefficient=left)
    assert not ask("EG202", used)


def test_clipping_now_and_then_or_mildly_is_what_it_is_for() -> None:
    def clipped(*left: float) -> Evidence:
        return updates(coefficient=list(left), clip=[1.0] * len(left))

    assert ask("EG203", clipped(*[0.05] * 10))
    assert not ask("EG203", clipped(*[0.3] * 10))
    assert not ask("EG203", clipped(*[0.05] * 5, *[1.0] * 5))


def gate(name: str, end: str, mean: float, steps: int, kind: str = "lstm") -> Evidence:
    shares = {"shut": {name: 0.0}, "open": {name: 0.0}, end: {name: 0.8}}
    return looks({"gate_means": {name: mean}, "steps": steps, **shares}, kind=kind)


def test_gates_that_keep_memory_on_purpose_are_not_stuck() -> None:
    assert not ask("SA302", gate("f", "open", 0.995, steps=100))
    assert ask("SA302", gate("f", "open", 0.99999, steps=100))
    assert not ask("SA302", gate("i", "shut", 0.003, steps=500))
    assert ask("SA302", gate("o", "shut", 0.003, steps=500))
    assert not ask("SA302", gate("z", "open", 0.995, steps=100, kind="gru"))


def test_relu_units_have_to_stay_dead() -> None:
    def dead(*units: int) -> dict[str, Any]:
        return {"dead": len(units) / 10, "dead_units": frozenset(units), "steps": 9}

    assert ask("SA303", looks(dead(*range(9)), dead(*range(9))))[0].severity == "error"
    assert not ask("SA303", looks(dead(*range(9)), dead(*range(4, 10))))
    assert not ask("SA303", looks(dead(*range(5))))


def test_cuts_with_backward_passes_between_them_are_truncation() -> None:
    curve = tuple(-0.01 * k for k in range(10))
    evidence = looks({"steps": 10, "lags": 9, "cuts": 3, "log_credit": curve})
    evidence.updates = updates(passes=[4]).updates
    assert not ask("TR401", evidence)
    assert ask("TR402", evidence)
    evidence.updates = updates(passes=[1]).updates
    assert ask("TR401", evidence)[0].severity == "error"
    assert not ask("TR402", evidence)


def test_truncation_beyond_the_memory_discards_nothing() -> None:
    curve = tuple(-0.5 * k for k in range(20))
    assert not ask("TR402", looks({"steps": 20, "lags": 19, "carried": True, "log_credit": curve}))


def test_an_update_that_is_large_once_is_not_too_large() -> None:
    assert not ask("OP501", updates(ratio=[0.9, 0.3, 0.2, 0.1]))
    assert ask("OP501", updates(ratio=[0.9, 0.6, 0.5, 0.4]))
    assert ask("OP501", updates(ratio=[0.01, 5.0, 0.01, 0.01]))


def test_what_is_frozen_on_purpose_is_left_alone() -> None:
    def weights(**facts: Any) -> Evidence:
        return Evidence(weights={"l0": Weights("l0", **{"steps": 9, "other_moved": 9, **facts})})

    assert "requires_grad" in ask("OP502", weights(trains=False))[0].message
    assert "owns" in ask("OP502", weights(with_grad=9))[0].message
    assert "no gradient" in ask("OP502", weights(owned=True))[0].message
    assert not ask("OP502", weights(eval_only=True))
    assert not ask("OP502", weights(owned=True, with_grad=9, moved=9))
    assert not ask("OP502", weights(steps=1))


def test_axes_are_told_apart_by_the_loader_and_by_what_the_loss_reads() -> None:
    swapped = {"steps": 32, "batch": 10, "bearing": 1.0, "bearing_samples": 1.0}
    assert ask("LA701", looks({**swapped, "loader_batches": frozenset({32})}))
    assert not ask("LA701", looks({**swapped, "loader_batches": frozenset({10, 32})}))
    one = {"steps": 16, "batch": 20, "bearing": 1 / 20, "bearing_samples": 1 / 20}
    assert ask("LA701", looks(one))
    assert not ask("LA701", looks({**one, "bearing_samples": 1.0}))


def test_units_that_training_drove_to_their_ends_while_it_learned_are_advice() -> None:
    for losses, first, last, severity in (
        ([4.0, 3.0, 2.5, 2.0], 0.1, 0.45, "advice"),
        ([4.0, 3.0, 2.5, 2.0], 0.1, 0.85, "warning"),
        ([4.0, 4.0, 4.0, 4.0], 0.1, 0.45, "warning"),
        ([4.0, 3.0, 2.5, 2.0], 0.42, 0.45, "warning"),
        ([4.0, 3.0, 2.5, 2.0], 0.42, 0.85, "error"),
    ):
        fell = updates(loss=losses)
        fell.looks = looks(
            {"saturated": first}, {"saturated": last}, kind="rnn_tanh", steps=9
        ).looks
        assert [found.severity for found in ask("SA301", fell)] == [severity], (losses, first, last)


def test_a_burn_in_is_advice_where_more_steps_follow_than_it_has() -> None:
    lasting = {"log_credit": (0.0, -0.1, -0.2), "lags": 2, "cuts": 1}
    for steps, quiet, severity in ((30, 10, "advice"), (10, 30, "error"), (1, 1, "error")):
        (found,) = ask("TR401", looks({**lasting, "steps": steps, "quiet": quiet}))
        assert found.severity == severity


def test_a_state_handed_on_is_no_fault_where_the_giver_gets_gradient_elsewhere() -> None:
    given = looks({"steps": 1, "cuts": 1, "taker": "decoder"})
    assert ask("TR401", given)[0].severity == "error"
    given.weights = {"l0": Weights("l0", with_grad=1)}
    assert not ask("TR401", given)


def test_a_row_for_each_step_is_a_sample_for_each_step() -> None:
    rows = {"steps": 24, "bearing": 1.0, "bearing_samples": 1.0}
    assert ask("LA701", looks({**rows, "loss_rows": 24}))
    assert not ask("LA701", looks({**rows, "loss_rows": 8}))
    assert ask("LA701", looks({**rows, "shifted": (8, 24)}))
    assert not ask("LA701", looks({**rows, "shifted": (24, 8)}))


def test_clipping_by_value_goes_on_where_only_its_call_was_heard() -> None:
    some = [0.02] * 10 + [NAN] * 30
    assert ask("EG203", updates(coefficient=some, clip=[1e-5] * 40, unclipped=[1.0] * 40))
    stopped = [1e-5] * 10 + [NAN] * 30
    assert not ask("EG203", updates(coefficient=some, clip=stopped, unclipped=[1.0] * 40))


def test_truncation_is_told_where_most_looks_had_it() -> None:
    flat, steep = (0.0, -0.1, -0.2, -0.3), (0.0, -3.0, -6.0, -9.0)
    chunk = {"steps": 4, "lags": 3, "carried": True}
    (found,) = ask("TR402", looks(*({**chunk, "log_credit": c} for c in (flat, flat, steep))))
    assert (found.update, found.persists) == (1, False)
    assert not ask("TR402", looks(*({**chunk, "log_credit": c} for c in (flat, steep, steep))))


def test_updates_that_training_survived_are_advice() -> None:
    ratio = [0.9, 0.6, 0.4, *[6e-4] * 37]
    learned = updates(ratio=ratio, loss=[3.3 * 0.9**n for n in range(40)])
    (found,) = ask("OP501", learned)
    assert found.severity == "advice"
    assert not found.prescriptions, "no learning rate is known"
    assert "nan" not in found.message
    for loss in ([2.3] * 40, [NAN] * 40, [2.3, *[math.inf] * 39]):
        (found,) = ask("OP501", updates(ratio=ratio, loss=loss, lr=[0.5] * 40))
        assert found.severity == "error"
        assert found.prescriptions[0].args["lr"] < 0.01


def test_a_burn_in_is_meant_so_while_as_many_steps_follow() -> None:
    cut = {"cuts": 1, "steps": 6, "lags": 5, "log_credit": tuple(-2.0 * k for k in range(6))}
    assert ask("TR401", looks(cut | {"quiet": 6}))[0].severity == "advice"
    assert ask("TR401", looks(cut | {"quiet": 7}))[0].severity == "warning"


def test_of_several_optimizers_the_one_that_is_never_cleared_is_named() -> None:
    evidence = updates(norm=[1.0] * 5)
    assert not ask("OP503", evidence)
    evidence.updates.left_over, evidence.updates.holds = [False, *[True] * 4], "encoder.rnn"
    (found,) = ask("OP503", evidence)
    assert "encoder.rnn" in found.message


def test_rows_behind_packed_ends_count_where_lengths_are_known() -> None:
    rows = {"behind": 1.0, "bearing_samples": 1.0, "steps": 9}
    assert ask("TR403", looks(rows | {"lengths_known": True}))
    assert not ask("TR403", looks(rows | {"lengths_known": False}))
    assert not ask("TR403", looks(rows | {"lengths_known": True, "behind": 0.2}))


def test_clipping_by_hand_is_told_without_a_threshold() -> None:
    clipped = updates(clip=[math.inf] * 30, coefficient=[0.01] * 30)
    (found,) = ask("EG203", clipped)
    assert "nan" not in found.message


def test_credit_that_grows_within_the_chunk_is_not_carried_on() -> None:
    chunk = {"steps": 25, "lags": 24, "carried": True}
    flat = chunk | {"log_credit": (0.0,) * 25}
    grown = chunk | {"log_credit": tuple(0.5 * k for k in range(25))}
    assert ask("TR402", looks(flat, flat))[0].severity == "warning"
    assert not ask("TR402", looks(grown, grown))


def test_a_backward_direction_that_has_seen_one_input_is_advice() -> None:
    first = {"reverse": True, "lags": 0, "horizon": 0, "unreached": 0.99, "steps": 110}
    (found,) = ask("VG101", looks(first, first))
    assert found.severity == "advice"
    assert "1 of 110" in found.message
    assert not ask("VG101", looks(first | {"reverse": False}))
    assert not ask("VG101", looks(first | {"lags": 109, "horizon": 100, "unreached": 0.0}))


def test_a_gate_may_be_stuck_at_either_end() -> None:
    both = {"shut": {"r": 0.55}, "open": {"r": 0.44}, "gate_means": {"r": 0.45}, "steps": 9}
    (found,) = ask("SA302", looks(both, kind="gru"))
    assert found.severity == "error"
    assert found.evidence["share"] == pytest.approx(0.99)
    some = both | {"shut": {"r": 0.4}, "open": {"r": 0.4}}
    assert not ask("SA302", looks(some, kind="gru"))
    keeps = {"shut": {"f": 0.4}, "open": {"f": 0.6}, "gate_means": {"f": 0.6}, "steps": 9}
    assert not ask("SA302", looks(keeps))


def test_clipping_before_unscale_is_told_by_the_norm_that_the_step_used() -> None:
    scaled = updates(
        clip=[1.0] * 30, coefficient=[1e-4] * 30, unclipped=[1e4] * 30, norm=[2.0**-16] * 30
    )
    (found,) = ask("EG203", scaled)
    assert "unscale_" in found.message
    assert found.evidence["loss_scale"] == 2.0**16
    (remedy,) = found.prescriptions
    assert remedy.args["max_norm"] == pytest.approx(1e4 / 2**16, rel=0.5)
    plain = updates(clip=[1.0] * 30, coefficient=[1e-4] * 30, unclipped=[1e4] * 30, norm=[0.7] * 30)
    assert "unscale_" not in ask("EG203", plain)[0].message  # of two optimizers, clipped together


def test_no_threshold_is_proposed_that_lets_a_sum_through() -> None:
    summed = updates(
        clip=[0.5] * 30, coefficient=[5e-5] * 30, unclipped=[1e4] * 30, norm=[0.5] * 30
    )
    summed.updates.lr = [0.02] * 30
    (found,) = ask("EG203", summed)
    assert "average" in found.message
    assert found.prescriptions == ()
    summed.updates.lr = [1e-4] * 30
    assert ask("EG203", summed)[0].prescriptions[0].remedy == "clip_norm"


def test_norms_that_clipping_by_hand_has_hidden_do_not_count() -> None:
    seen_now_and_then = [0.01 if n % 8 == 0 else NAN for n in range(64)]
    norms = [1.0 if n % 8 == 0 else 0.01 for n in range(64)]
    clip = [math.inf if n % 8 == 0 else NAN for n in range(64)]
    (found,) = ask(
        "EG203",
        updates(clip=clip, coefficient=seen_now_and_then, unclipped=norms, norm=[0.01] * 64),
    )
    assert found.evidence["usual"] == 1.0
