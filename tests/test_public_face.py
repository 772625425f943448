"""Every name that the package promises is there after `import bptt`, and nothing is imported before it is asked for."""

import subprocess
import sys

NAMES = [
    "BpttError",
    "Diagnosis",
    "Flow",
    "Monitor",
    "Site",
    "diagnose",
    "load_flow",
    "lyapunov",
    "measure",
    "nn",
    "prescribe",
    "probe",
    "remedies",
    "spectrum",
    "tasks",
]


def test_promised_names_are_there_after_one_import() -> None:
    code = (
        "import sys, bptt\n"
        "assert 'torch' not in sys.modules\n"
        f"missing = [name for name in {NAMES} if name not in dir(bptt) or getattr(bptt, name) is None]\n"
        "assert not missing, missing\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
