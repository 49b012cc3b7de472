import gzip

import evidence.run as evidence_run
import numpy as np
import prepare as prepare_module
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from documents import new_paragraphs, package_documents
from prepare import CORPORA, LABELS, first_of_each, held_out, linked, prepare

from curate.recipe.recipe import load_recipe

CLASSES = ["airplane", "automobile", "bird"]


def read(folder, name):
    return pq.read_table(folder / f"{name}.parquet")


def test_held_out_takes_whole_groups_and_about_the_share():
    groups = [f"group {i // 3}" for i in range(6_000)]
    out = held_out(groups, 0.3)
    assert 0.26 < out.mean() < 0.34
    assert (out.reshape(-1, 3).all(axis=1) | ~out.reshape(-1, 3).any(axis=1)).all()


def test_held_out_does_not_look_at_other_rows():
    groups = [f"group {i}" for i in range(100)]
    np.testing.assert_array_equal(held_out(groups)[40:], held_out(groups[40:]))


def test_linked_follows_chains():
    keys = [{"a", "b"}, {"c"}, {"b", "d"}, {"d", "e"}, {"f", "c"}]
    assert linked(keys) == ["a", "c", "a", "a", "c"]


def test_first_of_each_ignores_case_space_and_empty_texts():
    rows = [{"text": text} for text in ["A b", " ", "a  B", "c"]]
    assert first_of_each(rows) == [{"text": "A b"}, {"text": "c"}]


def test_new_paragraphs_leaves_what_never_stood_before():
    licence = "you may use copy modify and distribute this for any purpose at all"
    texts = [f"{licence}\n\nsomething of its own", f"more of my own words\n\n{licence.upper()}"]
    assert new_paragraphs(texts, set()) == [texts[0], "more of my own words"]


def test_package_documents_are_those_people_wrote(tmp_path):
    system, site = tmp_path / "doc", tmp_path / "site"
    for path, data in {
        system / "tool" / "copyright": b"Expat",
        system / "tool" / "README.gz": gzip.compress(b"Read me"),
        system / "tool" / "changelog": b"left out",
        system / "big" / "NEWS": b"x" * 256_001,
        system / "odd" / "LICENSE": b"\0\1",
        site / "tool-1.0.dist-info" / "licenses" / "LICENSE.txt": b"MIT",
        site / "curate_proof-0.1.dist-info" / "METADATA": b"left out",
        site / "tool" / "README": b"left out",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (system / "twin").symlink_to(system / "tool")
    found = list(package_documents(system, site))
    assert [(package, text) for package, _, text in found] == [
        ("tool", "Read me"),
        ("tool", "Expat"),
        ("tool-1.0.dist-info", "MIT"),
    ]
    assert found[0][1] == "doc/tool/README.gz"


def post(number, group, *, message=None, subject="", references="", body=""):
    head = f"Newsgroups: {group}\nSubject: {subject or f'subject {number}'}\n"
    head += f"Message-ID: {message or f'<{number}@here>'}\nReferences: {references}\n"
    return {"id": str(number), "group": group, "text": f"{head}\n{body or f'body {number}'}"}


@pytest.fixture
def posts(tmp_path):
    rows = [post(i, ("sci.space", "alt.atheism")[i % 2]) for i in range(300)]
    for i in range(300, 400):  # the same post in two groups, and an answer to it
        rows += [
            post(f"{i}{group}", group, message=f"<{i}@both>", body=f"both {i}")
            for group in ("sci.space", "rec.autos")
        ]
        rows.append(post(f"{i}re", "sci.space", references=f"<{i}@both>"))
    folder = tmp_path / "data" / "text"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "20ng_original_19997.parquet")
    return prepare("newsgroups", tmp_path / "work", tmp_path / "data")


def test_newsgroups_keep_headers_out(posts):
    texts = "\n".join(read(posts, "train")["text"].to_pylist())
    assert "Newsgroups" not in texts
    assert "sci.space" not in texts


def test_newsgroups_hold_out_whole_threads(posts):
    def threads(name):
        found = read(posts, name)["id"].to_pylist()
        return {number.rpartition("/")[2][:3] for number in found if len(number) > 13}

    assert threads("train")
    assert threads("test-raw")
    assert not threads("train") & threads("test-raw")


