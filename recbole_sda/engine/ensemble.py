"""The command ``ensemble``: a run of one of the ensemble models on the data of its first member."""

from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Union

from recbole.utils.argument_list import dataset_arguments

from recbole_sda.engine.ensemble_members import NEIGHBOURHOODS
from recbole_sda.engine.experiment import EVALUATION, run
from recbole_sda.engine.run import settings_of
from recbole_sda.errors import InputError
from recbole_sda.model.registry import ensemble_of, is_sequential

SET_HERE = ("model", "dataset", "members", "run_dir")
# Keys of the data and of the evaluation, which an ensemble takes from its first run.
SHARED = {*EVALUATION, *dataset_arguments, "cold_items", "cold_items_seed", "seed", "features"} - {"repeatable"}


def ensemble(
    members: Sequence[Union[str, Path]], out: Union[str, Path], overrides: Optional[Dict[str, Any]] = None
) -> Dict[str, Any]:
    """Evaluate a weighted sum of the scores of finished runs and neighbourhoods, and write a run folder.

    An ensemble of general models is evaluated as they are, with a list per user, under any split. With a sequential model among the
    members, it is evaluated as sequential models are; general models can be members where the split is leave-one-out.

    Args:
        members: folders of finished runs on the same data and split, at least one, and ``knn:cooccurrence``, ``knn:features`` or
            ``knn:features:MODALITY``.
        out: folder of the new run.
        overrides: keys of ``properties/model/Ensemble.yaml``, of the evaluation, and of the features. The keys of the data and of
            the evaluation are those of the first run, histories are as long as the longest of a member.

    Returns:
        What :func:`recbole_sda.engine.experiment.run` returns; ``ensemble`` has the members with their weights.

    Raises:
        InputError: a member cannot be used, or a key or value is wrong.

    Example:
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> os.makedirs(f"{folder.name}/toy")
        >>> with open(f"{folder.name}/toy/toy.inter", "w") as file:
        ...     rows = [f"u{u}\\ti{(3 * u + t) % 9}\\t{t}" for u in range(9) for t in range(5)]
        ...     print("user_id:token\\titem_id:token\\ttimestamp:float", *rows, sep="\\n", file=file)
        >>> keys = {"data_path": folder.name, "runs_path": f"{folder.name}/runs", "epochs": 1, "use_gpu": False}
        >>> member = run("BPR", "toy", overrides={**keys, "topk": [5], "valid_metric": "NDCG@5"})
        >>> result = ensemble([member["run_dir"], "knn:cooccurrence"], f"{folder.name}/both")
        >>> len(result["ensemble"]["weights"]["all"]), result["valid"]["ndcg@5"] >= member["valid"]["ndcg@5"]
        (2, True)
        >>> folder.cleanup()
    """
    names = [str(member) for member in members]
    for key in SET_HERE:
        if key in (overrides or {}):
            raise InputError(
                f"ensemble: {key} follows from the members and the folder that are given; leave the key out"
            )
    runs = [name for name in names if not name.startswith("knn:")]
    if not runs:
        raise InputError(f"ensemble: give at least one run folder beside {', '.join(NEIGHBOURHOODS)}")
    settings = [settings_of(Path(name)) for name in runs]
    first = settings[0]
    model = ensemble_of(values["model"] for values in settings)
    keys = {key: first[key] for key in SHARED if first.get(key) is not None}
    if first.get("repeatable") and not is_sequential(first["model"]):  # RecBole's key for general models
        keys.update({"mask_history": False} if is_sequential(model) else {"repeatable": True})
    longest = [values["MAX_ITEM_LIST_LENGTH"] for values in settings if values.get("MAX_ITEM_LIST_LENGTH")]
    keys["MAX_ITEM_LIST_LENGTH"] = max(longest, default=50)
    resolved = [str(Path(name).resolve()) if name in runs else name for name in names]
    return run(model, first["dataset"], (), {**keys, **(overrides or {}), "members": resolved, "run_dir": str(out)})
