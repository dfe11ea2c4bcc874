"""Trackio: a run of a local project, or of a Space with TRACKIO_SPACE_ID or TRACKIO_SERVER_URL."""

import io
import os
from contextlib import redirect_stdout
from typing import Any, Dict, Optional

from recbole_sda.tracking.settings import PROJECT
from recbole_sda.tracking.tracker import TrackedRun, Tracker


class TrackioTracker(Tracker):
    """A run of Trackio, which knows a run by its name. The trials of a search are a group."""

    _run: Any

    def start(self, run: TrackedRun, known: Optional[str], parent: Optional[str]) -> str:
        """Begin or continue a run."""
        with redirect_stdout(io.StringIO()):  # where the dashboard starts; docs/tracking.md says it too
            import trackio

            self._run = trackio.init(
                project=self.options.get("project") or os.environ.get("TRACKIO_PROJECT") or PROJECT,
                name=known or run.name,
                group=self.options.get("group") or run.group,
                config={**_plain(run.config), "kind": run.kind, "run_folder": str(run.folder.resolve())},
                resume="must" if known else "never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        return str(self._run.name)

    def log(self, step: int, values: Dict[str, float]) -> None:
        """Add figures."""
        self._run.log(values, step=step)

    def describe(self, step: int, values: Dict[str, float], notes: Dict[str, str]) -> None:
        """Add the final figures and texts at the last step."""
        self._run.log({**values, **notes}, step=step)

    def end(self, succeeded: bool) -> None:
        """End the run; this waits until all of it is stored."""
        with redirect_stdout(io.StringIO()):
            import trackio

            trackio.finish()  # the run of this process; the library has one at a time


def _plain(config: Any) -> Dict[str, Any]:
    """Return a configuration without names that begin with an underscore, which Trackio keeps for itself."""
    return {str(key): value for key, value in config.items() if not str(key).startswith("_")}
