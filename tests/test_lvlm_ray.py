import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.lvlm.extract import extract
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.tiny import make_tiny
from recbole_sda.lvlm_ray import by_actors


def test_actors_equal_one_process(items_file, tmp_path):
    given = {"backbone": str(make_tiny("qwen2_5_vl", tmp_path / "tiny")), "items": str(items_file), "workers": 0}
    settings = read_settings((), {**given, "dtype": "float32", "shard_items": 2, "threads": 1})
    one = FeatureStore(extract(settings, tmp_path / "one"))
    two = FeatureStore(extract(settings, tmp_path / "two", encode_shards=by_actors(settings, 2)))
    for name in one.modalities:
        assert torch.equal(one.matrix(name), two.matrix(name)) and torch.equal(one.present(name), two.present(name))


def test_number_of_actors(items_file):
    with pytest.raises(InputError, match="actors=0"):
        by_actors(read_settings(), 0)
