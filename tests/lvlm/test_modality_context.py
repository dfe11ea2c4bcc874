import threading

import pytest

from recbole_sda.lvlm.modality_context import current_modality, modality


def test_unset_is_an_error():
    with pytest.raises(RuntimeError, match="with modality"):
        current_modality()


def test_nested_and_in_another_thread():
    seen = []
    with modality(0):
        with modality(1):
            assert current_modality() == 1
        assert current_modality() == 0

        def other():
            with modality(3):
                seen.append(current_modality())

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert current_modality() == 0
    assert seen == [3]
