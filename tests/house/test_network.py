"""No network and no shell: what of bptt's own modules could use one is listed here, with its reason."""

import ast
from pathlib import Path

import pytest

from scripts import ROOT, python

NETWORK = frozenset((
    "aiohttp", "asyncio", "ftplib", "http", "httpx", "imaplib", "poplib", "requests", "smtplib", "socket",
    "socketserver", "ssl", "telnetlib", "urllib", "urllib3", "webbrowser", "websockets", "xmlrpc",
))  # fmt: skip
SHELLS = frozenset((
    "os.system", "os.popen", "os.startfile", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn",
    "commands.getoutput", "asyncio.create_subprocess_shell",
))  # fmt: skip
PROCESSES = frozenset(("subprocess", "pty"))
PROGRAMS = ("/bin/sh", "/bin/bash", "sh", "bash", "cmd.exe")

ALLOWED = {
    ("src/bptt/integrations/ray_sweep.py", "imports socket"): "`--ray HOST:PORT`: whether that cluster answers",
    ("src/bptt/report/_live.py", "imports subprocess"): "one fixed line of /bin/sh, which resets the terminal",
    ("src/bptt/report/_live.py", "starts /bin/sh"): "as above",
}  # fmt: skip


def found(source: str) -> set[str]:
    """What a module's source does that could reach a network, a shell or a program."""
    seen: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            seen |= {f"imports {name}" for each in node.names if (name := _risky(each.name))}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            whole = [f"{node.module}.{each.name}" for each in node.names]
            seen |= {f"imports {name}" for path in whole if (name := _risky(path))}
            seen |= {f"calls {path}" for path in whole if path in SHELLS}
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in SHELLS or name.startswith(("os.exec", "os.spawn", "os.posix_spawn")):
                seen.add(f"calls {name}")
            if name in ("import_module", "importlib.import_module", "__import__") and node.args:
                told = node.args[0]
                if isinstance(told, ast.Constant) and (risky := _risky(str(told.value))):
                    seen.add(f"imports {risky}")
            for each in node.keywords:
                off = isinstance(each.value, ast.Constant) and each.value.value in (False, None)
                if each.arg == "shell" and not off:
                    seen.add("passes shell=")
        elif isinstance(node, ast.Constant) and node.value in PROGRAMS:
            seen.add(f"starts {node.value}")
    return seen


def _risky(path: str) -> str:
    top = path.split(".")[0]
    return top if top in NETWORK | PROCESSES else ""


def modules() -> list[Path]:
    return sorted((ROOT / "src" / "bptt").rglob("*.py"))


def test_nothing_reaches_out_but_what_is_listed() -> None:
    assert len(modules()) > 100
    seen = {
        (path.relative_to(ROOT).as_posix(), what)
        for path in modules()
        for what in found(path.read_text(encoding="utf-8"))
    }
    assert seen == set(ALLOWED)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import urllib.request", "imports urllib"),
        ("import os, socket as s", "imports socket"),
        ("from http import client", "imports http"),
        ("def f():\n    import requests", "imports requests"),
        ("import importlib\nimportlib.import_module('httpx')", "imports httpx"),
        ("import os\nos.system('ls')", "calls os.system"),
        ("from os import popen", "calls os.popen"),
        ("import os\nos.execvp('ls', [])", "calls os.execvp"),
        ("run(command, shell=True)", "passes shell="),
        ("run(command, shell=wanted)", "passes shell="),
        ("run(['/bin/sh', '-c', line])", "starts /bin/sh"),
    ],
)
def test_what_reaches_out_is_seen(source: str, what: str) -> None:
    assert what in found(source)


@pytest.mark.parametrize(
    "source",
    ["import os.path", "run(command, shell=False)", "from torch import nn", "shell = True"],
)
def test_what_does_not_is_not(source: str) -> None:
    assert found(source) == set()


def test_importing_bptt_opens_no_socket() -> None:
    """Every room, with all that it imports, in a process where a name cannot be looked up without being noticed."""
    program = (
        "import socket\n"
        "asked = []\n"
        "socket.getaddrinfo = lambda *args, **_: asked.append(args[0])\n"
        "socket.socket.connect = lambda self, where: asked.append(where)\n"
        "import bptt, bptt.cli, bptt.doctor, bptt.flow, bptt.remedies, bptt.report.page, bptt.rules, bptt.tasks\n"
        "bptt.nn, bptt.probe\n"
        "print(asked)\n"
    )
    assert python("-c", program).strip() == "[]"
