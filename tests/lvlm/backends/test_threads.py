import threading
import time

import pytest

from recbole_sda.lvlm.backends.threads import in_threads


def test_order_and_how_far_ahead():
    started = []

    def slow(k):
        started.append(k)
        time.sleep(0.002 * (5 - k % 5))
        return k

    results = in_threads(slow, range(40), 3)
    assert next(results) == 0
    time.sleep(0.1)
    assert max(started) <= 6
    assert list(results) == list(range(1, 40))


def test_an_error_comes_at_its_input_and_threads_end():
    before = threading.active_count()

    def fail(k):
        if k == 5:
            raise ValueError("five")
        return k

    seen = []
    with pytest.raises(ValueError, match="five"):
        for value in in_threads(fail, range(10), 2):
            seen.append(value)
    assert seen == [0, 1, 2, 3, 4]
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_nothing_to_do():
    assert list(in_threads(str, [], 3)) == []
