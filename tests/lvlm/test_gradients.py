import json

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.lvlm.adapter_trainer import AdapterTrainer
from recbole_sda.lvlm.backbone import load_backbone
from recbole_sda.lvlm.gradients import METHODS, conflict, layer_of, low_rank_weights, measure, write
from recbole_sda.lvlm.items import read_item_content
from recbole_sda.lvlm.training_items import select_training_items
from recbole_sda.report.gradients import draw


@pytest.mark.parametrize("method", METHODS)
def test_both_parts_make_the_whole_gradient(stage, method):
    settings = stage(method=method, dropout=0.0)
    backbone = load_backbone(settings)
    items = select_training_items(read_item_content(settings), backbone.processor, settings)
    trainer = AdapterTrainer(backbone, settings)
    batch = [inputs.batch(backbone.processor, range(8)) for inputs in (items.image, items.text)]
    trainer.step(0, batch)  # away from B = 0
    found = conflict(trainer, batch)
    assert list(found) == trainer.targets
    weights = low_rank_weights(trainer)
    whole = torch.autograd.grad(sum(trainer.loss_terms(batch).values()), list(weights.values()))
    for layer, row in found.items():
        squared = sum(float(g.double().pow(2).sum()) for n, g in zip(weights, whole) if layer_of(n) == layer)
        a, b, cosine = row["image_norm"], row["text_norm"], row["cosine"]
        assert abs(a * a + b * b + 2 * a * b * cosine - squared) < 1e-5 * max(squared, 1e-6)
        assert -1 <= cosine <= 1 and (method != "two_lora" or cosine == 0)


def test_measure_and_figure(stage, tmp_path):
    result = measure(stage(steps=4), points=3, n_batches=1)
    assert set(result["methods"]) == set(METHODS)
    for points in result["methods"].values():
        assert [p["step"] for p in points] == [0, 2, 4] and len(points[0]["layers"]) == 14
    path = write(result, tmp_path)
    assert json.loads(path.read_text())["methods"] == result["methods"]
    assert draw(path, tmp_path / "g.png").stat().st_size > 10_000


def test_models_of_text_only_are_refused(stage):
    with pytest.raises(InputError, match="reads text only"):
        measure(stage("qwen3"))
