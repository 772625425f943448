"""The laws of cells that explain: the tangent step is the Jacobian's, and the stages end where the pull ends."""

import pytest
import torch
from torch import Tensor

from bptt.cells import CELLS, State, Weights, at

B, I, H = 3, 4, 6
VARIANTS = [(kind, 0) for kind in CELLS] + [("lstm", 2)]


def setting(kind: str, proj: int) -> tuple[Tensor, State, Weights, object]:
    """Input, state, weights, and the gates of one step."""
    cell, rows = CELLS[kind], len(CELLS[kind].gate_names) * H
    made = [torch.randn(rows, n).double() for n in (I, proj or H)]
    made += [torch.randn(rows).double(), torch.randn(rows).double()]
    w = Weights(*made, torch.randn(proj, H).double() if proj else None)  # type: ignore[arg-type]
    x = torch.randn(B, I).double()
    state = tuple(torch.randn(B, size).double() for size in (proj or H, H)[: cell.parts])
    after = cell.step(x, state, w)
    return x, state, w, at(cell.gates(x.unsqueeze(0), state, after[0].unsqueeze(0), w), 0)


@pytest.mark.parametrize(("kind", "proj"), VARIANTS)
def test_push_is_autograds_directional_derivative(kind: str, proj: int) -> None:
    cell, (x, state, w, gates) = CELLS[kind], setting(kind, proj)
    tangent, dx = tuple(torch.randn_like(part) for part in state), torch.randn_like(x)
    _, expected = torch.autograd.functional.jvp(
        lambda x, *s: cell.step(x, s, w), (x, *state), (dx, *tangent)
    )
    local = cell.local(gates)
    torch.testing.assert_close(cell.push(local, tangent, w, dx), expected, rtol=1e-11, atol=1e-12)
    columns = torch.cat(cell.push(local, tangent, w), -1).unsqueeze(-1)
    joint = torch.cat(tangent, -1).unsqueeze(-1)
    torch.testing.assert_close(columns, cell.jacobian(local, w) @ joint, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("kind", "proj"), VARIANTS)
def test_many_tangents_are_pushed_as_rows(kind: str, proj: int) -> None:
    cell, (_, state, w, gates) = CELLS[kind], setting(kind, proj)
    local = cell.local(gates)
    rows = tuple(torch.randn(B, 5, part.shape[-1]).double() for part in state)
    together = cell.push(type(local)(*(field.unsqueeze(1) for field in local)), rows, w)
    for n in range(5):
        alone = cell.push(local, tuple(part[:, n] for part in rows), w)
        torch.testing.assert_close(tuple(part[:, n] for part in together), alone)


@pytest.mark.parametrize(("kind", "proj"), VARIANTS)
def test_stages_name_every_factor_and_end_in_the_pull(kind: str, proj: int) -> None:
    cell, (_, state, w, gates) = CELLS[kind], setting(kind, proj)
    v = tuple(torch.randn_like(part) for part in state)
    found = cell.stages(gates, v, w)
    assert len(found) == len(cell.factors)
    torch.testing.assert_close(found[-1], torch.cat(cell.pull(cell.local(gates), v, w), -1))
