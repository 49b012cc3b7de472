"""Compressed models: what each way promises is checked against the model it came from."""

import copy
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from training.compression.buckets import bucket_use, keep_buckets
from training.compression.channels import channel_groups
from training.compression.compress import CompressionBudget, Trained, compress
from training.compression.distil import Folded, distil, distillation_loss
from training.compression.int8 import compute_int8, store_int8, to_int8
from training.compression.latency import latencies, macs, parameters, saved_bytes
from training.compression.lowrank import low_rank, ranks_for, spectra
from training.compression.prune import prune, usable_groups, zero_weights
from training.loop.fit import evaluate, fit
from training.metrics import ACCURACY
from training.page import pareto
from training.page.pareto import Compression, Latency, OperatingPoint
from training.recipes import ModelRecipe


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def same_weights():
    torch.manual_seed(0)


class Arrays:
    """Examples from arrays in memory."""

    def __init__(self, x, y):
        self.x, self.y = x, torch.from_numpy(y)

    def __len__(self):
        return len(self.y)

    def batch(self, where, rng):
        return (self.x[torch.from_numpy(where)],), self.y[torch.from_numpy(where)]


class Bags:
    """Texts of eight of 512 buckets each; odd labels like odd buckets."""

    def __init__(self, rows, seed):
        rng = np.random.default_rng(seed)
        self.y = rng.integers(0, 2, rows)
        noise = rng.random((rows, 8)) < 0.3
        self.buckets = 2 * rng.integers(0, 256, (rows, 8)) + (self.y[:, None] ^ noise)

    def __len__(self):
        return len(self.y)

    def batch(self, where, rng):
        given = torch.from_numpy(self.buckets[where].ravel())
        starts = torch.arange(0, len(given), 8)
        weights = torch.full((len(given),), 8**-0.5)
        return (given, starts, weights), torch.from_numpy(self.y[where])


class Encoder(nn.Module):
    """One transformer layer with values of their own, viewed as heads."""

    def __init__(self, width=16, heads=4):
        super().__init__()
        self.words = nn.Embedding(50, width)
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query_key = nn.Linear(width, 2 * width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width)
        )
        self.head = nn.Linear(width, 3)

    def forward(self, tokens):
        x = self.words(tokens)
        normed = self.norm(x)
        parts = [*self.query_key(normed).chunk(2, dim=-1), self.value(normed)]
        query, key, value = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts)
        found = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        return self.head((x + self.feed(x)).mean(dim=1))


class Residual(nn.Module):
    """Two convolutions write to one stream; a depthwise one follows a third."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.inner = nn.Conv2d(8, 12, 3, padding=1)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.norm = nn.BatchNorm2d(12)
        self.back = nn.Conv2d(12, 8, 1)
        self.head = nn.Linear(8 * 4, 5)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.back(functional.relu(self.norm(self.depthwise(self.inner(x)))))
        return self.head(functional.adaptive_avg_pool2d(x, 2).flatten(1))


class TwoWindows(nn.Module):
    """Filters of two sizes side by side, as a text CNN has them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(4, 6, 3), nn.Conv1d(4, 10, 5)
        self.head = nn.Linear(16, 2)

    def forward(self, x):
        found = [functional.relu(layer(x)).amax(dim=2) for layer in (self.a, self.b)]
        return self.head(torch.cat(found, dim=1))


def recipe(**change):
    given = {
        "model": "cnn", "width": 8, "rate": 0.05, "momentum": 0.9, "batch": 32,
        "passes": 1, "least_steps": 1, "most_steps": 1,
    }  # fmt: skip
    return ModelRecipe.model_validate(given | change)


def small_cnn(width=8):
    """Return a chain of convolutions for 8×8 pictures of four classes."""
    return nn.Sequential(
        nn.Conv2d(1, width, 2, stride=2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(2 * width),
        nn.GELU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, 4),
    ).to(memory_format=torch.channels_last)


def trained_cnn():
    """Return a small CNN with batch statistics of its own."""
    model = small_cnn()
    for layer in model:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.2, 2)
            nn.init.normal_(layer.bias)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return model.eval()


# Channels


