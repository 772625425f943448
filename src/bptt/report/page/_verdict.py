"""The verdict, in words: what is wrong, how far gradients reach, what was watched."""

from collections.abc import Mapping, Sequence
from typing import Any

from bptt.report.page._markup import SENTENCE, clean, count, number
from bptt.rules import pages

Row = Mapping[str, Any]
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ENDS = {
    "failed": "The script ended with an error{code}.",
    "interrupted": "The run was interrupted.",
    "killed": "The run was killed before it could write its end.",
    "running": "The run still goes on; this is what is known by now.",
}
CUT_SHORT = {
    "failed": "The script failed; until then",
    "interrupted": "The run was interrupted; until then",
    "killed": "The run was killed; until then",
    "running": "The run still goes on; so far",
}


def headline(run: Row, findings: Sequence[Row]) -> str:
    """The first line of the page.

    Example:
        >>> finding = {"name": "vanishing-through-time", "site": "rnn.l0", "severity": "error"}
        >>> headline({}, [finding, {**finding, "severity": "advice"}])
        'Vanishing through time in rnn.l0, and one more finding.'
        >>> headline({"repairs": [{"outcome": "kept"}]}, [])
        'Nothing is wrong any more: one remedy was kept.'
        >>> headline({"state": "killed"}, [])
        'The run was killed; until then the 19 rules found nothing wrong.'
        >>> headline({}, [{**finding, "severity": "advice"}])
        'No error and no warning; one piece of advice: vanishing through time in rnn.l0.'
    """
    if not findings:
        if run.get("sentence"):
            return "Nothing was measured."
        if kept := [each for each in repairs(run) if each.get("outcome") == "kept"]:
            what = "remedy was" if len(kept) == 1 else "remedies were"
            return f"Nothing is wrong any more: {_word(len(kept))} {what} kept."
        if run.get("state") in CUT_SHORT:
            return f"{CUT_SHORT[run['state']]} the {len(pages())} rules found nothing wrong."
        return f"Nothing is wrong that the {len(pages())} rules know of."
    first, others = findings[0], len(findings) - 1
    what = clean(first.get("name") or first.get("code") or "a finding").replace("-", " ")
    where = f" in {clean(first['site'])}" if first.get("site") else ""
    if first.get("severity") == "advice":
        pieces = (
            "one piece of advice"
            if not others
            else f"{_word(others + 1)} pieces of advice, the first"
        )
        return f"No error and no warning; {pieces}: {what}{where}."
    more = f", and {_word(others)} more finding{'s' * (others != 1)}" if others else ""
    return f"{what[:1].upper()}{what[1:]}{where}{more}."


def lead(run: Row, sites: Sequence[Row], above: str = "") -> list[str]:
    """The sentences below it: how the run ended, unless the headline `above` says so, and how far gradients reach.

    Example:
        >>> told = {"horizon": [14], "rate": [-0.45], "lags": [127]}
        >>> site = {"name": "rnn.l0", "lags": 127, "steps": 128, "reach": told}
        >>> lead({"state": "finished"}, [site])
        ['A gradient in rnn.l0 reaches 14 of 128 steps back; each step multiplies it by 0.6376.']
    """
    said = _end(run, above)
    if run.get("sentence"):
        said.append(_capital(clean(run["sentence"], SENTENCE)) + ".")
    said += _lost([site for site in sites if not site.get("finite", True)], len(sites))
    silent = [site for site in sites if site.get("untouched")]
    if silent:
        more = f" and {_word(len(silent) - 1)} more" if len(silent) > 1 else ""
        said.append(f"At the last look no gradient arrived at {silent[0]['name']}{more}.")
    known = [
        site
        for site in sites
        if site["reach"]["horizon"] and site["reach"]["horizon"][-1] is not None
    ]
    if not known:
        return said
    shortest, longest = min(known, key=_share), max(known, key=_share)
    said.append(
        f"A gradient in {shortest['name']} reaches {reach(shortest)}{_keeps(shortest)}.{_was(shortest)}"
    )
    if longest is not shortest and _share(longest) > _share(shortest):
        least = len(known)
        said[-1] = (
            f"Of {least} sites, {shortest['name']} has the shortest reach: {reach(shortest)}{_keeps(shortest)}."
        )
        said.append(f"The longest reach has {longest['name']}: {reach(longest)}.")
    return said


