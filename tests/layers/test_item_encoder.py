"""Item encoders equal their formulas, evaluated item by item."""

import pytest
import torch

from recbole_sda.layers.item_encoder import LinearItemEncoder, MoDAItemEncoder

DIMS, OUT, ITEMS = (6, 4), 3, 5


@pytest.fixture
def features():
    torch.manual_seed(0)
    return [torch.randn(ITEMS, d, dtype=torch.float64) for d in DIMS]


@pytest.fixture
def present():
    return torch.tensor([[True, True, True, False, True], [True, False, True, True, True]])


def moda(**keys) -> MoDAItemEncoder:
    torch.manual_seed(1)
    encoder = MoDAItemEncoder(DIMS, OUT, **keys).double()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter)
    return encoder


def test_moda_projection_item_by_item(features, present):
    encoder = moda()
    z = encoder.project(features, present)
    assert z.shape == (2, ITEMS, OUT)
    w, b, experts = encoder.shared.weight, encoder.shared.bias, encoder.experts
    for m, d in enumerate(DIMS):
        for item in range(ITEMS):
            if not present[m, item]:
                torch.testing.assert_close(z[m, item], encoder.missing_embedding[m])
                continue
            x = features[m][item]
            expected = w[:, :d] @ x + b + experts(x.unsqueeze(0), m)[0]
            torch.testing.assert_close(z[m, item], expected)


def test_one_weight_per_step_equals_the_explicit_low_rank_path(features, present):
    """With dropout, the low-rank maps are applied separately. A probability that drops nothing gives the same values."""
    fused, explicit = moda(), moda(dropout=1e-15)
    explicit.load_state_dict(fused.state_dict())
    torch.testing.assert_close(explicit.train().project(features, present), fused.project(features, present))


def test_moda_starts_as_the_shared_map(features, present):
    torch.manual_seed(1)
    encoder, plain = MoDAItemEncoder(DIMS, OUT).double(), MoDAItemEncoder(DIMS, OUT, rank=0).double()
    plain.load_state_dict({k: v for k, v in encoder.state_dict().items() if not k.startswith("experts")})
    assert plain.gates() is None and encoder.gates().shape == (2, 4)
    assert torch.equal(encoder.project(features, present), plain.project(features, present))


@pytest.mark.parametrize("fusion", ["mean", "concat", "gated"])
def test_gradients(features, present, fusion):
    encoder = moda(fusion=fusion)
    names = [name for name, _ in encoder.named_parameters()]

    def encode(*values):
        tensors = dict(zip(names, values))
        z = torch.func.functional_call(
            _Whole(encoder), {f"encoder.{k}": v for k, v in tensors.items()}, (features, present)
        )
        return z

    values = tuple(p.detach().clone().requires_grad_() for p in encoder.parameters())
    assert torch.autograd.gradcheck(encode, values)


class _Whole(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, features, present):
        return self.encoder.fuse(self.encoder.project(features, present), present)


def test_linear_is_two_maps_of_the_concatenation(features):
    torch.manual_seed(1)
    encoder = LinearItemEncoder(DIMS, OUT, hidden_size=7).double()
    everywhere = torch.ones(2, ITEMS, dtype=torch.bool)
    encoded = encoder.fuse(encoder.project(features, everywhere), everywhere)
    expected = encoder.second(encoder.first(torch.cat(features, dim=1)))
    torch.testing.assert_close(encoded, expected)


def test_linear_uses_the_missing_embedding_where_a_modality_is_missing(features, present):
    encoder = LinearItemEncoder(DIMS, OUT, hidden_size=7).double()
    torch.nn.init.normal_(encoder.missing_embedding)
    z = encoder.project(features, present)
    torch.testing.assert_close(z[0, 3], encoder.missing_embedding[0])
    torch.testing.assert_close(encoder.fuse(z, present)[3], z[:, 3].sum(0) + encoder.second(encoder.first.bias))


@pytest.mark.parametrize(
    "encoder",
    [MoDAItemEncoder(DIMS, OUT), MoDAItemEncoder(DIMS, OUT, fusion="concat"), LinearItemEncoder(DIMS, OUT, 7)],
)
def test_scale_multiplies_the_output(encoder, features, present):
    encoder = encoder.double()
    present = torch.ones_like(present)  # missing_embedding starts at zero and is not scaled
    before = encoder.fuse(encoder.project(features, present), present)
    encoder.scale_(2.5)
    torch.testing.assert_close(encoder.fuse(encoder.project(features, present), present), 2.5 * before)


def test_feature_dropout_acts_while_training_only(features, present):
    encoder = moda(feature_dropout=0.5)
    assert not torch.equal(encoder.project(features, present), encoder.project(features, present))
    encoder.eval()
    assert torch.equal(encoder.project(features, present), encoder.project(features, present))


@pytest.mark.parametrize("kind", [MoDAItemEncoder, LinearItemEncoder])
def test_modality_dropout_always_leaves_one_modality(kind):
    torch.manual_seed(0)
    encoder = kind([3, 5], 4, modality_dropout=0.6)
    present = torch.rand(2, 400) > 0.3
    used = encoder.drop_modalities(present)
    assert not (used & ~present).any() and torch.equal(used.any(0), present.any(0))
    both = present.all(0)
    assert 0.4 < 1 - used[:, both].all(0).float().mean() < 1
    features = [torch.randn(400, 3), torch.randn(400, 5)]
    assert torch.equal(encoder.eval().drop_modalities(present), present)
    modalities, encoded = encoder(features, present)
    torch.testing.assert_close(encoded, encoder.fuse(modalities, present))
    in_training, _ = encoder.train()(features, present)
    torch.testing.assert_close(in_training, modalities)  # modality dropout acts on the fusion only


def test_an_unknown_fusion_is_an_error():
    with pytest.raises(ValueError, match="fusion='max': allowed are mean, concat, gated"):
        MoDAItemEncoder(DIMS, OUT, fusion="max")


def test_checkpoints_in_which_missing_embedding_is_called_absent():
    """Versions before 0.2 wrote this name."""
    encoder = MoDAItemEncoder(DIMS, OUT)
    state = {name: torch.randn_like(value) for name, value in encoder.state_dict().items()}
    encoder.load_state_dict({name.replace("missing_embedding", "absent"): value for name, value in state.items()})
    assert torch.equal(encoder.missing_embedding, state["missing_embedding"])
