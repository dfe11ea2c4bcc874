"""Keys that name columns: what is not loaded is refused, and ids of one kind are numbered alike."""

import numpy as np
import pytest

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import load_data
from recbole_sda.engine.experiment import run
from recbole_sda.errors import InputError

COLUMNS = {"inter": ["user_id", "item_id", "timestamp", "rating", "shop"], "item": ["item_id", "price", "words"]}


@pytest.fixture
def path(tmp_path, write_tiny):
    """A data set with ratings, shops, prices and words."""
    path = write_tiny(tmp_path) / "tiny.inter"
    rows = path.read_text().split("\n")[1:-1]
    lines = ["user_id:token\titem_id:token\ttimestamp:float\trating:float\tshop:token"]
    lines += [f"{row}\t{1 + k % 5}\ts{k % 2}" for k, row in enumerate(rows)]
    path.write_text("\n".join([*lines, ""]))
    items = "".join(f"i{k}\t{k}\ta b\n" for k in range(37))
    path.with_suffix(".item").write_text("item_id:token\tprice:float\twords:token_seq\n" + items)
    return path


@pytest.fixture
def load(path, tiny_keys):
    keys = {**tiny_keys, "data_path": str(path.parent.parent), "load_col": COLUMNS}
    return lambda model="BPR", **more: load_data(RunConfig(model, "tiny", (), {**keys, **more}))


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("alias_of_item_id", ["brand"], "alias_of_item_id: no loaded column 'brand'; loaded are user_id"),
        (
            "alias_of_user_id",
            ["price"],
            "alias_of_user_id: column 'price' is of the type float; expected token or token_seq",
        ),
        ("seq_len", {"price": 3}, "seq_len: column 'price' is of the type float"),
        ("seq_len", {"word": 3}, "seq_len: no loaded column 'word'.* Did you mean 'words'"),
        ("normalize_field", ["shop"], "normalize_field: column 'shop' is of the type token"),
        ("val_interval", {"ratings": "[3,inf)"}, "val_interval: no loaded column 'ratings'"),
        ("val_interval", {"shop": "[3,inf)"}, "val_interval: shop=.*the column holds ids; expected a list"),
        ("unused_col", {"inter": ["price"]}, "unused_col: inter: no loaded column 'price'"),
        ("preload_weight", {"item_id": "weights"}, "preload_weight: no loaded column 'weights'"),
    ],
)
def test_columns_that_a_key_cannot_name(load, key, value, message):
    with pytest.raises(InputError, match=message):
        load(**{key: value})


def test_features_of_models_that_need_columns(load):
    with pytest.raises(
        InputError, match=r"selected_features: no loaded column 'class'; loaded are .*load_col chooses them"
    ):
        load("SASRecF")


@pytest.mark.parametrize("value", ["[3,5]", [3, 5], "[3,4);[4,5]"])
def test_values_are_filtered_as_asked(load, value):
    assert set(load(val_interval={"rating": value}).dataset.inter_feat["rating"].tolist()) == {3, 4, 5}


def test_ids_are_filtered_as_asked(load):
    data = load(val_interval={"shop": ["s1"]})
    assert set(data.dataset.field2id_token["shop"][1:]) == {"s1"}


def test_an_open_interval_on_users(load):
    few, all_users = load(user_inter_num_interval="[8,inf)").dataset.user_num, load().dataset.user_num
    assert 1 < few < all_users


def test_all_columns_but_some(load):
    data = load(load_col=None, unload_col={"inter": "shop"})
    assert "rating" in data.dataset.inter_feat and "shop" not in data.dataset.inter_feat


