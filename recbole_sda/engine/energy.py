"""Energy of training and evaluation (key ``measure_energy``), by CodeCarbon's offline tracker. It needs no network.

A run goes on where nothing can be measured: one warning gives the reason.
"""

import logging
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Dict, Iterator, Optional

from recbole_sda.errors import one_line
from recbole_sda.machine import torchrun

logger = logging.getLogger(__name__)

DECIMALS = 9  # of kWh and kg: a short evaluation takes some milliwatt hours


class EnergyMeter:
    """Measures the phases of a run.

    Args:
        config: configuration of the run, with ``measure_energy`` and ``energy_country``.

    Example:
        >>> meter = EnergyMeter({"measure_energy": False, "energy_country": None})
        >>> with meter.phase("training"):
        ...     pass
        >>> meter.record() is None
        True
    """

    def __init__(self, config: Any):
        self._on = bool(config["measure_energy"]) and torchrun.is_main()
        self._country: Optional[str] = config["energy_country"]
        self._phases: Dict[str, Dict[str, Optional[float]]] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Context manager whose energy is recorded under ``name``; without ``measure_energy`` it does nothing."""
        tracker = self._start() if self._on else None
        try:
            yield
        finally:
            if tracker is not None:
                self._stop(tracker, name)

    def record(self) -> Optional[Dict[str, Any]]:
        """Return the entry of ``metrics.json``: ``kwh`` and ``co2e_kg`` of each phase, the country and the version of CodeCarbon.

        ``co2e_kg`` is None without a country. None if nothing was measured.
        """
        if not self._phases:
            return None
        return {**self._phases, "country": self._country, "codecarbon": version("codecarbon")}

    def _start(self) -> Any:
        try:
            from codecarbon import OfflineEmissionsTracker
        except ImportError:
            self._give_up("CodeCarbon is missing: pip install -e '.[energy]'")
            return None
        logging.getLogger("codecarbon").disabled = True  # it reports each of its steps
        try:
            country = {"country_iso_code": self._country} if self._country else {}
            tracker = OfflineEmissionsTracker(
                save_to_file=False, save_to_api=False, allow_multiple_runs=True, log_level="critical", **country
            )
            if self._country and self._country not in tracker._data_source.get_global_energy_mix_data():
                self._give_up(f"energy_country={self._country}: CodeCarbon does not know this code")
                return None
            tracker.start()
        except Exception as error:  # of any of the libraries and files that it reads the machine's power from
            self._give_up(one_line(error))
            return None
        return tracker

    def _stop(self, tracker: Any, name: str) -> None:
        try:
            tracker.stop()
            data = tracker.final_emissions_data
            co2e = round(float(data.emissions), DECIMALS) if self._country else None
            self._phases[name] = {"kwh": round(float(data.energy_consumed), DECIMALS), "co2e_kg": co2e}
        except Exception as error:
            self._give_up(one_line(error))

    def _give_up(self, reason: str) -> None:
        self._on = False
        logger.warning("measure_energy: not measured (%s)", reason)
