import pytest
import ray
import torch
import transformers

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.lvlm.extraction import run_extraction
from recbole_sda.lvlm.ray_extract import ray_shard_encoder
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.tiny import make_tiny
from recbole_sda.machine.ray_session import ray_session


@pytest.fixture
def settings(items_file, tmp_path):
    """Of a tiny backbone and six items."""
    given = {"backbone": str(make_tiny("qwen2_5_vl", tmp_path / "tiny")), "items": str(items_file), "workers": 0}
    return read_settings((), {**given, "dtype": "float32", "shard_items": 2, "threads": 1})


def test_actors_equal_one_process_and_the_driver_loads_no_weights(settings, tmp_path, monkeypatch):
    one = FeatureStore(run_extraction(settings, tmp_path / "one"))
    load = transformers.AutoModelForImageTextToText
    monkeypatch.setattr(load, "from_pretrained", lambda *a, **k: pytest.fail("the driver loads weights"))
    with ray_session():  # a session of the caller's stays open
        two = FeatureStore(run_extraction(settings, tmp_path / "two", encode_shards=ray_shard_encoder(settings, 2)))
        assert ray.is_initialized()
    assert one.sha256 == two.sha256
    for name in one.modalities:
        assert torch.equal(one.matrix(name), two.matrix(name)) and torch.equal(one.present(name), two.present(name))


def test_an_actor_that_cannot_load_says_why(settings, tmp_path):
    (tmp_path / "tiny/model.safetensors").write_text("damaged")
    with pytest.raises(InputError, match="backbone=.*tiny cannot be loaded") as caught:
        run_extraction(settings, tmp_path / "store", encode_shards=ray_shard_encoder(settings, 1))
    assert "Traceback" not in str(caught.value) and not ray.is_initialized()


@pytest.mark.parametrize(
    "actors, gpus, message", [(0, None, "actors=0"), ("abc", None, "actors='abc'"), (1, -1, "gpus_per_actor=-1")]
)
def test_numbers_of_actors(actors, gpus, message):
    with pytest.raises(InputError, match=message):
        ray_shard_encoder(read_settings(), actors, gpus)
