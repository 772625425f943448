"""A run at one moment: what is worst, what is latest, how fast it goes."""

import math
from typing import Any

from bptt.report import Glance, Pace, Reach


def at(site: str, horizon: int | None, lags: int = 99) -> Reach:
    return Reach(site, {"horizon": horizon, "lags": lags})


def test_the_loss_is_the_last_one_and_nan_is_told_from_none() -> None:
    assert Glance("a", losses=[3.0, 2.0]).loss == 2.0
    assert math.isnan(Glance("a", losses=[3.0, math.nan]).loss or 0.0)
    assert Glance("a", losses=[math.inf]).loss == math.inf
    assert Glance("a", losses=[math.nan] * 1000).loss is None
    assert Glance("a").loss is None


def test_findings_are_ordered_by_severity_then_the_latest() -> None:
    found: list[dict[str, Any]] = [
        {"code": "VG102", "severity": "advice", "update": 9},
        {"code": "SA301", "severity": "warning", "update": 3},
        {"code": "EG202", "severity": "warning", "update": 7},
        {"code": "NF601", "severity": "error", "update": None},
    ]
    codes = [each["code"] for each in Glance("a", findings=found).worst]
    assert codes == ["NF601", "EG202", "SA301", "VG102"]


def test_the_shortest_reach_stays_where_room_is_short() -> None:
    sites = [at("a", 90), at("b", None), at("c", 2), at("d", 50), at("e", 0, lags=0)]
    shortest = Glance("x", sites=sites).shortest
    assert [each.site for each in shortest(2)] == ["c", "d"]
    assert [each.site for each in shortest(9)] == ["a", "b", "c", "d", "e"]
    assert at("b", None).share is None
    assert at("far", 200).share == 1.0


def test_pace_forgets_what_is_long_ago() -> None:
    pace = Pace(window=10.0)
    assert pace.at(0.0, 0) is None
    assert pace.at(0.0, 5) is None, "no time has passed"
    speeds = [pace.at(float(t), 4 * t if t < 50 else 150 + t) for t in range(1, 101)]
    assert (speeds[40], speeds[-1]) == (4.0, 1.0)
    assert len(pace._seen) < 20
