import pytest

from recbole_sda.errors import InputError
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.lvlm.settings import LVLMSettings, read_settings


def test_later_layers_win(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("rank: 16\nlearning_rate: 1e-3\nsteps: 10\n")
    settings = read_settings([str(file)], {"steps": 20}, {"rank": 4, "experts": 2})
    assert (settings.rank, settings.experts, settings.steps, settings.learning_rate) == (16, 2, 20, 1e-3)


def test_preset_stands_below_files_and_command_line(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("preset: paper\nexperts: 8\n")
    settings = read_settings([str(file)], {"loss_dim": None})
    assert (settings.temperature, settings.normalize, settings.teacher_scale) == (3.0, False, None)
    assert (settings.experts, settings.loss_dim) == (8, None)


def test_every_key_of_the_file_is_a_setting():
    values = read_yaml(properties_dir() / "lvlm.yaml")
    assert list(values) == list(LVLMSettings.__dataclass_fields__)
    assert read_settings().plain() == values


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"rnak": 4}, "'rnak' is not a key.*rank"),
        ({"preset": "papr"}, "preset='papr'.*paper"),
        ({"method": "dora"}, "method='dora'.*moda, lora, two_lora, none"),
        ({"rank": 6}, "rank=6 must be a multiple of experts=4"),
        ({"dropout": 1.0}, "dropout=1.0.*below 1"),
        ({"steps": 1.5}, "steps=1.5.*whole number"),
        ({"steps": True}, "steps=True"),
        ({"learning_rate": "fast"}, "learning_rate='fast'.*a number above 0"),
        ({"learnable": 1}, "learnable=1: expected true or false"),
        ({"dtype": None}, "dtype is empty"),
        ({"min_pixels": 500, "max_pixels": 100}, "min_pixels=500 is above max_pixels=100"),
        ({"bought_together_weight": 0.1}, "needs interactions"),
        ({"text_prompt": {"title": None}}, "text_prompt=.*expected a text; in a YAML file, put it in quotes"),
        ({"field_words": {"title": "ten"}}, "field_words=.*title"),
    ],
)
def test_wrong_values_are_named(keys, message):
    with pytest.raises(InputError, match=message):
        read_settings((), keys)


@pytest.mark.parametrize("preset", [path.stem for path in (properties_dir() / "lvlm").glob("*.yaml")])
def test_presets_can_be_read(preset):
    assert read_settings((), {"preset": preset})
