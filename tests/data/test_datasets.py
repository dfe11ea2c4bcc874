"""Which data set a run uses."""

import subprocess
import sys

import pandas as pd
import pytest

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import choose_dataset, ensure_sample, load_data
from recbole_sda.errors import InputError
from recbole_sda.features.store import find_store


def test_a_prepared_set_is_taken_as_it_is(data_path, caplog):
    assert choose_dataset("tiny", data_path) == "tiny" and not caplog.text


def test_pre_split_files_count_as_prepared(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "d.train.inter").touch()
    assert choose_dataset("d", tmp_path) == "d"


def test_a_supported_set_that_is_not_there_gives_way_to_its_miniature_and_says_so(tmp_path, caplog):
    assert choose_dataset("Amazon_Sports", tmp_path) == "Amazon_Sports-sample"
    for part in (
        "is not prepared",
        "Amazon_Sports.inter",
        "dataset_prep amazon",
        "BUILT-IN MINIATURE Amazon_Sports-sample",
    ):
        assert part in caplog.text
    (tmp_path / "Amazon_Sports").mkdir()
    (tmp_path / "Amazon_Sports" / "Amazon_Sports.inter").touch()
    assert choose_dataset("Amazon_Sports", tmp_path) == "Amazon_Sports"


def test_asking_for_the_miniature_needs_no_warning(tmp_path, caplog):
    assert choose_dataset("Amazon_Toys-sample", tmp_path) == "Amazon_Toys-sample" and not caplog.text


@pytest.mark.parametrize(
    "name, hint", [("Amazon_Sport", "Did you mean 'Amazon_Sports'"), ("tinny", "Did you mean 'tiny'")]
)
def test_unknown_names(data_path, name, hint):
    with pytest.raises(InputError, match=f"data set '{name}': .*{name}.inter does not exist.*{hint}"):
        choose_dataset(name, data_path)


def test_the_miniature_is_made_once_with_its_features(tmp_path):
    ensure_sample("Amazon_Baby-sample", tmp_path)
    folder = tmp_path / "Amazon_Baby-sample"
    store = find_store(folder)
    assert store.modalities == ["image", "text"] and store.counts["image"]["missing"] > 0
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    ensure_sample("Amazon_Baby-sample", tmp_path)
    assert made == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("model", ["SASRec", "BPR", "Pop"])
def test_seconds_apart_are_told_apart(tiny_keys, tmp_path, write_tiny, model):
    """RecBole holds times in float32, where those of our days lie 64 or 128 seconds apart."""
    path = write_tiny(tmp_path) / "tiny.inter"
    table = pd.read_csv(path, sep="\t")
    table["timestamp:float"] = 1_400_000_000 + 5 * table["timestamp:float"].astype(int)
    table.sample(frac=1, random_state=0).to_csv(path, sep="\t", index=False)
    data = load_data(RunConfig(model, "tiny", (), {**tiny_keys, "data_path": str(tmp_path)}))
    tokens = [data.dataset.field2id_token[field] for field in ("user_id", "item_id")]
    last = table.groupby("user_id:token")["item_id:token"].agg(list)
    for loader, place in ((data.test, -1), (data.valid, -2)):
        rows = loader.dataset.inter_feat
        assert len(rows) == len(last)
        for user, item in zip(rows["user_id"].numpy(), rows["item_id"].numpy()):
            assert last[tokens[0][user]][place] == tokens[1][item]


def test_processes_make_the_miniature_in_turn(tmp_path):
    code = "import sys; from recbole_sda.data.datasets import ensure_sample; ensure_sample('Amazon_Baby-sample', sys.argv[1])"
    both = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert [process.wait(120) for process in both] == [0, 0], both[0].stderr.read() + both[1].stderr.read()
    assert find_store(tmp_path / "Amazon_Baby-sample").modalities == ["image", "text"]


def test_quotation_marks_are_characters(build, tmp_path, write_tiny, tiny_keys):
    folder = write_tiny(tmp_path / "data")
    text = (folder / "tiny.inter").read_text().replace("\ti1\t", '\t"7 inch\t').replace("\ti2\t", '\t12"\t')
    (folder / "tiny.inter").write_text(text)
    config = RunConfig("BPR", "tiny", (), {**tiny_keys, "data_path": str(tmp_path / "data")})
    data = load_data(config)
    assert {'"7 inch', '12"'} <= set(data.dataset.field2id_token["item_id"])
    assert len(data.dataset.inter_feat) == text.count("\n") - 1


@pytest.mark.parametrize(
    "model, header, message",
    [
        ("BPR", "", "expected a first line of name:type"),
        ("BPR", "user_id\titem_id\ttimestamp", "expected a first line of name:type, .*found 'user_id"),
        ("BPR", "user_id:token\titem_id:string\ttimestamp:float", "with the types float, float_seq, token, token_seq"),
        ("BPR", "user_id:token,item_id:token,timestamp:float", "expected a first line of name:type"),
        (
            "BPR",
            "userid:token\titem_id:token\ttimestamp:float",
            "no column 'user_id', which the run reads; there is userid, item_id",
        ),
        ("SASRec", "user_id:token\titem_id:token\ttime:float", "no column 'timestamp'"),
    ],
)
def test_interaction_files_that_recbole_would_stumble_over(tiny_keys, tmp_path, write_tiny, model, header, message):
    path = write_tiny(tmp_path) / "tiny.inter"
    path.write_text("\n".join([header, *path.read_text().split("\n")[1:]]))
    with pytest.raises(InputError, match=f"tiny.inter: .*{message}"):
        load_data(RunConfig(model, "tiny", (), {**tiny_keys, "data_path": str(tmp_path)}))


def test_general_models_in_random_order_need_no_times(tiny_keys, tmp_path, write_tiny):
    path = write_tiny(tmp_path) / "tiny.inter"
    path.write_text("".join(line.rpartition("\t")[0] + "\n" for line in path.read_text().splitlines()))
    keys = {**tiny_keys, "data_path": str(tmp_path), "eval_args": {"order": "RO", "split": {"RS": [8, 1, 1]}}}
    assert load_data(RunConfig("BPR", "tiny", (), keys)).test is not None