@pytest.fixture
def parts(tmp_path, tiny_keys, write_tiny):
    """Histories in files, and the configuration that reads them; the validation part also names the item before."""
    source = write_tiny(tmp_path / "source") / "tiny.inter"
    sequences = {}
    for row in source.read_text().split("\n")[1:-1]:
        user, item, _ = row.split("\t")
        sequences.setdefault(user, []).append(item)
    folder = tmp_path / "data" / "parts"
    folder.mkdir(parents=True)
    for place, part in enumerate(("train", "valid", "test")):
        rows = [
            (user, " ".join(items[: place - 3]), items[place - 3], items[place - 4])
            for user, items in sequences.items()
        ]
        text = "user_id:token\titem_id_list:token_seq\titem_id:token\tlast_item_id:token\n"
        (folder / f"parts.{part}.inter").write_text(text + "".join("\t".join(row) + "\n" for row in rows))
    columns = {"inter": ["user_id", "item_id_list", "item_id"]}
    keys = {
        **tiny_keys,
        "data_path": str(tmp_path / "data"),
        "load_col": columns,
        "benchmark_filename": ["train", "valid", "test"],
    }
    return sequences, keys


@pytest.mark.parametrize("longest", [4, 20])
def test_histories_of_given_parts_are_of_the_items(parts, longest):
    """RecBole numbers them apart, so that every history would be of other items; the last ones are kept."""
    sequences, keys = parts
    data = load_data(RunConfig("SASRec", "parts", (), {**keys, "MAX_ITEM_LIST_LENGTH": longest}))
    users, items = (data.dataset.field2id_token[name] for name in ("user_id", "item_id"))
    rows = data.test.dataset.inter_feat
    for user, history, target in zip(rows["user_id"].numpy(), rows["item_id_list"].numpy(), rows["item_id"].numpy()):
        expected = sequences[users[user]]
        assert [items[item] for item in history if item] == expected[:-1][-longest:] and items[target] == expected[-1]


def test_a_model_trains_on_given_parts(parts, tmp_path):
    _, keys = parts
    result = run(
        "SASRec", "parts", (), {**keys, "MAX_ITEM_LIST_LENGTH": 5, "runs_path": str(tmp_path / "runs"), "epochs": 1}
    )
    assert 0 <= result["test"]["hit@10"] <= 1


def test_other_columns_of_ids_are_named(parts, caplog):
    _, keys = parts
    columns = {"inter": [*keys["load_col"]["inter"], "last_item_id"]}
    load_data(RunConfig("SASRec", "parts", (), {**keys, "load_col": columns}))
    assert "last_item_id holds ids of item_id but is numbered apart; alias_of_item_id=[last_item_id]" in caplog.text
    caplog.clear()
    load_data(RunConfig("SASRec", "parts", (), {**keys, "load_col": columns, "alias_of_item_id": ["last_item_id"]}))
    assert "numbered apart" not in caplog.text


def test_given_parts_that_are_wrong(parts):
    _, keys = parts
    cases = [
        (
            {"benchmark_filename": ["train", "val", "test"]},
            "parts.val.inter does not exist; there are the parts test, train, valid",
        ),
        (
            {"benchmark_filename": None},
            r"parts.inter does not exist; benchmark_filename=\[train, valid, test\] reads given parts",
        ),
        ({"seq_len": {"item_id_list": 3}}, "seq_len: item_id_list: RecBole keeps the first values"),
        ({"user_inter_num_interval": "[5,inf)"}, "user_inter_num_interval=.*RecBole filters no given parts"),
        (
            {"load_col": {"inter": ["user_id", "item_id"]}},
            "the run reads the column 'item_id_list' too; add it",
        ),
    ]
    for more, message in cases:
        with pytest.raises(InputError, match=message):
            load_data(RunConfig("SASRec", "parts", (), {**keys, **more}))


def test_parts_beside_an_undivided_file_and_ties_are_named(load, path, caplog):
    path.with_name("tiny.train.inter").write_text(path.read_text())
    lines = path.read_text().split("\n")
    same = ["\t".join([*line.split("\t")[:2], "7", *line.split("\t")[3:]]) for line in lines[1:-1]]
    load("SASRec")
    assert "the parts train beside the undivided file are not read" in caplog.text and "%" not in caplog.text
    path.write_text("\n".join([lines[0], *same, ""]))
    load("SASRec")
    assert "100 % of the interactions have the same time as another one of their user" in caplog.text


