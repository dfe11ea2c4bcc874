"""Peak memory of parts of a run."""

import sys

import numpy as np
import pytest

from recbole_sda.machine.memory import peak, reset_peak


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_each_measurement_has_its_own_peak():
    reset_peak("cpu")
    before = peak("cpu")["resident"]
    large = np.ones(2**25)  # 0.25 GiB
    with_large = peak("cpu")["resident"]
    del large
    reset_peak("cpu")
    assert with_large > before + 0.2 and peak("cpu")["resident"] < with_large - 0.2
