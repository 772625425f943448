"""Remedies that `--fix` tried: what was so before, what is so after, whether it stayed, and the lines that keep it."""

from collections.abc import Mapping, Sequence
from typing import Any

from bptt.report.page._findings import cure
from bptt.report.page._markup import SENTENCE, Markup, clean, count, name, number, tag

Row = Mapping[str, Any]


def remedies(repairs: Sequence[Row], records: Sequence[Row]) -> Markup | None:
    """A card for each remedy; None where none was tried.

    Args:
        repairs: of `run.json`.
        records: of `flow.jsonl`, for the site before and after.
    """
    if not repairs:
        return None
    return tag("div", *(_card(each, records) for each in repairs[:50]), class_="findings")


def _card(repair: Row, records: Sequence[Row]) -> Markup:
    outcome = clean(repair.get("outcome"), 16)
    update, site = repair.get("update"), str(repair.get("site") or "")
    head = tag("h3", tag("span", outcome, class_="badge"), cure(repair))
    place = name(site) if site else "the run as a whole"
    where = [clean(repair.get("code"), 12), " · ", place, f" · after update {count(update)}"]
    if isinstance(repair.get("back_to"), int):
        where.append(f" · weights as after update {count(repair['back_to'])}")
    parts: list[object] = [head, tag("p", *where, class_="where")]
    for key, word in (("finding", "Found: "), ("reason", "Taken back: ")):
        if repair.get(key):
            parts.append(tag("p", tag("b", word), clean(repair[key], SENTENCE)))
    parts += [tag("p", clean(each, SENTENCE)) for each in (repair.get("said") or [])[:6]]
    if isinstance(update, int) and site:
        parts.append(_before_after(site, update, records))
    lines = [clean(each, 200) for each in (repair.get("lines") or [])[:20]]
    if lines and outcome == "kept":
        parts += [tag("p", tag("b", "To keep it:")), tag("pre", tag("code", "\n".join(lines)))]
    return tag(
        "article", *parts, class_=f"finding remedy {'kept' if outcome == 'kept' else 'undone'}"
    )


def _before_after(site: str, update: int, records: Sequence[Row]) -> Markup | None:
    """The last probe before, the first after, and the last of all."""
    looks = [
        (each["update"], each["sites"][site])
        for each in records
        if isinstance(each.get("update"), int) and site in (each.get("sites") or {})
    ]
    before = [look for look in looks if look[0] <= update]
    after = [look for look in looks if look[0] > update]
    columns = [("before", before[-1:]), ("after", after[:1]), ("at the end", after[1:][-1:])]
    shown = [(word, look[0]) for word, look in columns if look]
    if len(shown) < 2:
        return None
    rows: list[tuple[str, list[str]]] = [("update", [count(u) for _, (u, _) in shown])]
    for key, said in (
        ("horizon", "horizon, steps"),
        ("rate", "log gain a step"),
        ("unreached", "share unreached"),
    ):
        rows.append((said, [number(look.get(key)) for _, (_, look) in shown]))
    heads = [tag("th", word, scope="col") for word, _ in shown]
    body = [
        tag("tr", tag("th", said, scope="row"), *(tag("td", each) for each in cells))
        for said, cells in rows
    ]
    table = tag("table", tag("thead", tag("tr", tag("td"), *heads)), tag("tbody", *body))
    label = "Before and after"
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=label)