def test_users_with_one_interaction_each(tiny_keys, path):
    lines = path.read_text().split("\n")
    rows = [f"w{k}\t" + line.partition("\t")[2] for k, line in enumerate(lines[1:-1])]
    path.write_text("\n".join([lines[0], *rows, ""]))
    config = RunConfig("SASRec", "tiny", (), {**tiny_keys, "data_path": str(path.parent.parent)})
    with pytest.raises(InputError, match="no user has more than 1 interactions; SASRec with split=.* at least 4"):
        load_data(config)
    with pytest.raises(InputError, match="BPR_SDA with split=.* at least 3"):
        load_data(RunConfig("BPR_SDA", "tiny", (), {**tiny_keys, "data_path": str(path.parent.parent)}))


@pytest.mark.parametrize("model", ["BPR_SDA", "SASRec", "NeuMF"])
@pytest.mark.parametrize("metrics", [["AUC"], ["AUC", "LogLoss"]])
def test_value_metrics_with_sampled_negatives(model, metrics, tiny_keys, tmp_path):
    keys = {**tiny_keys, "metrics": metrics, "valid_metric": "AUC", "eval_args": {"mode": "uni5"}, "epochs": 1}
    result = run(model, "tiny", (), {**keys, "runs_path": str(tmp_path / "runs")})
    assert 0.2 < result["test"]["auc"] < 0.9


def test_labels(tiny_keys, tmp_path, path, caplog):
    text = path.read_text().replace("rating:float", "label:float")
    path.write_text("\n".join("\t".join([*row[:3], str(int(k % 2)), *row[4:]]) if k else "\t".join(row)
                              for k, row in enumerate(line.split("\t") for line in text.split("\n")[:-1])) + "\n")  # fmt: skip
    columns = {"inter": ["user_id", "item_id", "timestamp", "label"]}
    keys = {
        **tiny_keys,
        "data_path": str(tmp_path),
        "runs_path": str(tmp_path / "runs"),
        "epochs": 1,
        "load_col": columns,
    }
    labeled = {**keys, "eval_args": {"mode": "labeled"}}
    with pytest.raises(
        InputError, match="mode=labeled compares scores with labels; allowed are the metrics AUC.*not Hit"
    ):
        run("BPR", "tiny", (), labeled)
    labeled |= {"metrics": ["AUC"], "valid_metric": "AUC"}
    with pytest.raises(InputError, match="mode=labeled: tiny has no loaded column 'label'"):
        run("BPR", "tiny", (), {**labeled, "load_col": {"inter": columns["inter"][:3]}})
    auc = run(
        "LR",
        "tiny",
        (),
        {**labeled, "train_neg_sample_args": None, "eval_args": {"mode": "labeled", "split": {"RS": [6, 2, 2]}}},
    )
    assert np.isfinite(auc["test"]["auc"])
    run("BPR", "tiny", (), keys)
    assert "the column label is not read: BPR is not trained on labels" in caplog.text
    with pytest.raises(InputError, match=r"threshold=.*nothing would read these labels"):
        RunConfig("BPR", "tiny", (), {**keys, "threshold": {"label": 1}})


def test_sine_has_a_loss_of_its_own(tiny_keys, tmp_path):
    keys = {**tiny_keys, "runs_path": str(tmp_path / "runs"), "epochs": 1, "prototype_size": 8, "interest_size": 2}
    run("SINE", "tiny", (), {**keys, "loss_type": "NLL"})
    with pytest.raises(InputError, match="loss_type='NLL': allowed are CE, BPR"):
        RunConfig("SASRec", "tiny", (), {**tiny_keys, "loss_type": "NLL"})
    with pytest.raises(InputError, match="MAX_ITEM_LIST_LENGTH=4: with mask_ratio=0.2 no item of a sequence is masked"):
        RunConfig("BERT4Rec", "tiny", (), {**tiny_keys, "MAX_ITEM_LIST_LENGTH": 4})
