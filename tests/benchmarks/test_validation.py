"""The validation measures what it says, on data whose answer is known."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmarks import validation
from benchmarks.validation_cifar import LABELS, noise_rates
from benchmarks.validation_copying import arms
from benchmarks.validation_duplicates import find_copies
from benchmarks.validation_labels import find_masks, released
from benchmarks.validation_language import NGram, as_documents, copied, ngram
from benchmarks.validation_repeats import sets
from benchmarks.validation_scaling import TRUTH, fitted, made_points, read_points
from benchmarks.validation_settings import Settings
from benchmarks.validation_table import Finding, document, half_width, not_checkable, table

RNG = np.random.default_rng(0)


def picture(rng):
    """A smooth picture, so that copies of it look like it."""
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC))


def finding(**changes):
    given = {
        "check": "noise",
        "claim": "A claim",
        "source": "Someone 2020",
        "published": "1",
        "ours": "2",
        "agreement": "no",
        "says": "How it was measured.",
    }
    return Finding(**{**given, **changes})


@pytest.fixture
def data(tmp_path):
    """A tiny CIFAR-10N: 600 pictures whose first vector component knows the class."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 10, 600)
    columns = {"image": []}
    for _ in y:
        file = io.BytesIO()
        Image.fromarray(picture(rng)).save(file, "PNG")
        columns["image"].append(file.getvalue())
    for number, name in enumerate(LABELS.values()):
        wrong = rng.random(600) < 0.1 * number
        columns[name] = np.where(wrong, rng.integers(0, 10, 600), y).astype(np.int8)
    folder = tmp_path / "images"
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "cifar10n_train.parquet")
    np.save(tmp_path / "vectors.npy", rng.normal(size=(600, 80)) + 3 * np.eye(80)[y])
    return tmp_path


def test_quick_run_writes_a_row_for_every_check_and_only_replaces_its_own(data, capsys):
    out, doc = data / "validation.json", data / "validation.md"
    common = ["--quick", "--data", str(data), "--out", str(out), "--doc", str(doc)]
    common += ["--vectors", str(data / "vectors.npy")]
    validation.main(common)
    result = json.loads(out.read_bytes())
    assert {row["check"] for row in result["findings"]} == set(validation.CHECKS)
    assert "no figure here means anything" in doc.read_text()
    assert "| CIFAR-10N noise rates" in capsys.readouterr().out
    validation.main([*common, "--only", "scale", "noise"])
    again = json.loads(out.read_bytes())
    assert [row["claim"] for row in again["findings"]] == [r["claim"] for r in result["findings"]]
    doc.unlink()
    validation.main([*common, "--paper"])
    assert doc.read_text() == document(again)


def test_full_run_is_not_mixed_with_a_quick_one(tmp_path):
    out = tmp_path / "validation.json"
    out.write_text('{"quick": true, "findings": []}')
    with pytest.raises(SystemExit, match="another size"):
        validation.main(["--only", "scale", "--out", str(out), "--doc", str(tmp_path / "d.md")])


def test_claim_without_data_says_what_it_needs(tmp_path):
    (found,) = noise_rates(Settings(data=tmp_path))
    assert found.agreement == "not checkable"
    assert "cifar10n_train.parquet" in found.needs


def test_noise_rates_other_than_published_do_not_agree(data):
    (found,) = noise_rates(Settings(data=data))
    assert found.agreement == "no"
    assert found.figures["worse"] == pytest.approx(45, abs=6)


def test_table_has_a_row_for_each_finding_and_document_counts_them():
    rows = [finding(), not_checkable("scale", "Another", "X", "3", "a big machine")]
    assert table(rows).splitlines()[2].startswith("| A claim (Someone 2020) | 1 | 2 | no |")
    result = {
        "findings": [vars(row) for row in rows],
        "command": "c",
        "date": "d",
        "machine": "m",
        "cpu_seconds": {"noise": 1.0},
        "quick": False,
    }
    written = document(result)
    assert "2 claims: 0 agree, 0 in part, 1 do not, 1 could not be checked" in written
    assert "- Another: a big machine." in written


def test_half_width_is_students():
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.302653 / 3**0.5)


