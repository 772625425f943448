"""Every public name of the package is under a property somewhere in these tests, or has its reason here.

A name is under a property where a test that hypothesis draws for uses it, itself or in what it calls within the tests.
"""

import ast
import importlib
import inspect
from functools import cache
from pathlib import Path

import bptt.nn
from bptt import remedies, tasks
from bptt._errors import BpttError
from bptt.cells import CELLS
from scripts import ROOT

TESTS = ROOT / "tests"
ROOMS = [
    "bptt", "bptt.cells", "bptt.doctor", "bptt.flow", "bptt.lm", "bptt.nn", "bptt.remedies",
    "bptt.report", "bptt.rules", "bptt.tasks",
]  # fmt: skip
"""What users import. Modules of `bptt.integrations` import whole frameworks; tests/integrations run inside each."""
TABLES = [
    *(bptt.nn.RNN, bptt.nn.GRU, bptt.nn.LSTM),
    *(row.function for row in remedies.table().values()),
    *(row.make for row in tasks.table().values()),
    *(type(cell) for cell in CELLS.values()),
]
"""What is drawn by its name or as a row of a table: by drawn.py, test_remedies.py, test_tasks.py, test_layers.py."""
MADE = "a record that functions under properties give, whose fields their tests look into"
WITHOUT: dict[str, str] = {
    **dict.fromkeys(
        [
            "bptt.Diagnosis",
            "bptt.doctor.Diagnosis",
            "bptt.doctor.Prescribed",
            "bptt.flow.Attribution",
            "bptt.flow.SiteSpectrum",
            "bptt.lm.ContextCurve",
            "bptt.lm.Tally",
            "bptt.remedies.Change",
            "bptt.remedies.Clipped",
            "bptt.remedies.Proposal",
            "bptt.rules.Evidence",
            "bptt.rules.Finding",
            "bptt.rules.Look",
            "bptt.rules.Page",
            "bptt.rules.Rule",
            "bptt.rules.Updates",
            "bptt.rules.Weights",
            "bptt.tasks.Batch",
            "bptt.tasks.Entry",
            "bptt.tasks.Point",
            "bptt.tasks.Run",
            "bptt.tasks.Score",
        ],
        MADE,
    ),
    "bptt.cells.Cell": "the interface of the cells, each of which is under properties",
    "bptt.doctor.Sink": "an interface: sinks are their users', and those of this package speak to frameworks",
    "bptt.doctor.describe": "says what replay finds, which tests/fuzz/files.py damages and reads",
    "bptt.doctor.replay": "reads a file of an update that was not finite, which tests/fuzz/files.py damages",
    "bptt.doctor.read_config": "reads pyproject.toml, which tests/fuzz/files.py writes and damages",
    "bptt.flow.Recorder": "what probe and Monitor are made of, which are under properties",
    "bptt.lm.Point": "one validation of a training, which tests/lm/test_train.py runs",
    "bptt.lm.Result": "what came of a training, which tests/lm/test_train.py runs",
    "bptt.lm.addresses": "gives one text and takes no argument",
    "bptt.lm.train": "a training takes too long to draw; tests/lm/test_train.py kills, resumes and compares it",
    "bptt.remedies.Attachment": "clipping inside optimizers' steps; tests/remedies/test_clipping_hook.py has each kind",
    "bptt.remedies.Flossing": "put in place by flossing, which is under properties",
    "bptt.remedies.HDetach": "put in place by h_detach, which is under properties",
    "bptt.remedies.LayerNormed": "put in place by layer_norm, which is under properties",
    "bptt.remedies.Omega": "put in place by omega, which is under properties",
    "bptt.remedies.clipped_steps": "reads a counter, which tests/remedies/test_clip_steps.py compares",
    "bptt.remedies.lyapunov_penalty": "the term of flossing, which tests/remedies/test_regularisers.py has a twin for",
    "bptt.report.LivePanel": "writes to a terminal, which tests/report/test_live.py emulates",
    "bptt.report.can_encode": "a look at an encoding's name, of which there are few",
    "bptt.report.compare_html": "reads folders and calls comparison, which is under properties",
    "bptt.report.show": "prints a run; tests/fuzz/folders.py prints those of damaged folders",
    "bptt.rules.Incident": "what a forward pass that is not finite gives, which tests/doctor/test_incident.py makes",
    "bptt.rules.Prescription": "a remedy's name and arguments; the doctor's own is under properties",
    "bptt.tasks.compared": "prints a table that lies in the package, and takes no argument",
}


