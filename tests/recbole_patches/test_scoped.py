"""Changes of RecBole inside a ``with`` block: the fault without them, and that the old state comes back."""

import threading
from types import SimpleNamespace

import pandas as pd
import pytest

from recbole_sda.recbole_patches.scoped import base_model_name, ids_as_written, tensorboard_folder


def test_base_name_inside_own_name_outside():
    config = {"model": "SASRec_SDA"}
    with pytest.raises(KeyError), base_model_name(config, "SASRec"):
        assert config["model"] == "SASRec"
        raise KeyError
    assert config["model"] == "SASRec_SDA"


def test_tensorboard_goes_to_the_run_folder(tmp_path):
    from recbole.trainer import trainer

    own = trainer.get_tensorboard
    with tensorboard_folder(tmp_path / "tb"):
        writer = trainer.get_tensorboard(SimpleNamespace())
    assert trainer.get_tensorboard is own and not (tmp_path / "tb").exists()
    writer.add_scalar("loss", 0.5, 1)
    writer.writer.close()
    assert any((tmp_path / "tb").iterdir())


def test_ids_are_text_and_quotation_marks_are_characters(tmp_path):
    from recbole.data.dataset import dataset

    path = tmp_path / "a.inter"
    path.write_text('item_id\tx\nNA\t1\nnull\tNA\n"a\t3\n')
    with ids_as_written():
        table = dataset.pd.read_csv(path, sep="\t", dtype={"item_id": str, "x": float})
    assert table["item_id"].tolist() == ["NA", "null", '"a'] and table["x"].isna().tolist() == [False, True, False]
    assert dataset.pd is pd


def test_other_readers_are_not_affected(tmp_path):
    """Only RecBole's module reads in the other way; a thread that reads its own file by pandas does not notice."""
    path = tmp_path / "own.csv"
    path.write_text("a,b\nNA,1\n")
    found = []
    with ids_as_written():
        thread = threading.Thread(target=lambda: found.append(pd.read_csv(path)))
        thread.start()
        thread.join()
    assert found[0]["a"].isna().all()
