"""What the mixin adds: switches, scale at the start, terms of the loss, controls."""

import copy

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.store import find_store, write_store
from recbole_sda.losses.cmsa import CMSALoss, multimodal_cmsa


def loss_of(built):
    torch.manual_seed(0)
    built.model.eval()  # without dropout
    return built.model.calculate_loss(copy.deepcopy(built.batch))


@pytest.mark.parametrize("encoder", ["moda", "linear"])
@pytest.mark.parametrize("ids", ["add", "none"])
@pytest.mark.parametrize("modalities", [["image"], ["text"], ["text", "image"]])
@pytest.mark.parametrize("fusion", ["mean", "concat", "gated"])
def test_every_switch_trains(build, encoder, ids, modalities, fusion):
    keys = dict(item_encoder=encoder, id_embedding=ids, modalities=modalities, fusion=fusion)
    model, _, batch, _ = vars(build("SASRec_SDA", **keys)).values()
    terms = model.calculate_loss(batch)
    assert model.modality_names == tuple(modalities) and model.loss_names == ("recommendation", "cmsa")
    assert (terms[1] > 0) == (len(modalities) == 2)
    sum(terms).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_recommendation_loss_is_that_of_the_base_on_the_encoded_table(build):
    """Freeze the encoded catalogue into a plain SASRec: same loss."""
    ours, base = build("SASRec_SDA", id_embedding="none"), build("SASRec")
    state = {k: v for k, v in ours.model.state_dict().items() if not k.startswith(("item_embedding", "cmsa"))}
    base.model.load_state_dict({**state, "item_embedding.weight": ours.model.items.weight.detach()})
    torch.testing.assert_close(loss_of(ours)[0], loss_of(base))


def test_cmsa_is_taken_over_the_distinct_items_of_the_batch(build):
    built = build("SASRec_SDA", cmsa_weight=0.5, cmsa_teacher="embeddings")
    model = built.model
    items = sorted(set(built.batch["item_id"].flatten().tolist()) - {0})
    encoded = model.items.encoded()
    expected = 0.5 * multimodal_cmsa(
        CMSALoss(0.1, True, 10.0), encoded.modalities[:, items], model.items.present[:, [i - 1 for i in items]]
    )
    torch.testing.assert_close(loss_of(built)[1], expected)


def test_cmsa_max_items_bounds_the_batch(build):
    built = build("SASRec_SDA", cmsa_max_items=5)
    seen = []
    forward = built.model.cmsa.forward
    built.model.cmsa.forward = lambda x, y, *teacher: seen.append(len(x)) or forward(x, y)
    loss_of(built)
    assert seen and seen[0] <= 5


def test_zero_weights_leave_the_loss_as_it_is(build):
    built = build("SASRec_SDA", cmsa_weight=0.0)
    assert (
        built.model.cmsa is None and torch.is_tensor(loss_of(built)) and built.model.loss_names == ("recommendation",)
    )


def test_one_modality_is_said(build, caplog):
    build("SASRec_SDA", modalities=["text"])
    assert "with one modality CMSA is zero" in caplog.text


@pytest.mark.parametrize("encoder", ["moda", "linear"])
def test_the_encoder_starts_at_the_scale_of_the_table(build, encoder):
    base = build("SASRec").model.item_embedding.weight[1:]
    table = build("SASRec_SDA", id_embedding="none", item_encoder=encoder).model.eval().items.weight[1:]
    assert table.std().item() == pytest.approx(base.std().item(), rel=0.01)


def test_same_seed_same_encoder_and_the_base_draws_what_it_drew(build):
    one, other, base = (build(name).model for name in ("SASRec_SDA", "SASRec_SDA", "SASRec"))
    assert torch.equal(one.items.encoder.shared.weight, other.items.encoder.shared.weight)
    assert torch.equal(one.items.ids.weight, base.item_embedding.weight)


def test_features_are_aligned_by_token(build):
    built = build("BPR_SDA", feature_views=[])
    store = find_store(build.data_path / "tiny")
    tokens = built.data.dataset.field2id_token["item_id"]
    for item in (1, 5, 37):
        row = store.matrix("text")[store.item_ids.index(tokens[item])].float()
        assert torch.equal(built.model.items.features[1][item - 1], row)


