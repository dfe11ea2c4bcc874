"""A run's best epoch, read by RecBole's own function, has the same scores."""

import pytest
import torch

from recbole_sda.engine.experiment import run
from recbole_sda.engine.recbole_checkpoint import export_checkpoint
from recbole_sda.engine.run import load
from recbole_sda.errors import InputError

from recbole.quick_start import load_data_and_model  # isort: skip


MODELS = ["SASRec", "BPR", "Pop", "BERT4Rec_SDA", "BPR_SDA", "FREEDOM_SDA", "LightGCN"]
FALLBACK = {"base_fallback": True}  # which keeps the base of both models below


@pytest.mark.parametrize(
    "model, more", [*((model, {}) for model in MODELS), ("BPR_SDA", FALLBACK), ("FREEDOM_SDA", FALLBACK)]
)
def test_recbole_reads_it(model, more, tiny_keys, tmp_path):
    result = run(model, "tiny", (), {**tiny_keys, **more, "epochs": 1, "runs_path": str(tmp_path / "runs")})
    assert result.get("fallback", {}).get("kept") == ("base" if more else None)
    file = export_checkpoint(result["run_dir"], tmp_path / "exported" / "model.pth")
    config, theirs, dataset, *_ = load_data_and_model(str(file))
    ours = load(result["run_dir"])
    assert config["model"] == model and type(config).__name__ == "Config"
    assert list(dataset.field2id_token["item_id"]) == list(ours.data.dataset.field2id_token["item_id"])
    batch = next(iter(ours.data.test))[0]
    with torch.no_grad():
        expected, found = (one.eval().full_sort_predict(batch.to("cpu")) for one in (ours.model, theirs))
    torch.testing.assert_close(found, expected)
    with pytest.raises(InputError, match="model.pth exists already"):
        export_checkpoint(result["run_dir"], file)