def test_channels_of_a_chain_pass_norm_pooling_and_flattening():
    groups = channel_groups(trained_cnn(), (torch.randn(2, 1, 8, 8),))
    assert [(g.source, g.followers, list(g.consumers)) for g in groups] == [
        ("0", ("1",), ["3"]),
        ("3", ("5",), ["9"]),
    ]
    flat = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    (group,) = channel_groups(flat, (torch.randn(2, 1, 2, 2),))
    assert group.consumers["3"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_channels_of_a_residual_stream_stay():
    groups = usable_groups(Residual().eval(), (torch.randn(2, 3, 4, 4),))
    assert [(g.source, g.followers) for g in groups] == [("inner", ("depthwise", "norm"))]


def test_channels_of_parallel_windows_go_their_own_way():
    groups = channel_groups(TwoWindows(), (torch.randn(2, 4, 9),))
    assert {g.source: g.consumers["head"].ravel().tolist() for g in groups} == {
        "a": list(range(6)),
        "b": list(range(6, 16)),
    }


def test_channels_of_attention_stay():
    model, given = Encoder(), (torch.arange(12).reshape(2, 6),)
    seen = {group.source for group in channel_groups(model, given)}
    assert not seen & {"query_key", "out", "head"}
    assert "value" in seen  # its channels look free, but heads have a width
    assert [group.source for group in usable_groups(model, given)] == ["feed.1"]


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (trained_cnn(), torch.randn(2, 1, 8, 8)),
        (Residual(), torch.randn(2, 3, 4, 4)),
        (TwoWindows(), torch.randn(2, 4, 9)),
        (Encoder(), torch.arange(12).reshape(2, 6)),
    ],
    ids=["chain", "residual", "windows", "encoder"],
)
def test_pruned_model_is_smaller_and_answers_as_if_channels_were_zero(model, given):
    groups = usable_groups(model.eval(), (given,))
    assert groups
    pruned = prune(model, groups, keep=0.5)
    assert parameters(pruned) < 0.85 * parameters(model)
    assert macs(pruned, (given,), len(given)) < macs(model, (given,), len(given))
    assert pruned(given).shape == model(given).shape


def test_prune_takes_the_smallest_channels_of_folded_batch_norm():
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1)).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([4.0, 3, 2, 1]).reshape(4, 1, 1, 1))
        model[1].weight.copy_(torch.tensor([1.0, -0.1, 1, 9]))
        model[1].running_var.copy_(torch.tensor([1.0, 1, 100, 1]))
    groups = channel_groups(model, (torch.randn(2, 1, 3, 3),))
    pruned = prune(model, groups, keep=0.5)
    assert pruned[1].weight.tolist() == [1, 9]
    assert torch.equal(pruned[2].weight, model[2].weight[:, [0, 3]])


def test_zero_weights_keeps_shapes_and_the_largest():
    model = nn.Linear(10, 10)
    zeroed = zero_weights(model, 0.9)
    assert (zeroed.weight != 0).sum() == 10
    assert zeroed.weight.abs().max() == model.weight.abs().max()


# Low rank

LAYERS = [
    (nn.Linear(12, 10), (torch.randn(60, 12) @ torch.randn(12, 12),)),
    (nn.Linear(12, 10, bias=False), (torch.randn(60, 12) + 1,)),
    (nn.Conv2d(3, 8, 3, stride=2, padding=1), (torch.randn(4, 3, 8, 8) + 1,)),
    (nn.Conv1d(3, 8, 3, padding="same"), (torch.randn(4, 3, 20),)),
    (nn.Embedding(40, 8), (torch.randint(0, 40, (20, 5)),)),
    (nn.EmbeddingBag(40, 6, mode="sum"), (torch.randint(0, 40, (20, 5)), None, torch.rand(20, 5))),
]


@pytest.mark.parametrize(("layer", "given"), LAYERS, ids=lambda v: type(v).__name__)
def test_low_rank_loses_just_the_variance_it_says(layer, given):
    layer = layer.eval()
    found = spectra(layer, [given])
    with torch.no_grad():
        wanted = layer(*given)
        axis = 1 if "Conv" in type(layer).__name__ else -1
        flat = wanted.movedim(axis, -1).flatten(0, -2)
        for rank in (2, len(found[""].energy)):
            lost = low_rank(layer, found, {"": rank})(*given) - wanted
            variance = (flat - flat.mean(0)).square().sum()
            share = 1 - found[""].energy[:rank].sum() / found[""].energy.sum()
            assert lost.square().sum() / variance == pytest.approx(float(share), abs=1e-5)