def test_newsgroups_test_has_each_post_once_and_no_conflict(posts):
    test, raw = read(posts, "test"), read(posts, "test-raw")
    assert not any(text.startswith("both") for text in test["text"].to_pylist())
    assert any(text.startswith("both") for text in raw["text"].to_pylist())
    assert len(set(test["text"].to_pylist())) == len(test)


def test_newsgroups_talk_is_a_part_of_the_same_split(posts):
    for name in ("train", "test", "test-raw"):
        whole, part = read(posts, name), read(posts, f"{name}-talk")
        assert set(part["label"].to_pylist()) == {"alt.atheism"}
        assert set(part["id"].to_pylist()) <= set(whole["id"].to_pylist())


def test_cifar10n_keeps_the_truth_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "embedded", lambda pictures, folder: pictures["id"])
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 500)
    columns = {name: rng.integers(0, 3, 500) for name in LABELS.values()} | {"label": true}
    names = [CLASSES[label] for label in true]
    images = [f"image {min(i, 490)}".encode() for i in range(500)]
    table = pa.table(
        {"id": [f"{i}" for i in range(500)], "image": images, "label_name": names, **columns}
    )
    (tmp_path / "data" / "images").mkdir(parents=True)
    pq.write_table(table, tmp_path / "data" / "images" / "cifar10n_train.parquet")
    folder = prepare("cifar10n", tmp_path / "work", tmp_path / "data")
    truth = dict(zip(table["id"].to_pylist(), names, strict=True))
    for name in LABELS:
        train, test = read(folder, f"train-{name}"), read(folder, f"test-{name}")
        assert 200 < len(train) + len(test) < 400
        assert not set(train["image"].to_pylist()) & set(test["image"].to_pylist())
        assert test.column_names == ["id", "image", "label"]
        assert train["true_label"].to_pylist() == [truth[i] for i in train["id"].to_pylist()]
    assert read(folder, "train-clean")["label"].equals(read(folder, "train-clean")["true_label"])
    assert not read(folder, "train-worse")["label"].equals(train["true_label"])


def test_prepare_says_which_data_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"cifar10n: .*cifar10n_train.parquet.*; --data"):
        prepare("cifar10n", tmp_path / "work", tmp_path / "nowhere")
    assert not (tmp_path / "work" / "cifar10n" / "_done").exists()


@pytest.mark.parametrize("name", evidence_run.EXPERIMENTS)
def test_experiment_is_a_sound_recipe(name):
    experiment = evidence_run.EXPERIMENTS[name]
    said = evidence_run.assignments(experiment.change)[1::2]
    recipe = load_recipe(evidence_run.HERE / f"{experiment.recipe}.yaml", said)
    assert experiment.recipe in CORPORA
    assert recipe.name == name
    assert recipe.write.path == f"out/{name}"
    assert recipe.prove.seeds >= 5
    for path in (recipe.read.path, recipe.prove.test, *recipe.prove.tests.values()):
        assert path.startswith(f"{experiment.recipe}/")
    assert "true_label" not in str(recipe.steps)


def test_slim_keeps_scores_and_leaves_out_what_a_run_cost():
    run = {"arm": "raw", "seed": 0, "score": 0.5, "seconds": 3.0, "joules": 1}
    manifest = {"rows": {"in": 2}, "seconds": 1.5, "steps": [{"op": "read", "in": 2, "files": []}]}
    found = evidence_run.slim({"verdict": "better", "runs": [run]}, manifest)
    assert found["runs"] == [{"arm": "raw", "seed": 0, "score": 0.5}]
    assert found["curation"]["steps"] == [{"op": "read", "in": 2}]
    assert found["verdict"] == "better"


def test_a_command_that_fails_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="curate validate ended with 2"):
        evidence_run.curate("validate", "nothing.yaml", work=tmp_path)


def test_label_noise_counts_what_the_filter_saw():
    labels = {"id": list("abcdef"), "label": list("xxxyyy"), "true_label": list("xyyyxx")}
    fate = ["kept", "dropped", "kept", "dropped", "dropped", "kept"]
    op = [None, "drop_label_errors", None, "drop_label_errors", "image_near_dedup", None]
    ledger = pa.table({"id": list("abcdef"), "fate": fate, "op": op})
    found = evidence_run.label_noise(pa.table(labels), ledger)
    assert found == {
        "wrong_before": pytest.approx(4 / 6, abs=1e-5),
        "wrong_after": pytest.approx(2 / 3, abs=1e-5),
        "precision": 0.5,
        "recall": pytest.approx(1 / 3, abs=1e-5),
    }
