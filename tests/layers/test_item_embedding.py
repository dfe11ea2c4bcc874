"""The encoded table in the two uses of `nn.Embedding`, and how long an encoding is stored."""

import pytest
import torch
from torch import nn

from recbole_sda.layers.content_rows import Completion, ContentRows
from recbole_sda.layers.id_rows import IdRows
from recbole_sda.layers.item_embedding import EncodedItemEmbedding
from recbole_sda.layers.item_encoder import MoDAItemEncoder

N, DIM = 6, 4  # items with padding, width


def embedding(add_ids=True, extra=0) -> EncodedItemEmbedding:
    torch.manual_seed(0)
    base = nn.Embedding(N + extra, DIM, padding_idx=0)
    features = [torch.randn(N, 3), torch.randn(N, 5)]
    present = torch.ones(2, N, dtype=torch.bool)
    return EncodedItemEmbedding(base, N, MoDAItemEncoder((3, 5), DIM), features, present, add_ids)


def encoded(e: EncodedItemEmbedding) -> torch.Tensor:
    return e.encoder.fuse(e.encoder.project(e.features, e.present), e.present)


@pytest.fixture
def counted():
    """An embedding, and a list with one entry per encoding."""
    e, calls = embedding(), []
    project = e.encoder.project
    e.encoder.project = lambda *args: calls.append(1) or project(*args)
    return e, calls


def test_features_alone_give_a_zero_padding_row_and_keep_extra_rows():
    e = embedding(add_ids=False, extra=1)
    assert e.ids is None and e.weight.shape == (N + 1, DIM)
    assert not e.weight[0].any()
    assert torch.equal(e.weight[1:N], encoded(e))
    assert torch.equal(e.weight[N], e.extra[0]) and e.extra.requires_grad


def test_ids_are_added_and_the_padding_row_is_the_id_table_s():
    e = embedding(add_ids=True, extra=1)
    torch.testing.assert_close(e.weight[1:N], e.ids.weight[1:N] + encoded(e))
    assert torch.equal(e.weight[0], e.ids.weight[0]) and torch.equal(e.weight[N], e.ids.weight[N])


def test_lookup_equals_rows_of_the_table_and_padding_gets_no_gradient():
    e, ids = embedding(), torch.tensor([[0, 2], [5, 2]])
    assert torch.equal(e(ids), e.weight[ids])
    e(ids).sum().backward()
    assert not e.ids.weight.grad[0].any() and e.ids.weight.grad[2].any()


def test_identity_is_the_base_itself():
    base = nn.Embedding(N, DIM)
    e = EncodedItemEmbedding(base, N)
    assert e.weight is base.weight and e.encoded().modalities is None


def test_a_step_encodes_once_and_forgets(counted):
    e, calls = counted
    with e.step():
        e(torch.tensor([1])), e.weight, e.encoded().modalities
    assert len(calls) == 1 and e._cache is None
    with pytest.raises(KeyError), e.step():
        _ = e.weight
        raise KeyError
    assert e._cache is None


def test_outside_a_step_training_never_reuses(counted):
    e, calls = counted
    _ = e.weight, e.weight
    assert len(calls) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e.train(),
        lambda e: e.eval(),
        lambda e: e.load_state_dict(e.state_dict()),
        lambda e: e.double(),
        lambda e: e.to("cpu"),
    ],
)
def test_evaluation_encodes_once_until_something_changes(counted, change):
    e, calls = counted
    e.eval()
    with torch.no_grad():
        e.weight, e(torch.tensor([1])), e.weight
        assert len(calls) == 1
        change(e)
        assert e._cache is None
        _ = e.weight
    assert len(calls) == 2


def test_evaluation_with_gradients_is_never_stored(counted):
    e, calls = counted
    e.eval()
    e.weight.sum().backward()
    e.weight.sum().backward()
    assert len(calls) == 2


def test_features_are_not_in_the_state_dict():
    assert not [key for key in embedding().state_dict() if "features" in key or "present" in key]


def test_an_attribute_error_inside_weight_keeps_its_message():
    e = embedding()
    e.encoder.project = lambda *args: args.nothing
    with pytest.raises(RuntimeError, match="encoding the items failed: .*nothing"):
        _ = e.weight


@pytest.mark.parametrize("add_ids", [True, False])
@pytest.mark.parametrize("extra", [0, 2])
def test_encoding_few_items_gives_the_values_and_gradients_of_encoding_all(add_ids, extra):
    e = embedding(add_ids, extra)
    e.encoder.missing_embedding.data.normal_()
    e.present[1, 2] = False
    asked = torch.tensor([[0, 4], [3, 3]] + ([[N, N + 1]] if extra else []))

    def results(restrict):
        with e.step():
            if restrict:
                e.encode_only(asked)
            out, parts = e(asked), e.modalities(torch.tensor([3, 4]))
            return out, parts, torch.autograd.grad(out.square().sum() + parts.sum(), list(e.parameters()))

    few, whole = results(True), results(False)
    torch.testing.assert_close(few, whole)


