"""Peak memory of parts of a run."""

import os
import sys

import numpy as np
import pytest

from recbole_sda.machine.memory import free_memory, peak, reset_peak


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_each_measurement_has_its_own_peak():
    reset_peak("cpu")
    before = peak("cpu")["resident"]
    large = np.ones(2**25)  # 0.25 GiB
    with_large = peak("cpu")["resident"]
    del large
    reset_peak("cpu")
    assert with_large > before + 0.2 and peak("cpu")["resident"] < with_large - 0.2


def test_free_memory_is_below_what_the_machine_has():
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = free_memory("cpu")
    assert free is None or 0 < free < total
