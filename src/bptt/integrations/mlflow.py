"""MLflow: numbers as metrics by update, findings as a tag and as a JSON file among the artifacts."""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bptt.doctor import Sink
from bptt.integrations._need import need
from bptt.rules import Finding

NAME = 250
"""Letters of a metric's name that MLflow takes."""
TAG = 5000
"""Letters of a tag."""


class MLflow(Sink):
    """Logs to a run of MLflow: on a server, in a database, or in a local folder.

    MLflow's reports of its own use, which it would send over the network, stay off unless `MLFLOW_DISABLE_TELEMETRY`
    says otherwise or MLflow was imported before. Its recent versions ask that a folder be allowed by
    `MLFLOW_ALLOW_FILE_STORE`: that is set for the moment at which the folder that was asked for is opened.

    Args:
        where: a folder, or a tracking URI such as `http://host:5000` or `sqlite:///mlflow.db`; None for the one that
            MLflow is set to, and the run that is going on there.
        experiment: in which a run is begun if none is going on.
        run_id: of a run that is there already; it is not ended.

    Raises:
        NotInstalledError: MLflow is not there.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sink = MLflow(folder)
        ...     sink.open()
        ...     sink.numbers(3, {"bptt/horizon/l0": 11.0})
        ...     sink.close("finished")
        ...     (file,) = Path(folder).glob("*/*/metrics/bptt/horizon/l0")
        ...     file.read_text().split()[1:]
        ['11.0', '3']
    """

    def __init__(
        self,
        where: str | os.PathLike[str] | None = None,
        *,
        experiment: str = "bptt",
        run_id: str | None = None,
    ) -> None:
        need("mlflow", "MLflow", "mlflow")
        self._where, self._experiment, self._given = where, experiment, run_id
        self._client: Any = None
        self._run = ""
        self._own = False

    def open(self) -> None:
        """Take the run, or begin one."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow

        uri, local = address(self._where)
        with _files_allowed(local):
            client = self._client = mlflow.MlflowClient(tracking_uri=uri)
            going_on = mlflow.active_run() if self._where is None else None
            self._own = self._given is None and going_on is None
            if self._given is not None:
                self._run = self._given
            elif going_on is not None:
                self._run = going_on.info.run_id
            else:
                self._run = client.create_run(self._experiment_of(client)).info.run_id

    def _experiment_of(self, client: Any) -> str:
        known = client.get_experiment_by_name(self._experiment)
        return client.create_experiment(self._experiment) if known is None else known.experiment_id

    def numbers(self, update: int, numbers: Mapping[str, float]) -> None:
        """One metric a name, in one call."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self._run, metrics=[Metric(metric(k), v, now, update) for k, v in numbers.items()]
        )

    def findings(self, update: int, findings: Sequence[Finding]) -> None:
        """The tag `bptt.findings`, and `bptt/findings.json`."""
        from bptt.doctor._verdict import as_dict

        codes = ", ".join(f"{each.code} {each.site}".strip() for each in findings)
        self._client.set_tag(self._run, "bptt.findings", codes[:TAG] or "none")
        told = {"update": update, "findings": [as_dict(each) for each in findings]}
        self._client.log_dict(self._run, told, "bptt/findings.json")

    def close(self, state: str) -> None:
        """End the run, if it was begun here."""
        if self._own:
            status = {"finished": "FINISHED", "interrupted": "KILLED"}.get(state, "FAILED")
            self._client.set_terminated(self._run, status)


def address(where: str | os.PathLike[str] | None) -> tuple[str | None, bool]:
    """The tracking URI, and whether it is a folder.

    Example:
        >>> address("sqlite:///mlflow.db"), address(None)
        (('sqlite:///mlflow.db', False), (None, False))
    """
    if where is None:
        return None, False
    text = os.fspath(where)
    if re.match(r"[a-z][a-z+-]*:", text) or text == "databricks":
        return text, text.startswith("file:")
    return Path(text).absolute().as_uri(), True


def metric(name: str) -> str:
    """A name as MLflow takes it: other letters than its own become `_`.

    Example:
        >>> metric("bptt/rate/a<b>.l0"), len(metric("x" * 10_000))
        ('bptt/rate/a_b_.l0', 250)
    """
    return re.sub(r"[^\w .:/-]", "_", name, flags=re.ASCII)[:NAME]


@contextmanager
def _files_allowed(local: bool) -> Iterator[None]:
    """A folder that was asked for by its name is meant."""
    told = "MLFLOW_ALLOW_FILE_STORE"
    before = os.environ.get(told)
    if local and before is None:
        os.environ[told] = "true"
    try:
        yield
    finally:
        if local and before is None:
            del os.environ[told]
