"""Keys of the softmax loss: values that are refused, and what goes together."""

import pytest

from recbole_sda.engine.trainer import make_trainer
from recbole_sda.errors import InputError


@pytest.mark.parametrize(
    "model, keys, message",
    [
        ("SASRec", {"softmax_negatives": 0}, "whole number at least 1"),
        ("SASRec", {"softmax_negatives": 2.5}, "whole number at least 1"),
        ("SASRec", {"softmax_negatives": 5, "softmax_proposal": "popular"}, "Did you mean 'popularity'"),
        (
            "GRU4Rec_SDA",
            {"softmax_negatives": 5, "sparse_updates": True, "weight_decay": 0.1},
            "weight_decay=0.1: with sparse_updates",
        ),
        (
            "GRU4Rec_SDA",
            {"softmax_negatives": 5, "sparse_updates": True, "learner": "sgd"},
            "learner=sgd: with sparse_updates",
        ),
        (
            "SASRec",
            {"softmax_negatives": 5, "sparse_updates": True, "clip_grad_norm": {"max_norm": 1}},
            "clip_grad_norm",
        ),
        ("SASRec", {"softmax_negatives": 5, "sparse_updates": "always"}, "sparse_updates='always': expected auto"),
        ("NARM_SDA", {"softmax_negatives": 5, "loss_type": "BPR"}, "needs loss_type CE"),
        (
            "CORE_SDA",
            {"softmax_negatives": 5},
            "CORE_SDA computes its own loss; models that read this key are BERT4Rec",
        ),
        ("BPR", {"softmax_negatives": 5}, "BPR computes its own loss"),
        ("BPR", {"popularity_adjustment": 0.5}, "popularity_adjustment: BPR computes its own loss"),
        ("SASRec", {"popularity_adjustment": 1.5}, "number at least 0 and at most 1"),
        ("NARM_SDA", {"popularity_adjustment": 0.5, "loss_type": "BPR"}, "needs loss_type CE"),
        ("SASRec", {"logit_temperature": 0}, "logit_temperature=0: expected a number above 0"),
        ("CORE_SDA", {"logit_temperature": 0.1}, "logit_temperature: CORE_SDA computes its own loss"),
        ("NARM", {"logit_temperature": 0.1, "loss_type": "BPR"}, "logit_temperature=0.1 needs loss_type CE"),
    ],
)
def test_what_does_not_go_together_is_refused(build, model, keys, message, tmp_path):
    with pytest.raises(InputError, match=message):
        if keys.get("loss_type"):
            keys = {**keys, "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}}
        built = build(model, **keys)
        make_trainer(built.config, built.model, tmp_path)
