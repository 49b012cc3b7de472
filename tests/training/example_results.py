"""Results to draw: one with every section filled, one with scores alone, one that is void."""

import numpy as np

from training.page.pareto import Compression, Latency, OperatingPoint, mark_fronts
from training.result.result import (
    ArmScores,
    ClassShare,
    Condition,
    CurvePoint,
    Detectable,
    Gap,
    Guard,
    LearningCurve,
    Multiplier,
    PowerLaw,
    Result,
    StepWorth,
)
from training.statistics.stats import t_quantile
from training.verdict.compare import compare_scores

SEEDS = 5
ARMS = {
    "raw": ("every raw row", 10_000, 0.0),
    "curated": ("every curated row", 5_412, 0.081),
    "random@n": ("random raw rows, as many as curated has", 5_412, -0.021),
    "random@bytes": ("random raw rows, as many bytes as curated has", 5_233, -0.024),
    "random@n,class": ("random raw rows in curated's class mix", 5_412, -0.019),
    "scrambled": ("curation's decisions, given to other rows at random", 5_412, -0.022),
    "rs2@n": ("a fresh random raw set of curated's size for every pass", 10_000, -0.001),
    "anti": ("the raw rows that curation removed", 4_588, -0.312),
    "aa": ("raw again with other seeds: its gap must be 0", 10_000, 0.001),
    "curated@epochs": ("curated for as many passes as raw, so fewer steps", 5_412, 0.068),
    "oracle": ("every raw row with its true label", 10_000, 0.142),
    "raw+augmented": ("raw with stronger augmentation", 10_000, 0.012),
    "curated+augmented": ("curated with stronger augmentation", 5_412, 0.088),
    "raw+warm": ("raw on a pretrained model", 10_000, 0.051),
    "curated+warm": ("curated on a pretrained model", 5_412, 0.113),
}
STEPS = {
    "1.normalise": (None, 0.0003, 0.0005, "can go"),
    "2.word_count": (214, 0.002, -0.001, "not shown to matter"),
    "3.language": (1_020, 0.011, 0.006, "earns its keep"),
    "4.near_dedup": (1_402, 0.023, 0.019, "earns its keep"),
    "5.label_noise": (1_830, 0.047, 0.052, "earns its keep"),
    "6.quality": (122, -0.009, -0.006, "harms"),
}
RATES = {"accuracy": (0.584, 1.0), "bits per byte": (-2.31, 0.9)}


def gap(name, mean, spread=0.004, seeds=SEEDS, p_holm=0.012):
    rng = np.random.default_rng(len(name))
    per_seed = mean + rng.normal(0, spread, seeds)
    per_seed += mean - per_seed.mean()
    half = t_quantile(0.975, seeds - 1) * (spread / seeds**0.5) + 0.001
    sure = abs(mean) > half
    return Gap(
        name=name,
        gap=mean,
        ci95=(mean - half, mean + half),
        p=0.00004 if sure else 0.43,
        p_method="t",
        p_holm=p_holm if p_holm is None or sure else 1.0,
        per_seed=[float(seed) for seed in per_seed],
    )


def arm(name, seeds, metric, sort=0.004):
    says, n, worth = ARMS.get(name, (f"the arm {name}", 5_000, 0.05))
    base, scale = RATES[metric]
    vs_raw = None
    if name != "raw":
        p_holm = None if name in ("curated", "aa") else 0.012
        vs_raw = gap(f"{name} − raw", scale * worth, seeds=seeds, p_holm=p_holm)
    start = np.random.default_rng(5).normal(base, sort, seeds)
    scores = start + (np.array(vs_raw.per_seed) if vs_raw else 0.0)
    return ArmScores(
        name=name, says=says, n=n, n_seen=160_000, scores=[float(score) for score in scores],
        mean=float(scores.mean()), loss=0.93 - worth, vs_raw=vs_raw,
    )  # fmt: skip


