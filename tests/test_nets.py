"""Task-batched layers against plain torch, in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

import algos
from algos.base import TaskSpec
from algos.nets.conv4 import Conv4
from algos.nets.layers import ConvNorm, Linear, Statistics, conv2d, train_in
from algos.nets.r2d2 import R2D2Net
from algos.nets.resnet12 import ResNet12, drop_block
from algos.nets.set_encoders import SET_ENCODERS, build_set_encoder
from algos.nets.temporal import TCBlock

pytestmark = pytest.mark.usefixtures("float64")


def plain_block(x, weight, gamma, beta, stride=1, padding=1, pool=2):
    """Convolution, native batch norm, ReLU, pooling: the order of the papers."""
    y = F.conv2d(x, weight, stride=stride, padding=padding)
    y = F.relu(F.batch_norm(y, None, None, gamma, beta, training=True))
    return F.max_pool2d(y, pool) if pool else y


@pytest.mark.parametrize("images", [4, 14], ids=["a few", "more"])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_with_weights_per_task(images, stride):
    x, weight = torch.randn(3, images, 2, 9, 9), torch.randn(3, 5, 2, 3, 3)
    expected = torch.stack([F.conv2d(a, w, stride=stride, padding=1) for a, w in zip(x, weight, strict=True)])
    torch.testing.assert_close(conv2d(x, weight, stride), expected)
    torch.testing.assert_close(
        conv2d(x, weight[0], stride)[1], F.conv2d(x[1], weight[0], stride=stride, padding=1)
    )


def test_pooling_first_and_folding_the_sign_change_nothing():
    """Values and gradients equal the plain order of operations, with some scales negative."""
    block = ConvNorm(2, 6)
    block.gamma.data = torch.tensor([1.0, -0.5, 2.0, -1.0, 0.3, -2.0])
    block.beta.data.normal_()
    x = torch.randn(3, 7, 2, 8, 8, requires_grad=True)
    ours = block(x, Statistics.batch())
    plain = torch.stack([plain_block(a, block.weight, block.gamma, block.beta) for a in x])
    torch.testing.assert_close(ours, plain)
    leaves = [x, block.weight, block.gamma, block.beta]
    signal = torch.randn_like(plain)
    for a, b in zip(
        torch.autograd.grad((ours * signal).sum(), leaves),
        torch.autograd.grad((plain * signal).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("per_task", [False, True], ids=["shared", "per task"])
@pytest.mark.parametrize("mode", ["batch", "given", "running"])
def test_all_forms_of_a_block_are_the_same(mode, per_task):
    """What a GPU and a CPU compute, and batch norm within the filters: values, first and second derivatives, statistics."""
    block = ConvNorm(2, 6)
    block.gamma.data.normal_()
    shape = (3,) if per_task else ()
    weight = torch.randn(*shape, 6, 2, 3, 3, requires_grad=True)
    x = torch.randn(3, 7, 2, 8, 8, requires_grad=True)
    other, signal = Statistics.batch(), torch.randn(3, 7, 6, 4, 4)
    found = []
    with torch.no_grad():
        block(torch.randn(3, 4, 2, 8, 8), other)
    for way in [block._by_task, block._together, *[block._of_images] * (mode == "batch")]:
        statistics = {"batch": Statistics.batch, "running": Statistics.running}.get(
            mode, lambda: Statistics.of(other)
        )()
        block.forward = way  # functional_call goes through it
        y = functional_call(block, {"weight": weight}, (x, statistics))
        first = torch.autograd.grad((y * signal).sum(), [x, weight], create_graph=True)
        second = torch.autograd.grad(first[1].square().sum(), [x, weight])
        used = statistics.used[block][:2] if mode == "batch" else ()
        found.append([y, *first, *second, *used])
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "layout", [dict(pool=(2, 2)), dict(stride=2, pool=None), dict(padding=0, pool=(2, 2))]
)
def test_batch_norm_of_images_goes_into_the_filters(layout, monkeypatch):
    """Only where the inputs are images, and as exactly in float32 as a filter of differences on smooth images needs."""
    block = ConvNorm(3, 6, **layout)
    block.weight.data[0] = torch.tensor([[0.0, 0, 0], [-1, 1, 0], [0, 0, 0]])
    images = 3 + torch.randn(2, 5, 3, 9, 9).cumsum(-1).cumsum(-2) / 10
    exact = block(images, Statistics.batch())
    torch.testing.assert_close(
        block.float()(images.float(), Statistics.batch()).double(), exact, rtol=0, atol=1e-4
    )
    blank = torch.full(
        (1, 5, 3, 9, 9), 1e3 / 3, dtype=torch.float32
    )  # rounding must not make the variance of nothing negative
    assert block(blank, Statistics.batch()).isfinite().all()
    monkeypatch.setattr(ConvNorm, "_of_maps", None)
    block(images.float(), Statistics.batch())
    with pytest.raises(TypeError):
        block(images.float().requires_grad_(), Statistics.batch())


def test_training_in_bfloat16_is_near_and_evaluation_the_same():
    net = Conv4((1, 28, 28), hidden=8).float()
    x = torch.rand(1, 40, 1, 28, 28, dtype=torch.float32)
    exact = net(x, Statistics.batch())
    train_in(net, torch.bfloat16)
    near = net(x, Statistics.batch())
    assert near.dtype == exact.dtype and not torch.equal(near, exact)
    assert (near - exact).square().mean() < 1e-3 * exact.var()
    net.eval()
    torch.testing.assert_close(net(x, Statistics.batch()), exact)


def test_running_statistics_equal_the_native_layer():
    block, native = ConvNorm(2, 4, pool=None, slope=None), torch.nn.BatchNorm2d(4)
    block.gamma.data, native.weight.data = (torch.tensor([1.0, -1.0, 0.5, 2.0]) for _ in range(2))
    for _ in range(3):
        x = torch.randn(1, 6, 2, 5, 5)
        statistics = Statistics.batch()
        ours = block(x, statistics)
        statistics.remember()
        torch.testing.assert_close(ours[0], native(F.conv2d(x[0], block.weight, padding=1)))
    torch.testing.assert_close(block.running_mean, native.running_mean)
    torch.testing.assert_close(block.running_variance, native.running_var)
    native.eval()
    x = torch.randn(1, 6, 2, 5, 5)
    torch.testing.assert_close(
        block(x, Statistics.running())[0], native(F.conv2d(x[0], block.weight, padding=1))
    )


def test_given_statistics_make_each_image_independent():
    net = Conv4((1, 28, 28), hidden=4)
    support = Statistics.batch()
    net(torch.rand(2, 5, 1, 28, 28), support)
    queries = torch.rand(2, 6, 1, 28, 28)
    together = net(queries, Statistics.of(support))
    torch.testing.assert_close(net(queries[:, 2:3], Statistics.of(support)), together[:, 2:3])


@pytest.mark.parametrize(
    ("form", "size", "features"),
    [
        ("pool", 28, 64),
        ("pool", 84, 1600),
        ("stride", 28, 64),
        ("valid", 28, 64 * 25),
        ("valid", 84, 64 * 361),
    ],
)
def test_published_feature_sizes(form, size, features):
    net = Conv4((1, size, size), form=form)
    assert net.features == features
    assert net(torch.rand(1, 2, 1, size, size), Statistics.batch()).shape == (1, 2, features)


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="Conv4 has no form 'poool'; choose from"):
        Conv4((1, 28, 28), form="poool")


def test_inputs_are_normalised_per_channel():
    plain, shifted = Conv4((2, 28, 28), 4), Conv4((2, 28, 28), 4, mean=(0.5, 0.1), std=(0.2, 2.0))
    shifted.load_state_dict(plain.state_dict())
    x = torch.rand(1, 3, 2, 28, 28)
    scaled = (x - torch.tensor([0.5, 0.1]).view(2, 1, 1)) / torch.tensor([0.2, 2.0]).view(2, 1, 1)
    torch.testing.assert_close(shifted(x, Statistics.batch()), plain(scaled, Statistics.batch()))


@pytest.mark.parametrize("form", ["pool", "stride"])
def test_a_network_with_weights_per_task_equals_a_loop(form):
    net = Conv4((1, 28, 28), hidden=4, form=form)
    x = torch.rand(3, 12, 1, 28, 28)
    weights = {
        name: torch.stack([w.detach() + 0.1 * torch.randn_like(w) for _ in range(3)])
        for name, w in net.named_parameters()
    }
    together = functional_call(net, weights, (x, Statistics.batch()))
    for t in range(3):
        one = functional_call(
            net, {name: w[t] for name, w in weights.items()}, (x[t : t + 1], Statistics.batch())
        )
        torch.testing.assert_close(together[t : t + 1], one)


def test_linear_with_weights_per_task():
    layer = Linear(4, 3)
    x, weight, bias = torch.randn(2, 5, 4), torch.randn(2, 3, 4), torch.randn(2, 3)
    expected = torch.stack([F.linear(a, w, b) for a, w, b in zip(x, weight, bias, strict=True)])
    torch.testing.assert_close(functional_call(layer, {"weight": weight, "bias": bias}, (x,)), expected)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("name", SET_ENCODERS)
def test_set_encoders_see_every_example_and_treat_order_as_declared(name):
    encoder = build_set_encoder(name, features=6, labels=3, width=16, length=6)
    labels = torch.eye(3).repeat(2, 1).expand(2, 6, 3)
    tokens = torch.cat([torch.randn(2, 6, 6), labels], dim=-1).requires_grad_()
    context = encoder(tokens)
    assert context.shape == (2, 16)
    reach = torch.autograd.grad(context.square().sum(), tokens)[0][..., :6].abs().sum(-1)
    assert (reach > 0).all(), "an example does not reach the context"
    turned = encoder(tokens[:, [5, 2, 0, 1, 4, 3]])
    same = torch.allclose(turned, context, atol=1e-10)
    assert same == (name in ("attention", "mean", "class_mean"))


def test_temporal_convolutions_are_causal_and_reach_back_to_the_start():
    block = TCBlock(3, length=6, filters=4)
    x = torch.randn(1, 6, 3, requires_grad=True)
    y = block(x)
    assert y.shape == (1, 6, block.outputs)
    for t in range(6):
        reach = torch.autograd.grad(y[0, t].square().sum(), x, retain_graph=True)[0][0].abs().sum(-1)
        assert (reach[: t + 1] > 0).all() and (reach[t + 1 :] == 0).all()


@pytest.mark.parametrize(
    ("network", "size", "features"),
    [(R2D2Net, 28, 3584), (R2D2Net, 84, 896 * 81), (ResNet12, 84, 16_000)],
)
def test_published_feature_sizes_of_the_larger_networks(network, size, features):
    torch.set_default_dtype(torch.float32)
    net = network((3, size, size)).eval()
    assert net.features == features
    assert net(torch.rand(1, 1, 3, size, size), Statistics.batch()).shape == (1, 1, features)


def test_dropped_blocks_are_squares_and_the_mean_is_kept():
    kept = drop_block(torch.ones(64, 8, 12, 12), torch.tensor(0.1), size=5)
    assert 0.05 < (kept == 0).double().mean() < 0.12  # squares overlap, so a little less than the rate
    assert abs(kept.mean() - 1) < 1e-6
    whole = drop_block(torch.ones(400, 10, 3, 3), torch.tensor(0.1), size=5).flatten(2)
    assert ((whole == 0).all(-1) | (whole > 0).all(-1)).all(), (
        "a map smaller than the square drops as a whole"
    )
    assert torch.equal(drop_block(torch.ones(2, 2, 6, 6), torch.tensor(0.0), 5), torch.ones(2, 2, 6, 6))


def test_drop_block_starts_at_zero_and_only_works_in_training():
    torch.manual_seed(0)
    net = ResNet12((1, 32, 32), hidden=4)
    x = torch.rand(1, 4, 1, 32, 32)
    net.eval()
    torch.testing.assert_close(net(x, Statistics.running()), net(x, Statistics.running()))
    assert net.blocks[3].passes == 0
    net.train()
    net(x, Statistics.batch())
    assert net.blocks[3].passes == 1


@pytest.mark.parametrize(
    "name", [name for name, path in algos.discover().items() if path.parent.name == "metric"]
)
def test_every_metric_learner_takes_resnet12_by_one_hyper_parameter(name):
    """At the published size, on the meta device: nothing is computed."""
    spec = TaskSpec("miniimagenet", "classification", (3, 84, 84), 5, 1)
    learner = algos.load(name)
    with torch.device("meta"):
        built = learner(spec, learner.resolve(name, spec, {"backbone": "resnet12"}))
    assert any(isinstance(module, ResNet12) for module in built.modules())
