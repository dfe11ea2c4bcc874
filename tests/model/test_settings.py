"""SDA keys: types, ranges, choices."""

import pytest

from recbole_sda.errors import InputError
from recbole_sda.model.settings import SDASettings


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"item_encoder": "mlp"}, "item_encoder='mlp': allowed are moda, linear, identity"),
        ({"id_embedding": True}, "id_embedding=True: allowed are add, none"),
        ({"fusion": "attention"}, "fusion='attention': allowed are mean, concat, gated"),
        ({"cmsa_weight": -1}, "cmsa_weight=-1: expected a number at least 0"),
        ({"cmsa_temperature": 0}, "cmsa_temperature=0: expected a number at least 0.01"),
        ({"cmsa_weight": "much"}, "cmsa_weight='much': expected a number"),
        ({"cmsa_weight": float("nan")}, "cmsa_weight=nan: expected a finite number"),
        ({"cmsa_weight": None}, "cmsa_weight is empty: a value is needed"),
        ({"moda_rank": 7}, "moda_rank=7 must be a multiple of moda_experts=4"),
        ({"moda_rank": 1.5}, "moda_rank=1.5: expected a whole number at least 0"),
        ({"moda_experts": 0}, "moda_experts=0: expected a whole number at least 1"),
        ({"moda_dropout": 1}, "moda_dropout=1: expected a number at least 0 and below 1"),
        ({"cmsa_learnable": 1}, "cmsa_learnable=1: expected true or false"),
        ({"modalities": 3}, "modalities=3: expected a list"),
        ({"feature_views": ["pca"]}, "feature_views: 'pca' is not a view"),
        ({"alignment_weight": 0.1}, "alignment_weight above 0 needs alignment_run"),
        ({"item_encoder": "identity"}, "cmsa_weight=0.1 needs encoded features; item_encoder=identity has none"),
    ],
)
def test_what_is_refused(build, keys, message):
    with pytest.raises(InputError, match=message):
        SDASettings.from_config(build.config("SASRec_SDA", **keys))


def test_what_is_taken(build):
    given = {"modalities": "text", "feature_views": [], "moda_rank": 0, "cmsa_teacher_scale": None, "moda_alpha": 16}
    settings = SDASettings.from_config(build.config("SASRec_SDA", **given))
    assert settings.modalities == ("text",) and settings.feature_views == () and settings.cmsa_teacher_scale is None
    assert settings.moda_rank == 0 and isinstance(settings.moda_alpha, float)