def test_shuffled_features_are_a_permutation_of_all_modalities_together(build, caplog):
    plain, shuffled = build("BPR_SDA").model.items, build("BPR_SDA", shuffle_features=True).model.items
    assert "this run is a control" in caplog.text
    (a_image, a_text), (b_image, b_text) = plain.features, shuffled.features
    order = [int((a_text == row).all(dim=1).nonzero()[0]) for row in b_text]
    assert sorted(order) == list(range(37)) != order
    assert torch.equal(b_image, a_image[order]) and torch.equal(shuffled.present, plain.present[:, order])
    again = build("BPR_SDA", shuffle_features=True).model.items
    assert torch.equal(again.features[0], b_image)


def test_items_without_a_row_are_counted_and_masked(build, caplog, tmp_path):
    caplog.set_level("INFO")
    store = find_store(build.data_path / "tiny")
    few = slice(0, 20)
    data = {name: store.matrix(name)[few].numpy() for name in store.modalities}
    folder = build.data_path / "tiny" / "features" / "few"
    write_store(folder, store.item_ids[few], data, overwrite=True)
    try:
        model = build("SASRec_SDA", features="few", id_embedding="none").model
    finally:
        import shutil

        shutil.rmtree(folder)
    assert model.feature_record["items_without_row"] == 17 and model.feature_record["items_missing"]["text"] == 17
    assert "17 without a row" in caplog.text
    assert (~model.items.present[1]).sum() == 17


def test_diagnostics_are_of_the_epoch(build):
    built = build("SASRec_SDA")
    loss_of(built)
    first = built.model.diagnostics()
    assert 0 < first["cmsa/target_entropy"] < 4 and first["cmsa/temperature"] == pytest.approx(0.1)
    assert sum(first[f"gate/image/{e}"] for e in range(4)) == pytest.approx(1)
    assert "cmsa/target_entropy" not in built.model.diagnostics()


def test_paper_preset_trains(build):
    built = build("SASRec_SDA", preset="paper")
    assert torch.is_tensor(loss_of(built)) and built.model.items.ids is None
    assert [type(m).__name__ for m in (built.model.items.encoder,)] == ["LinearItemEncoder"]


def test_no_store_says_what_to_do(build, tmp_path):
    import shutil

    shutil.copytree(build.data_path / "tiny", tmp_path / "tiny", ignore=shutil.ignore_patterns("features"))
    with pytest.raises(InputError, match="no feature store in .*features import.*features extract"):
        build("SASRec_SDA", data_path=str(tmp_path))


@pytest.mark.parametrize("name", ["BPR_SDA", "TransRec_SDA"])
def test_a_step_of_few_items_gives_the_loss_and_gradients_of_the_whole_catalogue(build, name):
    """Models whose step looks up the items of its batch alone encode no others."""
    found = []
    for step_items in (None, ()):
        built = build(name, train_batch_size=4)
        model, sizes = built.model.eval(), []
        if step_items is not None:
            model.step_items = step_items
        project = model.items.encoder.project
        model.items.encoder.project = lambda features, present: (
            sizes.append(len(features[0])) or project(features, present)
        )
        loss = model.calculate_loss(built.batch)
        sum(loss).backward()
        found.append((sizes[0], loss, [p.grad for p in model.parameters() if p.grad is not None]))
    assert found[0][0] < found[1][0] == model.n_items - 1
    torch.testing.assert_close(found[0][1:], found[1][1:])


@pytest.mark.parametrize("teacher", ["embeddings", "features", "identity"])
def test_the_teacher_of_cmsa_is_a_setting(build, teacher):
    built = build("SASRec_SDA", cmsa_teacher=teacher)
    loss_of(built)
    assert built.model.loss_names == ("recommendation", "cmsa")
    assert ("cmsa/target_entropy" in built.model.diagnostics()) == (teacher != "identity")


@pytest.mark.parametrize("model", ["SASRec_SDA", "BERT4Rec_SDA", "BPR_SDA"])
def test_id_embeddings_are_shrunk_by_training_interactions(build, model):
    built = build(model, id_shrinkage=3.0)
    count = torch.from_numpy(built.data.counts.items).float()
    torch.testing.assert_close(built.model.items.id_weight[: len(count), 0], count / (count + 3))