def _end(run: Row, above: str) -> list[str]:
    """How the run ended, where that was not at its end."""
    code = run.get("exit_code")
    told = f" (exit code {code})" if isinstance(code, int) and code else ""
    if above.startswith(CUT_SHORT.get(run.get("state") or "", "?")) and not told:
        return []
    return [ENDS[run["state"]].format(code=told)] if run.get("state") in ENDS else []


def _capital(text: str) -> str:
    """A sentence with its first letter large, unless it begins with a name such as `train.py`."""
    return text[:1].upper() + text[1:] if text.split(" ")[0].isalpha() else text


def _lost(sites: Sequence[Row], every: int) -> list[str]:
    """Sites whose gradients are no numbers any more: since when, and how far one reached before."""
    if not sites:
        return []
    told = sites[0]["reach"]
    known = [n for n, horizon in enumerate(told["horizon"]) if horizon is not None]
    since, before = (told.get("updates") or [None])[0], ""
    if known:
        n = known[-1]
        since = told["updates"][n + 1]
        last = {"reach": {key: told[key][: n + 1] for key in ("horizon", "lags")}}
        before = f"; at update {count(told['updates'][n])} one reached {reach(last)}"
    if len(sites) == 1:
        return [
            f"At update {count(since)} the gradients of {sites[0]['name']} are no longer finite{before}."
            if known
            else f"The gradients of {sites[0]['name']} are not finite."
        ]
    return [
        f"The gradients of {_word(len(sites))} of {count(every)} sites are not finite; of {sites[0]['name']} "
        f"first at update {count(since)}."
    ]


def far(site: Row) -> str:
    """The same as a sentence without its end."""
    if not site.get("finite", True):
        return "Its gradients are not finite"
    if site.get("untouched"):
        return "No gradient arrives"
    if site["reach"]["horizon"][-1] is None:
        return "How far a gradient reaches was not measured"
    return f"A gradient reaches {reach(site)}"


def reach(site: Row) -> str:
    """How far a gradient reaches at the last look, in words."""
    horizon, lags = site["reach"]["horizon"][-1], site["reach"]["lags"][-1]
    if horizon is None:
        known = "no gradient" if site.get("untouched") else "not measured"
        return known if site.get("finite", True) else "not finite"
    if not lags:
        return "no earlier step"
    return (
        f"all {count(lags + 1)} steps"
        if horizon >= lags
        else f"{count(horizon)} of {count(lags + 1)} steps back"
    )


def _share(site: Row) -> float:
    return site["reach"]["horizon"][-1] / max(site["reach"]["lags"][-1] or 0, 1)


def _was(site: Row) -> str:
    """What its reach was at first, if that was another one."""
    told = site["reach"]
    first, update = told["horizon"][0], (told.get("updates") or [None])[0]
    if first in (None, told["horizon"][-1]) or update is None:
        return ""
    return f" At update {count(update)} it reached {count(first)}."


def repairs(run: Row) -> list[Row]:
    """The remedies that a run tried.

    Example:
        >>> repairs({"repairs": [{"remedy": "chrono"}, None]}), repairs({})
        ([{'remedy': 'chrono'}], [])
    """
    return [each for each in run.get("repairs") or () if isinstance(each, Mapping)]


def _keeps(site: Row) -> str:
    rate = site["reach"]["rate"][-1]
    return "" if rate is None else f"; each step multiplies it by {gain(rate)[1:]}"


def gain(rate: float | None) -> str:
    """What a step leaves of a gradient, from its log gain."""
    from math import exp

    return "–" if rate is None else f"×{number(exp(min(rate, 600.0)))}"


def _word(n: int) -> str:
    return NUMBERS[n] if n < len(NUMBERS) else count(n)


def watched(run: Row, probes: int) -> str:
    """What was watched, and what that cost.

    Example:
        >>> watched({"updates": 2000, "overhead": 0.0175, "seconds": 68.3}, 7)
        '2,000 updates in 1 min 8 s, 7 probes, 1.8 % of the time spent on watching'
    """
    updates = run.get("updates")
    parts = []
    if isinstance(updates, int):
        seconds = run.get("seconds")
        took = (
            f" in {_duration(seconds)}" if isinstance(seconds, (int, float)) and seconds > 0 else ""
        )
        parts.append(f"{count(updates)} update{'s' * (updates != 1)}{took}")
    parts.append(f"{count(probes)} probe{'s' * (probes != 1)}")
    if isinstance(run.get("overhead"), (int, float)):
        parts.append(f"{100 * run['overhead']:.1f} % of the time spent on watching")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