def test_low_rank_file_holds_no_more_than_its_factors():
    layer = nn.Linear(300, 300)
    basis = torch.randn(3, 300)
    given = (torch.randn(100, 3) @ basis,)
    found = spectra(layer, [given])
    ranks = ranks_for(layer, found, 0.999)
    assert ranks == {"": 3}
    small = low_rank(layer, found, ranks)
    assert saved_bytes(small.state_dict()) < 4 * (3 * 600 + 300) + 4_000
    assert torch.allclose(small(*given), layer(*given), atol=0.05)


def test_low_rank_leaves_tied_and_incompressible_layers():
    model = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 20, bias=False))
    model[1].weight = model[0].weight
    given = (torch.randint(0, 20, (50, 4)),)
    assert spectra(model, [given]) == {}
    square = nn.Linear(6, 6)
    assert ranks_for(square, spectra(square, [(torch.randn(500, 6),)]), 0.99) == {}


# Int8


def test_int8_rounds_to_half_a_step_of_each_slice():
    weight = torch.randn(8, 32) * torch.logspace(-3, 3, 8)[:, None]
    values, scale = to_int8(weight)
    assert scale.shape == (8, 1)
    assert ((values * scale - weight).abs() <= scale * 0.5001).all()
    assert to_int8(torch.randn(100, 2))[1].shape == (1, 2)
    assert not to_int8(torch.zeros(4, 20))[0].any()


def test_int8_file_is_a_quarter_and_the_loaded_model_computes_the_same():
    model = nn.Sequential(nn.Embedding(500, 64), nn.Linear(64, 500))
    loaded, state = store_int8(model)
    assert saved_bytes(state) < 0.3 * saved_bytes(model.state_dict())
    rebuilt = copy.deepcopy(model)
    rebuilt.load_state_dict({n: state[n] * state.get(f"{n}.scale", 1) for n in model.state_dict()})
    given = torch.arange(9)
    assert torch.equal(rebuilt(given), loaded(given))
    assert torch.allclose(loaded(given), model(given), atol=0.05)


def test_int8_file_holds_tied_weights_once():
    model = nn.Sequential(nn.Embedding(500, 64), nn.Linear(64, 500, bias=False))
    untied = saved_bytes(store_int8(model)[1])
    model[1].weight = model[0].weight
    assert saved_bytes(store_int8(model)[1]) < 0.6 * untied


@pytest.mark.parametrize("shape", [(64,), (5, 64), (2, 3, 64)])
def test_int8_products_are_near_the_float_ones(shape):
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10, bias=False)).eval()
    quantised, state = compute_int8(model)
    given = torch.randn(shape)
    with torch.inference_mode():
        wanted, found = model(given), quantised(given)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() < 0.05 * wanted.abs().max()
    assert state.keys() == quantised.state_dict().keys()
    assert parameters(quantised) == parameters(model) + 58  # a scale for each output


# Hash buckets


def bag_inputs(rows):
    buckets = torch.randint(0, rows, (40,), dtype=torch.int32)
    starts = torch.tensor([0, 10, 10, 25, 40], dtype=torch.int32)  # two bags are empty
    return buckets, starts, torch.rand(40)


def test_few_buckets_answer_as_if_the_others_were_zero():
    bag, given = nn.EmbeddingBag(30, 3, mode="sum"), bag_inputs(30)
    few = keep_buckets(bag, bucket_use(bag, [given]), 0.2)
    zeroed = copy.deepcopy(bag)
    with torch.no_grad():
        zeroed.weight[np.setdiff1d(np.arange(30), few.kept)] = 0
        assert len(few.kept) == 6
        assert torch.allclose(few(*given), zeroed(*given))


def test_buckets_kept_are_used_and_long():
    bag = nn.EmbeddingBag(4, 2, mode="sum")
    with torch.no_grad():
        bag.weight.copy_(torch.tensor([[1.0, -1], [1, -1], [5, -5], [3, -3]]))
    seen = (torch.tensor([0, 0, 0, 1, 3]), torch.tensor([0]), torch.ones(5))
    assert keep_buckets(bag, bucket_use(bag, [seen]), 0.5).kept.tolist() == [0, 3]