@cache
def source(path: Path) -> tuple[dict[str, str], dict[str, list[ast.stmt]], list[ast.stmt]]:
    """A module of the tests: what it imports, by local name; its top-level names; its properties."""
    imports: dict[str, str] = {}
    tops: dict[str, list[ast.stmt]] = {}
    held: list[ast.stmt] = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            imports |= {
                each.asname or each.name: f"{node.module}.{each.name}" for each in node.names
            }
        elif isinstance(node, ast.Import):
            for each in node.names:
                first = each.name.split(".")[0]
                imports[each.asname or first] = each.name if each.asname else first
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            tops.setdefault(node.name, []).append(node)
            decorators = [ast.unparse(each) for each in node.decorator_list]
            held += [node] if any(each.startswith("given(") for each in decorators) else []
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (each.id for each in targets if isinstance(each, ast.Name)):
                tops.setdefault(name, []).append(node)
    return imports, tops, held


def dotted_of(node: ast.expr) -> str:
    """`a.b.c` as it is written; "" where it does not begin with a name."""
    if isinstance(node, ast.Name):
        return node.id
    before = dotted_of(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if before and isinstance(node, ast.Attribute) else ""


def uses(path: Path, node: ast.AST, seen: set[tuple[Path, str]]) -> set[str]:
    """Dotted names that a piece of a module uses, and what it calls there and in other modules of the tests."""
    imports, tops, _ = source(path)
    found: set[str] = set()
    for each in ast.walk(node):
        if not isinstance(each, ast.Name | ast.Attribute):
            continue
        head, _, rest = dotted_of(each).partition(".")
        if head in imports:
            dotted = ".".join(filter(None, (imports[head], rest)))
            module, _, name = dotted.rpartition(".")
            other = TESTS / (module.replace(".", "/") + ".py")
            if other.is_file():
                found |= follow(other, name, seen)
            else:
                found.add(dotted)
        elif isinstance(each, ast.Name) and each.id in tops:
            found |= follow(path, each.id, seen)
    return found


def follow(path: Path, name: str, seen: set[tuple[Path, str]]) -> set[str]:
    """What a top-level name of a module of the tests uses."""
    if (path, name) in seen:
        return set()
    seen.add((path, name))
    return set().union(*(uses(path, node, seen) for node in source(path)[1].get(name, [])))


def thing(dotted: str) -> object:
    """What a dotted name stands for; None if it is nothing of the package."""
    if not dotted.startswith("bptt"):
        return None
    parts, found = dotted.split("."), importlib.import_module("bptt")
    for n, part in enumerate(parts[1:], 2):
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(".".join(parts[:n]))
            except ImportError:
                return None  # an attribute of what is no module
    return found


@cache
def under_properties() -> set[int]:
    """The identities of all that some property uses."""
    dotted, seen = set[str](), set[tuple[Path, str]]()
    for path in TESTS.rglob("test_*.py"):
        for node in source(path)[2]:
            dotted |= uses(path, node, seen)
    things = [thing(each) for each in dotted]
    return {id(each) for each in [*things, *TABLES] if each is not None}


def public() -> dict[str, object]:
    """Every public class and function of the rooms, less the errors, which are said by what raises them."""
    found = {}
    for room in ROOMS:
        module = importlib.import_module(room)
        for name in sorted({*vars(module), *getattr(module, "__all__", []), *dir(module)}):
            each = getattr(module, name)
            own = getattr(each, "__module__", "").split(".")[0] == "bptt" and name[0] != "_"
            error = inspect.isclass(each) and issubclass(each, BpttError)
            if own and not error and (inspect.isclass(each) or inspect.isfunction(each)):
                found[f"{room}.{name}"] = each
    return found


def test_every_name_is_under_a_property_or_has_its_reason() -> None:
    held = under_properties()
    missing = [
        name for name, each in public().items() if id(each) not in held and name not in WITHOUT
    ]
    assert missing == []


def test_no_reason_is_left_for_what_is_under_a_property() -> None:
    held, names = under_properties(), public()
    assert [name for name in WITHOUT if name not in names or id(names[name]) in held] == []
    assert all(len(reason) > 20 for reason in WITHOUT.values())


def test_uses_are_found() -> None:
    """Through an import, an attribute, a helper, and another module of the tests."""
    found = uses(
        TESTS / "properties" / "test_layers.py",
        source(TESTS / "properties" / "test_layers.py")[2][0],
        set(),
    )
    assert {"bptt.nn.accelerate", "bptt.nn.restore"} <= found
    assert "bptt.nn" in found  # Net, in drawn.py
    assert "bptt.measure" not in found