def test_after_encode_only_other_items_and_the_table_are_errors():
    e = embedding()
    shapes = []
    project = e.encoder.project
    e.encoder.project = lambda features, present: shapes.append(len(features[0])) or project(features, present)
    with e.step():
        e.encode_only(torch.tensor([2, 5]))
        with pytest.raises(IndexError):
            e(torch.tensor([2, 1]))
        with pytest.raises(IndexError):
            e.modalities(torch.tensor([1]))
        with pytest.raises(RuntimeError, match="not available after encode_only"):
            _ = e.weight
    assert shapes == [2]
    with pytest.raises(RuntimeError, match=r"inside step\(\)"):
        e.encode_only(torch.tensor([1]))


@pytest.mark.parametrize("same_step", [False, True])
def test_ids_of_an_earlier_encode_only_are_errors_not_stale_rows(same_step):
    """The second table has a row with the number that item 5 had in the first, so that a stale row number would return a row."""
    e = embedding()
    with e.step():
        e.encode_only(torch.tensor([2, 5]))
        assert torch.equal(e(torch.tensor([5])), e.encoded().table[2:3])
        if same_step:
            e.encode_only(torch.tensor([1, 3, 4]))
            with pytest.raises(IndexError):
                e(torch.tensor([5]))
    with e.step():
        e.encode_only(torch.tensor([1, 3, 4]))
        assert len(e.encoded().table) == 4
        for lookup in (e, e.modalities):
            with pytest.raises(IndexError):
                lookup(torch.tensor([5]))
            with pytest.raises(IndexError):
                lookup(torch.tensor([2]))


def test_modality_embeddings_that_are_not_available_are_an_error():
    with pytest.raises(RuntimeError, match="no item encoder"):
        EncodedItemEmbedding(nn.Embedding(N, DIM), N).modalities(torch.tensor([1]))
    e = embedding().eval()
    with torch.no_grad():
        _ = e.weight
        with pytest.raises(RuntimeError, match="evaluation stored the item table only"):
            e.modalities(torch.tensor([1]))


def test_sparse_ids_get_a_sparse_gradient_after_encode_only():
    e = embedding()
    e.ids.sparse = True
    with e.step():
        e.encode_only(torch.tensor([2, 5]))
        e(torch.tensor([2, 5, 0])).sum().backward()
    gradient = e.ids.weight.grad.coalesce()
    assert gradient.indices().tolist() == [[2, 5]]  # padding has none


def test_weights_scale_the_id_rows():
    base = nn.Embedding(6, 4, padding_idx=0)
    encoder = MoDAItemEncoder([3], 4)
    features, present = [torch.randn(5, 3)], torch.ones(1, 5, dtype=torch.bool)
    count = torch.tensor([0.0, 0, 2, 6, 1000])
    weight = torch.cat([count / (count + 2), torch.ones(1)])
    embedding = EncodedItemEmbedding(base, 5, encoder, features, present, id_rows=IdRows(weight)).eval()
    with torch.no_grad():
        encoded = encoder(embedding.features, embedding.present)[1]
        id_rows = embedding.weight[1:5] - encoded
        factors = torch.tensor([0.0, 0.5, 0.75, 1000 / 1002]).unsqueeze(1)
        torch.testing.assert_close(id_rows, base.weight[1:5] * factors)
        assert torch.equal(embedding.weight[5], base.weight[5])  # the weight of an extra row is 1
    embedding.train()
    with embedding.step():
        embedding.encode_only(torch.tensor([2, 4]))
        few = embedding(torch.tensor([2, 4]))
    torch.testing.assert_close(few, embedding.weight[[2, 4]])


def test_id_dropout_drops_complete_rows_in_training_only():
    torch.manual_seed(0)
    base = nn.Embedding(402, 4)  # with a padding row that is not zero, and a mask token
    features, present = [torch.zeros(401, 3)], torch.ones(1, 401, dtype=torch.bool)
    embedding = EncodedItemEmbedding(base, 401, MoDAItemEncoder([3], 4), features, present, id_dropout=0.25)
    with torch.no_grad():
        for _ in range(20):
            embedding.forget()
            assert torch.equal(embedding.weight[[0, 401]], base.weight[[0, 401]])
        ratio = embedding.weight[1:401] / base.weight[1:401]
        assert ((ratio == 0) | ((ratio - 4 / 3).abs() < 1e-5)).all() and (
            (ratio == 0).any(1) == (ratio == 0).all(1)
        ).all()
        assert 0.15 < (ratio[:, 0] == 0).float().mean() < 0.35
        embedding.eval()
        torch.testing.assert_close(embedding.weight, base.weight)


def test_completions_hold_in_evaluation_only():
    e = embedding(extra=1)
    rows = ContentRows(torch.tensor([[1, 2]]), torch.tensor([[0.5, 0.5]]))
    with torch.no_grad():
        before = e.eval().weight.clone()
        e.completions.append(Completion(rows, own=torch.ones(1, DIM)))
        e.forget()
        expected = torch.cat([before, rows.of(e.ids.weight) + 1])
        torch.testing.assert_close(e.weight, expected)
        torch.testing.assert_close(e(torch.tensor([N + 1])), expected[-1:])
        assert torch.equal(e.train().weight, before)
    with e.step():
        e.encode_only(torch.tensor([1, 2]))
        torch.testing.assert_close(e(torch.tensor([1, 2])), before[[1, 2]])