def test_few_rows_of_an_embedding_share_one_for_the_others():
    table = nn.Embedding(20_000, 4, padding_idx=0)
    seen = torch.cat([torch.zeros(50), torch.full((30,), 5), torch.tensor([7, 7, 9])]).long()
    few = keep_buckets(table, bucket_use(table, [(seen,)]), 2 / 20_000)
    with torch.no_grad():
        answers = few(torch.tensor([0, 5, 7, 9, 123]))
        shared = (2 * table.weight[7] + table.weight[9]) / 3
        assert torch.equal(answers[:2], table.weight[[0, 5]])
        assert torch.allclose(answers[2:], shared.expand(3, 4))


def test_bucket_use_leaves_small_vocabularies():
    assert bucket_use(nn.Embedding(256, 4), [(torch.arange(9),)]) == {}


# Distillation


def test_distillation_loss_is_half_the_labels_where_both_agree():
    logits, targets = torch.randn(7, 5), torch.randint(0, 5, (7,))
    hard = functional.cross_entropy(logits, targets)
    assert distillation_loss(logits, logits, targets) == pytest.approx(float(hard) / 2, abs=1e-6)
    assert distillation_loss(logits, -logits, targets) > hard / 2


def test_distilled_student_learns_what_only_the_teacher_knows():
    x = torch.randn(256, 6)
    teacher = nn.Linear(6, 3)
    wanted = teacher(x).argmax(dim=1).numpy()
    nonsense = np.random.default_rng(0).integers(0, 3, 256)
    student = nn.Linear(6, 3)
    given = recipe(rate=0.5)
    distil(student, teacher, Arrays(x, nonsense), recipe=given, steps=300, seed=0)
    assert (student(x).argmax(dim=1).numpy() == wanted).mean() > 0.85


def test_folded_bag_reads_any_bucket():
    folded = Folded(nn.EmbeddingBag(4, 2, mode="sum"))
    starts, weights = torch.tensor([0]), torch.ones(2)
    assert torch.equal(
        folded(torch.tensor([5, 7]), starts, weights), folded(torch.tensor([1, 3]), starts, weights)
    )


# Costs


def test_macs_by_hand():
    conv = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 16, 5))
    assert macs(conv, (torch.randn(2, 3, 4, 4),), 2) == 16 * 8 * 27 + 640
    bag = nn.EmbeddingBag(50, 4, mode="sum")
    assert macs(bag, (torch.arange(30), torch.tensor([0, 10]), torch.ones(30)), 2) == 15 * 4


def test_latencies_see_the_slower_model_and_time_all_equally_often():
    models = {"small": nn.Linear(8, 8), "large": nn.Linear(800, 800)}
    models["small"] = nn.Sequential(nn.Linear(800, 8))
    taken = latencies(models, [(torch.randn(64, 800),)] * 3, seconds=0.2)
    assert len(taken["small"]) == len(taken["large"]) >= 20
    assert np.median(taken["large"]) > 2 * np.median(taken["small"]) > 0


def point(name, size, mean, milliseconds=1.0, **more):
    latency = Latency(batch=1, p50=milliseconds, p95=milliseconds)
    return OperatingPoint(
        name=name, how=name, parameters=1, macs=1, bytes=size, latency_1=latency,
        latency_n=latency, scores=[mean], mean=mean, **more,
    )  # fmt: skip


def test_front_holds_what_none_beats():
    points = [point("a", 9, 0.9), point("b", 4, 0.9), point("c", 4, 0.8), point("d", 2, 0.7)]
    assert pareto.front(points, "bytes") == [False, True, False, True]
    assert pareto.front([points[0]] * 2, "bytes") == [True, True]


def test_front_takes_close_latencies_as_equal():
    points = [point("a", 1, 0.9, 1.0), point("b", 1, 0.9, 0.98), point("c", 1, 0.8, 0.98)]
    assert pareto.front(points, "latency_1") == [True, True, False]
    assert pareto.front([*points, point("d", 1, 0.8, 0.9)], "latency_1")[-1]


def test_pareto_plot_names_every_point():
    points = pareto.mark_fronts(
        [point("whole", 9, 0.9), point("small", 2, 0.7, gap=-0.2, ci95=(-0.3, -0.1))]
    )
    drawn = ElementTree.fromstring(pareto.pareto_plot(points, ACCURACY, "bytes"))
    said = {text.text for text in drawn.iter("text")}
    assert {"whole", "small", "bytes on disk"} <= said


# All of it