def learning_curve(metric, axis="rows", seeds=SEEDS, factor=6.5):
    """Return curves of which curated is worth `factor` times as many raw rows."""
    rng = np.random.default_rng(2)
    e, a, alpha = 0.1, 2.8, 0.24
    points, laws = [], []
    for name, most, times in (("raw", 10_000, 1.0), ("curated", 5_412, factor)):
        most = 4_000 if axis == "steps" else most
        for share in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0):
            loss = e + a * (most * share * times) ** -alpha + rng.normal(0, 0.006, seeds)
            scores = 1 - loss if metric == "accuracy" else -loss
            points.append(
                CurvePoint(
                    arm=name, share=share, n=most * share, scores=list(map(float, scores)),
                    mean=float(scores.mean()),
                )
            )  # fmt: skip
        laws.append(
            PowerLaw(
                arm=name, e=e, a=a * times**-alpha, alpha=alpha, alpha_ci95=(0.17, 0.31),
                residuals=[0.001, -0.002, 0.001, 0.0, 0.001], left_out_error=0.012,
            )
        )  # fmt: skip
    better = factor > 10_000 / 5_412
    bound = "at least" if better else None
    kept = max(factor, 0.06) if not better else 10_000 / 5_412
    same = 1 / factor if factor > 1 else 0.5412
    if axis == "steps":
        laws = [law.model_copy(update={"e": None, "refused": "steps"}) for law in laws[:0]]
        found = [
            multiplier(
                "compute", 1.0 if factor > 1 else factor, "at least" if factor > 1 else None
            ),
            multiplier("same quality", same, None if factor > 1 else "at least"),
        ]
    else:
        found = [
            multiplier("kept-sample", kept, bound),
            multiplier("pool", kept * 0.5412, bound),
            multiplier("same quality", same, None if factor > 1 else "at least"),
        ]
    return LearningCurve(
        axis=axis, points=points, laws=laws, multipliers=found,
        shift="One multiplier fits every size measured (p = 0.61).",
    )  # fmt: skip


def multiplier(name, value, censored):
    ends = (None, None) if censored else (0.8 * value, 1.25 * value)
    return Multiplier(
        name=name, value=value, low=ends[0], high=ends[1], censored=censored,
        says=f"Of the {name} kind: {value:.2f} ×, in a sentence of its own.",
    )  # fmt: skip


def worth(step, scale=1.0):
    dropped, without, only, verdict = STEPS[step]
    without, only = scale * without, scale * only
    says = {
        "earns its keep": f"{step} earns its keep: without it curated loses.",
        "not shown to matter": f"{step}: no effect was shown, and none ruled out.",
        "can go": f"{step} can go: its effect is smaller than what matters.",
        "harms": f"{step} harms: curated is better without it.",
    }[verdict]
    twin = f"random@without:{step}"
    return StepWorth(
        step=step, dropped=dropped, verdict=verdict, says=says,
        without=gap(f"curated − without:{step}", without - 0.003),
        without_net=gap(f"net of {twin}", without, 0.005),
        only=gap(f"only:{step} − raw", only - 0.006),
        only_net=gap(f"only:{step} − random", only, 0.005),
    )  # fmt: skip


def operating_points(metric):
    base, _ = RATES[metric]
    found = []
    for name, how, size, ms, gap_ in (
        ("fp32", "As trained.", 25_300_000, 1.46, None),
        (
            "int8",
            "Weights of linear layers in 8 bits, activations on the fly.",
            6_340_000,
            0.39,
            -0.001,
        ),
        ("low rank 64", "Linear layers as two thin factors.", 9_100_000, 0.62, -0.008),
        ("pruned half", "Half of the channels, fine-tuned.", 12_700_000, 0.8, -0.012),
        ("student", "A small model taught by the large one.", 2_100_000, 0.11, -0.021),
    ):
        mean = base + 0.08 + (gap_ or 0.0)
        found.append(
            OperatingPoint(
                name=name, how=how, parameters=size // 4, macs=size // 5, bytes=size,
                latency_1=Latency(batch=1, p50=ms, p95=1.3 * ms),
                latency_n=Latency(batch=64, p50=18 * ms, p95=20 * ms),
                scores=[mean] * SEEDS, mean=mean, gap=gap_,
                ci95=None if gap_ is None else (gap_ - 0.004, gap_ + 0.004),
            )
        )  # fmt: skip
    return mark_fronts(found)


def compression(metric="accuracy"):
    return Compression(
        points=operating_points(metric), seeds=SEEDS, test_rows=4_000, rounds=(300, 40),
        device="cpu", threads=1, zeros="Nine in ten weights set to zero give no speed: 1.01 ×.",
        left_out={"pruned": "a linear model has no channels"},
    )  # fmt: skip


GUARDS = [
    ("runs", True, "All 145 runs are there and finite.", "void"),
    ("plan", True, "The plan was written before the first run and has not changed.", "refuse"),
    ("budget", True, "Each run saw 160,000 examples (cpu, torch 2.9.0).", "void"),
    (
        "leak",
        True,
        "No train row stands in test; 16 were removed from raw, 9 from curated.",
        "void",
    ),
    ("A/A", True, "Raw against raw shows no gap: +0.1 points (95 % CI −0.5 to +0.7).", "void"),
    ("size", True, "Not explained by size: curated − random@n is +10.2 points.", "refuse"),
    ("class mix", True, "Not explained by class mix: +10.0 points.", "refuse"),
    ("power", False, "This design was expected to find 1.4 points; 1.0 matters.", "exploratory"),
]


def runs(names, seeds):
    return [
        {
            "arm": name, "seed": seed, "n": 5_412, "n_seen": 160_000, "steps": 2_500,
            "device": "cpu", "torch": "2.9.0", "loss": 0.9, "share": 1.0, "seconds": 14.2,
            "cpu_seconds": 13.9, "flops": 3_100_000_000_000, "bytes_read": 48_000_000,
            "peak_memory_bytes": 420_000_000, "joules": None,
        }
        for name in names
        for seed in range(seeds)
    ]  # fmt: skip


