"""MLflow: a run of an experiment, on a server or in a local database (``tracking_uri``, or MLFLOW_TRACKING_URI)."""

import logging
import os
import re
import time
from typing import Any, Dict, Optional

from recbole_sda.tracking.settings import PROJECT
from recbole_sda.tracking.tracker import TrackedRun, Tracker

MAX_TEXT = 500  # characters of a parameter; older servers take no more
MAX_PARAMETERS = 100  # of one request
# A server that does not answer ends in an error after seconds. By default, the library tries for minutes.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}


class MLflowTracker(Tracker):
    """A run of MLflow. Parameters are the configuration, metrics the figures, tags the texts."""

    _client: Any
    _id: str

    def start(self, run: TrackedRun, known: Optional[str], parent: Optional[str]) -> str:
        """Begin or continue a run; a trial is a child of its search's run."""
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.ERROR)
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=self.options.get("tracking_uri"))
        if known is not None:
            self._client.get_run(known)  # an error where the server has none
            self._client.update_run(known, status="RUNNING")
            self._id = known
            return known
        tags = {"mlflow.runName": run.name, "kind": run.kind, "run_folder": str(run.folder.resolve())}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        if "group" in self.options:
            tags["group"] = self.options["group"]
        self._id = self._client.create_run(self._experiment(), run_name=run.name, tags=tags).info.run_id
        self._log_parameters(run.config)
        return self._id

    def _experiment(self) -> str:
        name = self.options.get("experiment") or os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _log_parameters(self, config: Any) -> None:
        from mlflow.entities import Param

        parameters = [Param(key, str(value)[:MAX_TEXT]) for key, value in config.items()]
        for start in range(0, len(parameters), MAX_PARAMETERS):
            self._client.log_batch(self._id, params=parameters[start : start + MAX_PARAMETERS])

    def log(self, step: int, values: Dict[str, float]) -> None:
        """Add metrics; ``@`` is not allowed in their names, ``ndcg@10`` becomes ``ndcg_at_10``."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(metric_name(name), value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def describe(self, step: int, values: Dict[str, float], notes: Dict[str, str]) -> None:
        """Add metrics and tags."""
        self.log(step, values)
        for name, text in notes.items():
            self._client.set_tag(self._id, name, text)

    def end(self, succeeded: bool) -> None:
        """Set the state of the run."""
        self._client.set_terminated(self._id, "FINISHED" if succeeded else "FAILED")


def metric_name(name: str) -> str:
    """Return a name of a metric with the characters that MLflow allows.

    Example:
        >>> metric_name("valid/ndcg@10")
        'valid/ndcg_at_10'
    """
    return re.sub(r"[^\w\-. /:]", "_", name.replace("@", "_at_"))
