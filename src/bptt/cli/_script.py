"""Run a script as `python SCRIPT` or `python -m MODULE` would, inside this process.

The script finds what it would find without bptt: `sys.argv`, `sys.path[0]`, a fresh `__main__` in
`sys.modules` (so that pickling, and workers that import the main module by its path, work). And it
leaves as it would: `SystemExit`, uncaught exceptions and Ctrl-C go to the interpreter, only the
frames of bptt are taken off the traceback.
"""

import builtins
import importlib.machinery
import os
import pkgutil
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

from bptt._errors import BpttError

_KEPT: list[ModuleType] = []


class ScriptError(BpttError):
    """A script that cannot be opened; `exit_code` is Python's own for it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Script:
    """A script, read and compiled, ready to run.

    Args:
        name: path of the script, or with `module` the name of a module as for `python -m`.
        argv: the script's own arguments.
        module: whether `name` is a module.

    Raises:
        ScriptError: there is no such file.
        SyntaxError: as Python raises it.
    """

    def __init__(self, name: str, argv: list[str], *, module: bool = False) -> None:
        self.name, self.argv, self.module = name, argv, module
        self._code: CodeType | None = None
        if not module and not _has_main(name):
            self._code = _compile(_absolute(name))

    def run(self) -> None:
        """Run it as `__main__`; whatever it raises passes through."""
        main = _fresh_main()
        if self.module:
            self._enter("-m", os.getcwd())
            runpy._run_module_as_main(self.name)  # type: ignore[attr-defined]
        elif self._code is None:  # a folder or zip archive with a __main__.py
            self._enter(self.name, _absolute(self.name), always=True)
            runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        else:
            path = _absolute(self.name)
            self._enter(self.name, str(Path(path).resolve().parent))
            main.__file__ = path
            main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
            main.__dict__["__cached__"] = None
            exec(self._code, main.__dict__)

    def _enter(self, argv0: str, folder: str, *, always: bool = False) -> None:
        sys.argv = [argv0, *self.argv]
        if sys.flags.safe_path:  # Python then puts no folder in front, and neither did it for us
            if always:
                sys.path.insert(0, folder)
        else:
            sys.path[0] = folder


def exit_code(error: BaseException | None) -> int:
    """The exit code Python gives a process that ends with this exception.

    Example:
        >>> exit_code(None), exit_code(SystemExit(3)), exit_code(SystemExit("no data")), exit_code(KeyError())
        (0, 3, 1, 1)
    """
    if error is None:
        return 0
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        return int(error.code) if isinstance(error.code, int) else 1
    return 1


def hide_own_frames() -> None:
    """Let the interpreter's last word on an uncaught exception begin at the script's first frame."""
    hook: Callable[..., object] = sys.excepthook

    def excepthook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> object:
        inner = trace
        while inner is not None and inner.tb_frame.f_code is not Script.run.__code__:
            inner = inner.tb_next
        shown = trace if inner is None else inner.tb_next
        return hook(kind, error.with_traceback(shown), shown)

    sys.excepthook = excepthook


def _absolute(name: str) -> str:
    return os.path.join(os.getcwd(), name)


def _compile(path: str) -> CodeType:
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise ScriptError(
            f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}",
            exit_code=2,
        ) from None
    return compile(source, path, "exec", dont_inherit=True)


def _has_main(name: str) -> bool:
    """Whether Python would run this path as a folder or an archive with a `__main__` in it."""
    path = Path(name)
    importer = pkgutil.get_importer(str(path)) if path.exists() else None
    found = importer is not None and importer.find_spec("__main__") is not None
    if path.is_dir() and not found:
        raise ScriptError(f"can't find '__main__' module in {str(path.absolute())!r}", exit_code=1)
    return found


def _fresh_main() -> ModuleType:
    _KEPT.append(sys.modules["__main__"])  # the module of our own entry point still runs
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __annotations__={})
    sys.modules["__main__"] = main
    return main
