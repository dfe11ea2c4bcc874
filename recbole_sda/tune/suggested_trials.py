"""Trials whose settings Optuna suggests from the scores of the trials before them, through Ray Tune.

Optuna's default sampler, TPE (Bergstra et al., NeurIPS 2011), draws the first 10 settings at random. A search that is started again
asks Optuna anew. With one trial at a time it gets the same suggestions, because the scores of finished trials are read from their
folders. With more, the order in which trials end takes part, so the settings that were suggested before are given to Optuna first.
"""

import json
import logging
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from ray import tune
from ray.tune.search import ConcurrencyLimiter, Searcher
from ray.tune.search.optuna import OptunaSearch

from recbole_sda.io.atomic_write import append_line
from recbole_sda.io.json import read_json_lines
from recbole_sda.tune.ray_trials import Training, fit
from recbole_sda.tune.space import DRAWS, Space
from recbole_sda.tune.trial import Trial


class SuggestedTrial(NamedTuple):
    """A trial, its settings, and the error that ended it; None: no error."""

    settings: Dict[str, Any]
    trial: Trial
    error: Optional[str]


class DistinctSuggestions(OptunaSearch):
    """Ray Tune's OptunaSearch that suggests no settings twice, and appends each suggestion to a file.

    Two trials with the same settings would have the same folder. Where Optuna repeats itself, it is told the known score and asked
    again; after some repetitions the search ends.

    Args:
        record: the file, a line of JSON for each suggestion.
        recorded: the lines that it has.
        **options: of OptunaSearch.
    """

    def __init__(self, record: Path, recorded: Sequence[Dict[str, Any]], **options: Any):
        super().__init__(**options)
        self._record, self._recorded = record, {json.dumps(line) for line in recorded}
        self._names: Dict[str, str] = {}  # of trials -> their suggestion as text
        self._scores: Dict[str, Optional[float]] = {}

    def suggest(self, trial_id: str) -> Optional[Dict[str, Any]]:
        """Return the suggestion for a trial; ``FINISHED`` where Optuna repeats itself."""
        from optuna.trial import TrialState

        study: Any = self._ot_study
        for _ in range(DRAWS):
            drawn = super().suggest(trial_id)
            text = json.dumps(drawn)
            if text not in self._scores:
                self._names[trial_id], self._scores[text] = text, None
                if text not in self._recorded:
                    append_line(self._record, text)
                return drawn
            score = self._scores[text]
            state = TrialState.FAIL if score is None else TrialState.COMPLETE
            study.tell(self._ot_trials.pop(trial_id), score, state=state)
        finished: Any = Searcher.FINISHED
        return finished

    def on_trial_complete(self, trial_id: str, result: Optional[Dict[str, Any]] = None, error: bool = False) -> None:
        """Tell Optuna the result of a trial."""
        if trial_id in self._names:
            self._scores[self._names[trial_id]] = (result or {}).get(self.metric)
        super().on_trial_complete(trial_id, result, error)


def run_suggested(
    trial_of: Callable[[Dict[str, Any]], Trial], space: Space, training: Training, record: Path, scratch: Path
) -> List[SuggestedTrial]:
    """Train ``space.samples`` trials, or fewer where Optuna finds no further settings.

    Args:
        trial_of: returns the trial of some settings.
        space: the space.
        training: see :class:`~recbole_sda.tune.ray_trials.Training`.
        record: file of the suggestions of this search, also of an interrupted one.
        scratch: folder of Ray Tune's own files, which is removed at the end.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune.search.optuna").setLevel(logging.ERROR)
    recorded = read_json_lines(record)
    known = recorded[: space.samples] if training.parallel > 1 else []
    drawn = {name: domain.distribution() for name, domain in space.domains.items()}
    search = DistinctSuggestions(record, recorded, seed=space.seed + len(known), points_to_evaluate=known)
    limited = ConcurrencyLimiter(search, max_concurrent=training.parallel)
    config = tune.TuneConfig(search_alg=limited, num_samples=space.samples or 1)
    ended = fit(lambda one: trial_of(space.suggested(one)), space.suggested, config, drawn, space, training, scratch)
    settings = [(space.suggested(one), error) for one, error in ended]
    return [SuggestedTrial(one, trial_of(one), error) for one, error in settings]
