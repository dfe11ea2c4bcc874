"""A comparison from start to end: read the plan, run what is missing, write the tables."""

import logging
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Union

from recbole_sda.comparison.plan import Job, Plan
from recbole_sda.comparison.read_plan import PlanSource, read_plan
from recbole_sda.comparison.runner import kinds_of, run_planned
from recbole_sda.comparison.statistics import compare_runs
from recbole_sda.comparison.tables import write_tables
from recbole_sda.errors import InputError, MissingFeatures
from recbole_sda.validation import AT_LEAST_ONE, NOT_NEGATIVE

logger = logging.getLogger(__name__)


class FailedRuns(InputError):
    """Some runs of a comparison, or evaluations of runs, failed; the tables have the finished ones.

    Attributes:
        comparison: content of ``comparison.json``; its ``rows`` are empty where no run is finished.
        failures: name of the failed run or evaluation -> message.
    """

    def __init__(self, comparison: Dict[str, Any], failures: Dict[str, str], jobs: Sequence[Job]):
        lines = "".join(f"\n  {name}: {message}" for name, message in failures.items())
        super().__init__(
            f"{len(failures)} of {len(jobs)} {kinds_of(jobs)} failed; the same command tries them again:{lines}"
        )
        self.comparison, self.failures = comparison, failures


def checked_plan(
    plan: PlanSource,
    out: Union[str, Path, None] = None,
    overrides: Optional[Mapping[str, Any]] = None,
    features_needed: bool = True,
) -> Plan:
    """Read a plan and check its runs and evaluations before the first one starts; see :func:`compare` for arguments and errors.

    ``features_needed``: False accepts that there is no feature store yet.
    """
    checked = read_plan(plan, out, overrides)
    if checked.out.exists() and not checked.out.is_dir():
        raise InputError(f"--out={checked.out} is a file; expected a folder")
    for run in [*checked.runs(), *checked.other_finished_runs()]:
        for job in checked.with_evaluations(run):
            try:
                job.check()
            except MissingFeatures:
                if features_needed:
                    raise
    return checked


def compare(
    plan: PlanSource,
    out: Union[str, Path, None] = None,
    overrides: Optional[Mapping[str, Any]] = None,
    parallel: int = 1,
    gpus: float = 0.0,
    address: Optional[str] = None,
    run: bool = True,
) -> Dict[str, Any]:
    r"""Compare models on data sets over seeds: run what is missing, test the differences, write the tables.

    Finished runs are not repeated and interrupted ones are resumed, so the same call continues a comparison. Each finished run is
    evaluated again under the further protocols of the plan (``also``), without training.

    Args:
        plan: a YAML file, the name of a file in properties/experiments/, or a dict of the same keys.
        out: folder of the runs and of comparison.json, .md and .tex; None: ``runs/compare/<name of the plan>``.
        overrides: keys that replace or extend the plan's, see :func:`recbole_sda.comparison.read_plan.read_plan`.
        parallel: runs, or evaluations of finished runs, at once, with Ray where more than one; at least 1.
        gpus: share of a GPU for each of them with Ray; 0: none.
        address: of a Ray cluster (``auto``: the one that this machine belongs to), whose machines share the folders.
        run: False: run nothing, and write the tables of the finished runs.

    Returns:
        The content of comparison.json, see :func:`recbole_sda.comparison.statistics.compare_runs`.

    Raises:
        FailedRuns: some runs or evaluations failed; the same call tries them again.
        InputError: the plan or an argument is wrong, a folder has a run with other settings or data, or no run is finished.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "shop").mkdir()
        >>> rows = [f"u{user}\ti{(user + 3 * time) % 30}\t{time}" for user in range(40) for time in range(8)]
        >>> _ = (folder / "shop/shop.inter").write_text("\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows]))
        >>> plan = {"datasets": ["shop"], "seeds": [1, 2], "models": {"BPR": {}, "LightGCN": {"base": "BPR"}},
        ...         "keys": {"data_path": str(folder), "epochs": 1}, "also": {"uni5": {"eval_args": {"mode": "uni5"}}}}
        >>> comparison = compare(plan, out=folder / "comparison")
        >>> [(row["row"], row["base"], row["seeds"]) for row in comparison["rows"]]
        [('BPR', None, [1, 2]), ('LightGCN', 'BPR', [1, 2])]
        >>> [comparison["rows"][1]["tests"][scope]["ndcg@10"]["users"] for scope in ("all", "uni5")]
        [40, 40]
        >>> sorted(path.name for path in (folder / "comparison").glob("comparison.*"))
        ['comparison.json', 'comparison.md', 'comparison.tex']
    """
    AT_LEAST_ONE.check("parallel", parallel, whole=True)
    NOT_NEGATIVE.check("gpus", gpus)
    checked = checked_plan(plan, out, overrides)
    jobs = checked.jobs()
    failures = run_planned(jobs, parallel, gpus, address) if run else {}
    comparison = compare_runs(checked)
    if comparison["rows"]:
        logger.info("written: %s", ", ".join(str(path) for path in write_tables(comparison, checked.out)))
    if failures:
        raise FailedRuns(comparison, failures, jobs)
    if not comparison["rows"]:
        raise InputError(f"{checked.out} has no finished run of this comparison")
    return comparison
