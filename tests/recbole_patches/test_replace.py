"""Replacing names: a name that is gone is an error, and the list of all that are replaced is known."""

import subprocess
import sys
from types import ModuleType

import pytest

from recbole_sda.recbole_patches.replace import replace, replaced, replaced_names

EVERYTHING = """
import recbole_sda
import recbole.quick_start, recbole.model.sequential_recommender
from recbole_sda.data.prefix_samples import fast_augmentation
from recbole_sda.recbole_patches import scoped
from recbole_sda.recbole_patches.no_pickle import without_pickle
import types, torch
with fast_augmentation(), without_pickle(), scoped.ids_as_written(), scoped.tensorboard_folder("x"), \\
     scoped.data_parallel_on(torch.device("cpu")):
    pass
from recbole_sda.recbole_patches.replace import replaced_names
print("\\n".join(replaced_names()))
"""
NAMES = [
    "numpy.load",
    "recbole.config.configurator.Config._load_internal_config_dict",
    "recbole.config.configurator.Config.compatibility_settings",
    "recbole.data.dataset.dataset.pd",
    "recbole.data.dataset.sequential_dataset.SequentialDataset._benchmark_presets",
    "recbole.data.dataset.sequential_dataset.SequentialDataset.data_augmentation",
    "recbole.data.utils.create_dataset",
    "recbole.data.utils.data_preparation",
    "recbole.data.utils.pickle",
    "recbole.quick_start.quick_start.load_data_and_model",
    "recbole.trainer.trainer.DistributedDataParallel",
    "recbole.trainer.trainer.get_tensorboard",
    "recbole.trainer.trainer.torch",
    "recbole.utils.utils.get_model",
    "recbole.utils.utils.get_trainer",
    "torch.load",
]


def test_every_name_that_is_replaced():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", EVERYTHING], capture_output=True, text=True)
    assert done.stdout.split() == NAMES, done.stderr


def test_a_name_that_is_gone_is_an_error():
    class Owner:
        x = 1

    class Heir(Owner):
        pass

    for owner, name in ((Owner, "y"), (Heir, "x"), (ModuleType("m"), "y")):
        with pytest.raises(AttributeError, match=f"{name} does not exist in the installed version"):
            replace(owner, name, 2)
        with pytest.raises(AttributeError), replaced(owner, name, 2):
            pass
    assert Heir.x == 1


def test_the_old_value_comes_back():
    class Owner:
        x = 1

    with pytest.raises(KeyError), replaced(Owner, "x", 2):
        assert Owner.x == 2
        raise KeyError
    assert Owner.x == 1
    assert replace(Owner, "x", 3) == 1 and Owner.x == 3
    assert any(name.endswith("Owner.x") for name in replaced_names())