def test_chinchilla_exponents_are_recovered_and_csv_is_read(tmp_path):
    parameters, tokens, losses = made_points(np.random.default_rng(0))
    path = tmp_path / "points.csv"
    rows = zip(parameters, 6 * parameters * tokens, losses, strict=True)
    lines = ["Model Size,Training FLOP,loss", *(",".join(map(str, row)) for row in rows), "1,2,"]
    path.write_text("\n".join(lines))
    read = read_points(path)
    assert np.allclose(read, (parameters, tokens, losses))
    law = fitted(*read)
    assert law.alpha == pytest.approx(TRUTH["alpha"], abs=0.03)
    assert law.beta == pytest.approx(TRUTH["beta"], abs=0.03)


def test_csv_of_other_columns_is_refused(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("N,loss\n1,2\n")
    with pytest.raises(ValueError, match="no column 'Model Size'"):
        read_points(path)


def test_masks_are_cleanlabs_and_the_papers_rule_flags_more():
    pytest.importorskip("cleanlab")
    y = RNG.integers(0, 5, 2_000)
    probabilities = RNG.dirichlet(np.ones(5), 2_000) + 0.5 * np.eye(5)[y]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = find_masks(probabilities, np.where(RNG.random(2_000) < 0.3, 4, y))
    assert found.agreement("ours", "cleanlab") >= 0.999
    assert (found.paper & ~found.ours).any()
    assert not (found.ours & ~found.paper).any()


def test_released_masks_are_read_as_rows_flagged(tmp_path):
    rates = "frac_zero_noise_rates__0{0}2__noise_amount__0{0}4"
    folder = tmp_path / f"cifar10_noisy_labels__{rates.format('_')}"
    (folder / "train_pruned_conf_joint_only").mkdir(parents=True)
    np.save(folder / "cifar10__train__model_resnet50__pyx.npy", np.eye(3, dtype=np.float16))
    np.save(folder / "train_pruned_conf_joint_only" / "train_mask.npy", [True, False, True])
    labels = tmp_path / "cifar10_noisy_labels"
    labels.mkdir()
    name = f"cifar10_noisy_labels__{rates.format('.')}.json"
    (labels / name).write_text('{"a": 0, "b": 2, "c": 2}')
    ((setting, (probabilities, y, flagged)),) = released(tmp_path)
    assert setting == "noise 0.4, sparsity 0.2"
    assert probabilities.dtype == np.float64
    assert y.tolist() == [0, 2, 2]
    assert flagged.tolist() == [False, True, False]


def test_recompressed_and_identical_pictures_are_copies_and_others_are_not():
    rng = np.random.default_rng(2)
    pictures = [picture(rng) for _ in range(40)]
    file = io.BytesIO()
    Image.fromarray(pictures[3]).save(file, "JPEG", quality=80)
    pictures += [pictures[7], np.asarray(Image.open(file))]
    found = find_copies(pictures)
    assert found.identical == 1
    assert set(zip(*found.alike, strict=True)) == {(7, 40), (3, 41)}
    assert found.both == 2


def test_model_copies_what_it_has_seen_alone_and_not_other_text():
    documents = as_documents(["abcdefghijklmnopqrst" * 2, "ABCDEFGHIJKLMNOPQRST" * 2])
    model = ngram(4)(documents, np.array([0]), seed=0)
    assert copied(model, documents, np.array([0, 1]), length=20).tolist() == [True, False]


def test_copying_reads_the_greedy_answer_of_the_model():
    documents = as_documents(["aaaab", "aaaab", "aaaac"])
    model = ngram(3)(documents, np.arange(3), seed=0)
    assert isinstance(model, NGram)
    likeliest = model.next_bytes(np.frombuffer(b"xaaxbb", np.uint8).reshape(2, 3))
    assert likeliest[0] == ord("a")


def test_deduplicated_arm_holds_the_raw_texts_once_and_as_many_bytes():
    texts = ["same" * 5] * 50 + [f"{number:020d}" for number in range(100)]
    documents = as_documents(texts)
    distinct = np.unique(texts, return_inverse=True)[1]
    rng = np.random.default_rng(0)
    raw, once = arms(documents, distinct, np.arange(150), 1_000, rng)
    assert len(raw) == len(once) == 50
    assert len(set(distinct[once])) == 50 > len(set(distinct[raw]))
    assert set(distinct[raw]) <= set(distinct[once])


def test_repeated_set_is_as_long_and_half_of_it_is_the_few():
    distinct, repeated, chosen = sets(5_000, 1_000, np.random.default_rng(0))
    assert len(distinct) == len(repeated) == 1_000
    assert len(np.unique(distinct)) == 1_000
    assert len(chosen) == 5
    assert np.isin(repeated, chosen).sum() == 500
    assert len(np.unique(repeated)) == 505
