"""The terms that SDA adds to a loss: CMSA and alignment, their items, weights and diagnostics."""

import pytest
import torch

from recbole_sda.losses.cmsa import CMSALoss, multimodal_cmsa

from .conftest import loss_of


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


def test_zero_weights_leave_the_loss_unchanged(build):
    built = build("SASRec_SDA", cmsa_weight=0.0)
    assert (
        built.model.cmsa is None and torch.is_tensor(loss_of(built)) and built.model.loss_names == ("recommendation",)
    )


def test_cmsa_with_one_modality_is_warned_about(build, caplog):
    build("SASRec_SDA", modalities=["text"])
    assert "with one modality CMSA is zero" in caplog.text


def test_diagnostics_are_of_the_epoch(build):
    built = build("SASRec_SDA")
    loss_of(built)
    first = built.model.diagnostics()
    assert 0 < first["cmsa/target_entropy"] < 4 and first["cmsa/temperature"] == pytest.approx(0.1)
    assert sum(first[f"gate/image/{e}"] for e in range(4)) == pytest.approx(1)
    assert "cmsa/target_entropy" not in built.model.diagnostics()


@pytest.mark.parametrize("teacher", ["embeddings", "features", "identity"])
def test_the_teacher_of_cmsa_is_a_setting(build, teacher):
    built = build("SASRec_SDA", cmsa_teacher=teacher)
    loss_of(built)
    assert built.model.loss_names == ("recommendation", "cmsa")
    assert ("cmsa/target_entropy" in built.model.diagnostics()) == (teacher != "identity")


def slow_alignment(x, y, tau, normalize):
    """The loss of the module's docstring in float64, without torch's cross entropy."""
    x, y = (z.detach().double() for z in (x, y))
    if normalize:
        x, y = (z / z.norm(dim=1, keepdim=True) for z in (x, y))
    targets = (tau * (x @ x.T + y @ y.T) / 2).exp()
    targets = targets / targets.sum(dim=1, keepdim=True)
    student = (x @ y.T / tau).exp()
    rows, columns = student / student.sum(dim=1, keepdim=True), student / student.sum(dim=0, keepdim=True)
    return -(targets * (rows.log() + columns.log())).sum() / (2 * len(x))


@pytest.mark.parametrize("normalize", [False, True])
def test_alignment_is_taken_against_the_table_of_the_base_run(build, base_run, normalize):
    run = base_run()
    keys = {"alignment_weight": 0.3, "alignment_temperature": 1.5, "alignment_normalize": normalize}
    built = build("BPR_SDA", alignment_run=str(run.path), **keys)
    loss = loss_of(built)
    assert built.model.loss_names == ("recommendation", "cmsa", "alignment")
    items = built.batch["item_id"].unique()
    expected, other = (
        0.3 * slow_alignment(built.model.items(items), run.table[items], 1.5, flag)
        for flag in (normalize, not normalize)
    )
    assert loss[2].item() == pytest.approx(expected.item(), rel=1e-5) != pytest.approx(other.item(), rel=1e-5)


def test_alignment_max_items_bounds_the_alignment_alone(build, base_run):
    """The items that enter are drawn at random, without replacement, from those of the batch, anew in each step."""
    keys = {"alignment_weight": 0.3, "alignment_max_items": 20, "cmsa_max_items": 3}
    built = build("BPR_SDA", alignment_run=str(base_run().path), **keys)
    model, aligned, compared = built.model, [], []
    model.alignment.register_forward_hook(lambda module, inputs, output: aligned.append(inputs[0]))
    model.cmsa.register_forward_hook(lambda module, inputs, output: compared.append(len(inputs[0])))
    for _ in range(3):
        model.calculate_loss(built.batch)
    batch_items = set(built.batch["item_id"].tolist())
    drawn = [set(items.tolist()) for items in aligned]
    assert [len(items) for items in aligned] == [len(items) for items in drawn] == [20, 20, 20]
    assert all(items < batch_items for items in drawn) and len(set(map(frozenset, drawn))) > 1
    assert max(compared) <= 3
