"""What a notebook shows: well formed, escaped, with the numbers that were measured, and no script."""

import math
from xml.etree import ElementTree as ET

import pytest
import torch
from torch import nn

import bptt
from bptt import Flow
from bptt.flow.picture._page import CURVES, LEFT, TOP, Frame

SVG = "{http://www.w3.org/2000/svg}"


def parsed(html: str) -> ET.Element:
    """The page as XML, which HTML of this kind is but for one entity."""
    return ET.fromstring(html.replace("&nbsp;", " "))


def rows(page: ET.Element) -> list[list[str]]:
    return [["".join(cell.itertext()).strip() for cell in row] for row in page.iter("tr")]


def measured(steps: int = 60, layers: int = 2) -> Flow:
    net = nn.LSTM(2, 5, num_layers=layers)
    return bptt.measure(net, torch.randn(steps, 2, 2), loss=lambda y: y[0][-1].sum())


def test_a_row_a_site_and_the_curves() -> None:
    flow = measured()
    page = parsed(flow._repr_html_())
    head, *body = rows(page)
    assert head == ["site", "cell", "gradient reaches", "per step", "unreached"]
    for row, site in zip(body, flow, strict=True):
        assert site.rate is not None
        assert site.unreached is not None
        said = [f"×{math.exp(site.rate):.3g}", f"{100 * site.unreached:.0f} %"]
        assert row == [site.name, "lstm", site.reach(), *said]
    (image,) = page.iterfind(f".//{SVG}svg[@role='img']")
    assert all(site.reach() in image.attrib["aria-label"] for site in flow)
    assert list(page.iter("script")) == []
    assert list(page.iter("style")) == []


def test_the_drawing_is_to_scale() -> None:
    flow = measured(layers=1)
    (site,) = flow
    assert site.log_credit is not None
    assert site.horizon is not None
    page = parsed(flow._repr_html_())
    (dot,) = page.iter(f"{SVG}circle")
    decades = [(k, float(v) / math.log(10)) for k, v in enumerate(site.log_credit)]
    frame = Frame([decades], 1e-3)
    assert float(dot.attrib["cx"]) == frame.x(site.horizon)
    assert float(dot.attrib["cy"]) == frame.y(decades[site.horizon][1])
    (curve,) = [each for each in page.iter(f"{SVG}path") if each.find(f"{SVG}title") is not None]
    points = [tuple(map(float, each.split())) for each in curve.attrib["d"][1:].split("L")]
    assert len(points) == 60
    assert points[0] == (LEFT, frame.y(0.0))
    assert points[0][1] == TOP
    assert points[17] == (frame.x(17), frame.y(decades[17][1]))


def test_long_curves_are_thinned_but_keep_the_horizon() -> None:
    flow = measured(steps=2000, layers=1)
    page = parsed(flow._repr_html_())
    (curve,) = [each for each in page.iter(f"{SVG}path") if each.find(f"{SVG}title") is not None]
    (dot,) = page.iter(f"{SVG}circle")
    assert curve.attrib["d"].count("L") < 260
    assert f"{dot.attrib['cx']} {dot.attrib['cy']}" in curve.attrib["d"]
    assert len(flow._repr_html_()) < 12_000


@pytest.mark.parametrize(
    "name",
    ["</script><b>", "\"'&<", "\x1b[31m\x00\r\n", "\u202ereversed", "x" * 10_000, "a$b$c"],
    ids=["tag", "quotes", "control", "right to left", "endless", "mathematics"],
)
def test_hostile_names_change_nothing(name: str) -> None:
    flow = measured(steps=12, layers=1)
    (site,) = flow
    site.name = name
    flow = Flow({name: site}, threshold=flow.threshold)
    flow.notes.append(bptt.flow.Note(name, name))
    html = flow._repr_html_()
    page = parsed(html)
    (row,) = rows(page)[1:]
    assert len(row) == 5
    assert len(row[0]) <= 60
    assert {each.tag for each in page.iter()} == {
        each.tag for each in parsed(measured(12, 1)._repr_html_()).iter()
    }
    assert not set("\x1b\x00\u202e") & set(html)


def test_what_was_not_measured_is_said() -> None:
    empty = Flow(notes=[bptt.flow.Note("rnn", "no gradient came back")])
    text = "".join(parsed(empty._repr_html_()).itertext())
    assert text == "no site was measurednote: rnn: no gradient came back"

    flow = measured(steps=12, layers=2)
    flow["l0"].log_credit = None
    page = parsed(flow._repr_html_())
    first, second = rows(page)[1:]
    assert first[2:4] == ["not measured", ""]
    # The key of the only curve is the curve's own.
    keys = [each.attrib["stroke"] for each in page.iter() if "stroke-width" in each.attrib]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert second[0] == "l1"


def test_many_sites_have_a_row_each_and_a_curve_the_first() -> None:
    flow = measured(steps=8, layers=CURVES + 3)
    page = parsed(flow._repr_html_())
    assert len(rows(page)) == CURVES + 4
    assert len(list(page.iter(f"{SVG}circle"))) == CURVES


def test_one_site_one_step_and_credit_that_ends() -> None:
    flow = measured(steps=1, layers=1)
    assert rows(parsed(flow["l0"]._repr_html_()))[1][2] == "1 step only"
    net = nn.RNN(2, 4, nonlinearity="relu")
    with torch.no_grad():
        net.all_weights[0][1].zero_()
    dead = bptt.measure(net, torch.randn(9, 1, 2), loss=lambda y: y[0][-1].sum())
    assert rows(parsed(dead._repr_html_()))[1][2] == "0 of 9 steps"


def test_spectra_and_exponents() -> None:
    net, x = nn.GRU(2, 4), torch.randn(30, 2, 2)
    spectra, exponents = bptt.spectrum(net, x), bptt.lyapunov(net, x, k=2)
    assert rows(parsed(spectra._repr_html_()))[1:] == [["l0", str(spectra["l0"])]]
    assert rows(parsed(exponents._repr_html_()))[1:] == [["l0", str(exponents["l0"])]]
