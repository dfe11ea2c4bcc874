"""Learning-rate warm-up: the rate grows linearly over the first steps of a training."""

from typing import Any, Dict, List, Sequence

import torch


class LinearWarmup:
    """Multiplies the learning rates of optimizers by ``min(1, step / n_steps)``, with steps counted from 1.

    Args:
        optimizers: whose rates are those after the warm-up. Each counts its own steps.
        n_steps: number of steps of the warm-up; 0: none.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> optimizer = torch.optim.SGD([weight], lr=0.8)
        >>> warmup, rates = LinearWarmup([optimizer], 4), []
        >>> for _ in range(5):
        ...     optimizer.step()
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 2))
        >>> rates
        [0.2, 0.4, 0.6, 0.8, 0.8]
    """

    def __init__(self, optimizers: Sequence[Any], n_steps: int):
        self.n_steps = n_steps
        parts = [part for optimizer in optimizers for part in getattr(optimizer, "parts", [optimizer])]
        self._rates = [[group["lr"] for group in part.param_groups] for part in parts]
        self.steps = [0] * len(parts)
        for number, part in enumerate(parts):
            part.register_step_pre_hook(lambda part, args, kwargs, number=number: self._before_step(number, part))

    def _before_step(self, number: int, optimizer: torch.optim.Optimizer) -> None:
        self.steps[number] += 1
        if self.steps[number] <= self.n_steps + 1:
            factor = min(1.0, self.steps[number] / max(self.n_steps, 1))
            for group, rate in zip(optimizer.param_groups, self._rates[number]):
                group["lr"] = rate * factor

    def state_dict(self) -> Dict[str, Any]:
        """Return the steps so far, for a checkpoint."""
        return {"steps": list(self.steps), "n_steps": self.n_steps}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Restore the steps from :meth:`state_dict`."""
        steps: List[int] = state["steps"]
        self.steps, self.n_steps = list(steps), state["n_steps"]