def trained(models, train, test, given, build):
    for seed, model in enumerate(models):
        fit(model, train, recipe=given, steps=40, seed=seed)
    return Trained(
        models=models,
        seeds=range(len(models)),
        train=[train] * len(models),
        test=test,
        score=lambda model: evaluate(model, test)[0].astype(float),
        build=build,
        recipe=given,
        steps=40,
    )


def pictures(rows, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, rows)
    x = torch.from_numpy(rng.normal(size=(rows, 1, 8, 8)).astype(np.float32))
    x[np.arange(rows), 0, 2 * y, :] += 2
    return Arrays(x, y)


@pytest.fixture(scope="module")
def compressed():
    torch.manual_seed(0)
    given = recipe(width=16)
    models = [small_cnn(16) for _ in range(3)]
    before = trained(
        models, pictures(300, 0), pictures(200, 1), given, lambda r: small_cnn(r.width)
    )
    weights = copy.deepcopy([model.state_dict() for model in models])
    return (
        weights,
        before,
        compress(before, CompressionBudget(fine_tune=0.2, student=0.5), seconds=0.1),
    )


def test_compress_measures_every_way_on_every_seed(compressed):
    _, _, found = compressed
    assert [p.name for p in found.points[:3]] == ["uncompressed", "int8 file", "int8 products"]
    assert {"75 % of channels", "50 % of channels", "distilled", "same on labels"} <= {
        p.name for p in found.points
    }
    whole = found.points[0]
    assert whole.gap is None
    assert whole.mean > 0.9
    for p in found.points[1:]:
        assert len(p.scores) == found.seeds == 3
        assert p.ci95[0] <= p.gap <= p.ci95[1]
        assert p.gap == pytest.approx(p.mean - whole.mean)
        assert p.bytes < whole.bytes
        assert 0 < p.latency_1.p50 <= p.latency_1.p95
    assert any("bytes" in p.best_at for p in found.points)
    assert "times as long" in found.zeros
    assert Compression.model_validate_json(found.model_dump_json()) == found


def test_compress_leaves_the_trained_models_alone(compressed):
    weights, before, _ = compressed
    for kept, model in zip(weights, before.models, strict=True):
        assert all(torch.equal(kept[name], held) for name, held in model.state_dict().items())


def test_compress_gives_both_students_the_same_flops(compressed):
    _, before, found = compressed
    taught, alone = (
        next(p for p in found.points if p.name == name) for name in ("distilled", "same on labels")
    )
    one_step = 3 * 2 * alone.macs * before.recipe.batch
    assert abs(taught.extra_flops - alone.extra_flops) <= one_step / 2
    assert taught.macs == alone.macs < found.points[0].macs / 2


def test_compress_of_a_linear_text_model_drops_buckets():
    torch.manual_seed(0)
    given = recipe(model="linear", width=512, rate=3.0, momentum=0.0)

    def build(r):
        model = nn.EmbeddingBag(r.width, 2, mode="sum", sparse=True)
        nn.init.zeros_(model.weight)
        return model

    test = Bags(300, 1)
    found = compress(
        trained([build(given) for _ in range(2)], Bags(400, 0), test, given, build), seconds=0.1
    )
    points = {p.name: p for p in found.points}
    assert found.left_out.keys() == {"int8 products", "low rank 0.9", "channels"}
    assert points["low rank 0.99"].gap == 0  # two labels: one direction says it all
    assert points["25 % of buckets"].parameters == 256
    assert points["distilled"].parameters == 128


def test_compress_says_why_there_is_no_student():
    given = recipe(width=0)

    def build(r):
        return nn.Linear(6, 3)

    train = Arrays(torch.randn(64, 6), np.arange(64) % 3)
    found = compress(
        trained([build(given) for _ in range(2)], train, train, given, build), seconds=0.1
    )
    assert "no width" in found.left_out["student"]

    def refuse(r):
        raise ValueError("a width is a multiple of 32")

    whole = trained([build(given) for _ in range(2)], train, train, given, refuse)
    assert "multiple of 32" in compress(whole, seconds=0.1).left_out["student"]


def test_compress_refuses_one_seed():
    given = recipe()
    train = Arrays(torch.randn(64, 6), np.arange(64) % 3)
    with pytest.raises(ValueError, match="at least 2 seeds"):
        compress(trained([nn.Linear(6, 3)], train, train, given, lambda r: nn.Linear(6, 3)))
