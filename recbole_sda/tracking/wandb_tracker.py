"""Weights & Biases: a run of a project, online, or in the run folder with WANDB_MODE=offline."""

import os
from typing import Any, Dict, Optional

from recbole_sda.tracking.settings import PROJECT
from recbole_sda.tracking.tracker import TrackedRun, Tracker

START_SECONDS = 30.0  # that the service has to answer when a run starts


class WandbTracker(Tracker):
    """A run of Weights & Biases. The trials of a search are a group with the search's run."""

    _run: Any

    def start(self, run: TrackedRun, known: Optional[str], parent: Optional[str]) -> str:
        """Begin or continue a run. The library's copies of code and output, and its measurements of the machine, are off."""
        import wandb

        settings = wandb.Settings(
            silent=True,
            console="off",
            save_code=False,
            disable_git=True,
            disable_job_creation=True,
            x_disable_stats=True,
            init_timeout=START_SECONDS,
        )
        self._run = wandb.init(
            project=self.options.get("project") or os.environ.get("WANDB_PROJECT") or PROJECT,
            name=run.name,
            id=known,
            resume="allow",
            group=self.options.get("group") or run.group,
            job_type=run.kind,
            dir=str(run.folder),
            config={**run.config, "run_folder": str(run.folder.resolve())},
            allow_val_change=True,
            reinit="create_new",
            settings=settings,
        )
        return str(self._run.id)

    def log(self, step: int, values: Dict[str, float]) -> None:
        """Add figures."""
        self._run.log(values, step=step)

    def describe(self, step: int, values: Dict[str, float], notes: Dict[str, str]) -> None:
        """Add to the summary of the run."""
        self._run.summary.update({**values, **notes})

    def end(self, succeeded: bool) -> None:
        """End the run; online, this waits until all of it is sent."""
        self._run.finish(exit_code=0 if succeeded else 1)