def full_result(metric="accuracy", seeds=SEEDS, factor=6.5):
    """Return a result with every section filled, controls, extras and attribution arms too."""
    steps = [f"{kind}:{step}" for step in STEPS for kind in ("without", "only")]
    names = [*ARMS, *steps, *(f"random@{name}" for name in steps)]
    arms = [arm(name, seeds, metric) for name in names]
    primary = next(found.vs_raw for found in arms if found.name == "curated")
    sentence = "Training on the curated data is better than on raw, at equal compute."
    return Result(
        verdict="better", supported=True, sentence=sentence, refusals=[], exploratory=True,
        exploratory_because=["The design could not see the smallest effect that matters."],
        metric=metric, delta=0.01, gap=primary.gap, ci95=primary.ci95, p=primary.p, p_method="t",
        p_equivalence=1.0, mde=Detectable(before=0.014, after=0.007, prior="a guess"),
        seeds=seeds, test_rows=4_000, arms=arms,
        comparisons=[gap("curated − random@n", 0.102), gap("curated − random@n,class", 0.1)],
        equal_epoch=gap("curated@epochs − raw", 0.068),
        conditions=[
            *(
                Condition(kind="size", name=f"{share:.0%} of the rows", n=10_000 * share,
                          gap=gap(f"curated − raw at {share}", worth))
                for share, worth in ((0.0625, 0.012), (0.25, 0.041), (0.5, 0.066))
            ),
            Condition(kind="learning rate", name="half the rate", gap=gap("half", 0.071)),
            Condition(kind="learning rate", name="twice the rate", gap=gap("twice", 0.077)),
            Condition(kind="test", name="clean labels", gap=gap("clean", 0.094)),
        ],
        curve=learning_curve(metric, seeds=seeds, factor=factor),
        compute=learning_curve(metric, "steps", seeds=seeds, factor=factor),
        attribution=[worth(step) for step in STEPS],
        compressed=[point.model_dump(mode="json") for point in operating_points(metric)],
        guards=[
            Guard(name=name, passed=passed, detail=detail, if_failed=if_failed)
            for name, passed, detail, if_failed in GUARDS
        ],
        baseline={
            "says": "always the most common label of test", "score": RATES[metric][0] - 0.3,
            **({} if metric == "accuracy" else {"zstd": 2.611, "xz": 2.574}),
        },
        leak={"raw": 16, "curated": 9}, class_shift=0.143,
        classes=[
            ClassShare(name=f"{name}", raw=raw, curated=curated, test=raw)
            for name, raw, curated in (
                ("negative", 0.31, 0.26), ("positive", 0.29, 0.35),
                ("a class with quite a long name, as they come", 0.22, 0.18),
                ("neutral", 0.18, 0.21),
            )
        ],
        rows={"raw": 10_000, "curated": 5_412, "test": 4_000, "skipped": {"raw": {"no label": 12}}},
        runs=runs(names, seeds),
        cost={
            "prove_seconds": 2_140.2, "train_seconds": 4_101.7, "curate_seconds": 41.3,
            "curate_rows": {"in": 10_000, "kept": 5_412}, "external_data": "fastText lid.176",
        },
        versions={"python": "3.11.7", "machine": "x86_64, 2 cores", "torch": "2.9.0"},
        plan_hash="59071c86afafe6f5bbb7ba2062e9ef49f2996e2b71e788d9a274b0bab5e5892e",
        task="text_classification", profile="cpu", model="linear",
        left_out={"raw@epochs": "equal steps are equal passes for raw"},
        synthetic=["30 % of the labels of raw were flipped at random"],
        notes=["the reviews come from one shop"], remarks=["test has 1 label that raw never shows"],
    )  # fmt: skip


def minimal_result():
    """Return what `compare_scores` finds with nothing but scores."""
    return compare_scores(_scores(), baseline=np.arange(2_000) < 500)


def invalid_result():
    """Return a void result: raw against raw shows a gap."""
    return compare_scores(_scores(aa=0.75), baseline=np.arange(2_000) < 500)


def broken_result():
    """Return the result of runs of which one is not finite."""
    scores = _scores()
    scores["curated"][0, 0] = np.nan
    return compare_scores(scores, baseline=np.arange(2_000) < 500)


def _scores(**other):
    rng = np.random.default_rng(0)
    hardness = rng.random(2_000)
    shares = {"raw": 0.7, "curated": 0.78, "random@n": 0.66, "aa": 0.7} | other
    return {
        name: (hardness + rng.normal(0, 0.02, (3, 2_000)) < share).astype(float)
        for name, share in shares.items()
    }
