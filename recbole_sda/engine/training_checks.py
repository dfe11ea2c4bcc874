"""Signs in a finished training that its result should not be used: every user gets the same list, or it stopped at once."""

from typing import Any, List, Optional

from recbole_sda.engine.collector import Ranking

SAME_LIST = 0.5  # healthy models of the benchmarks stay below 0.1, dead starts reach 0.9
EARLY_EPOCHS = 2
LOSS_KEYS = ("learning_rate", "encoder_lr_factor", "moda_alpha", "warmup_epochs", "weight_decay", "logit_temperature")


def same_list_share(ranking: Ranking) -> Optional[float]:
    """Return the share of all recommendations that are of the k items recommended most often, k being the longest list.

    It is 1 if every user gets the same list, apart from masked items. None if the evaluation did not count recommendations.
    """
    if not ranking.recommended:
        return None
    k = max(ranking.recommended)
    counts = ranking.recommended[k]
    total = counts.sum()
    return float(counts[counts.argsort()[-k:]].sum() / total) if total else None


def _chance(ranking: Ranking) -> float:
    """Return the share of :func:`same_list_share` where all items are recommended equally often."""
    k = max(ranking.recommended)
    return min(1.0, k / (len(ranking.recommended[k]) - 1))  # without the padding item


def training_warnings(
    best_ranking: Optional[Ranking], best_epoch: int, stopped: bool, learns: bool, full_sort: bool
) -> List[str]:
    """Return what is suspicious about a training; nothing for a healthy one.

    Args:
        best_ranking: ranking of the best epoch's validation.
        best_epoch: number of the best epoch, from 1.
        stopped: whether the training ended for want of a gain, not at its last epoch.
        learns: whether the model has parameters to train.
        full_sort: whether the validation ranked all items.
    """
    warnings = []
    share = same_list_share(best_ranking) if best_ranking is not None and learns and full_sort else None
    if best_ranking is not None and share is not None and share > SAME_LIST + (1 - SAME_LIST) * _chance(best_ranking):
        warnings.append(
            f"dead start: {share:.0%} of all recommendations are the same few items for every user, so the model learned nothing "
            "about users; try a longer warmup_epochs or a lower learning_rate"
        )
    if learns and stopped and best_epoch <= EARLY_EPOCHS:
        warnings.append(
            f"epoch {best_epoch} is the best one and training stopped soon after it: stopping_step may be too short, or "
            "learning_rate too high"
        )
    return warnings


def diverged(epoch: int, config: Any, run_dir: Any) -> str:
    """Return the message about a training loss that is NaN, with the values of the keys that most often lead to it.

    Args:
        epoch: number of the epoch, from 0.
        config: configuration of the run.
        run_dir: its folder.
    """
    known = {key: config[key] for key in LOSS_KEYS}
    values = ", ".join(f"{key}={value}" for key, value in known.items() if value is not None)
    return f"{run_dir}: the training loss is NaN in epoch {epoch + 1}, with {values}; train anew with a lower learning_rate"
