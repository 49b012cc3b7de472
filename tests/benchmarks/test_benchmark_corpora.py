import numpy as np
import pyarrow.parquet as pq
import pytest
from corpora import write_blob, write_template, write_texts, write_vectors
from judges import judge_near, judge_planted, planted_pairs, similar_vectors, subset
from pictures import write_images
from similar_texts import all_pairs, shingle_sets


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "corpus.parquet"
    truth = write_texts(path, 600)
    return path, pq.read_table(path), truth


@pytest.mark.parametrize("write", [write_texts, write_template, write_vectors, write_blob])
def test_corpus_is_the_same_for_a_seed_and_truth_names_its_rows(write, tmp_path):
    first = write(tmp_path / "a.parquet", 300)
    assert first == write(tmp_path / "b.parquet", 300)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    ids = pq.read_table(tmp_path / "a.parquet")["id"].to_pylist()
    assert ids == first["id"].to_pylist()
    assert len(set(ids)) == 300


def test_exact_and_norm_copies_equal_their_original(texts):
    _, corpus, truth = texts
    said = [" ".join(text.lower().split()) for text in corpus["text"].to_pylist()]
    kinds, clusters = truth["kind"].to_pylist(), truth["cluster"].to_pylist()
    originals = {c: t for c, t, k in zip(clusters, said, kinds, strict=True) if k == "base"}
    copies = [i for i, kind in enumerate(kinds) if kind in ("exact", "norm")]
    assert len(copies) == 60
    assert all(said[i] == originals[clusters[i]] for i in copies)


def test_near_copies_spread_over_the_similarities(texts):
    _, corpus, truth = texts
    sets = shingle_sets(corpus["text"].to_pylist())
    true = sets.jaccard(*planted_pairs(corpus["id"], truth))
    assert len(true) == 60
    assert (true < 1).all()
    assert np.histogram(true, [0, 0.7, 0.8, 1])[0].min() >= 5


def test_near_copies_are_as_similar_with_punctuation_as_without(texts):
    # Else tools that look at punctuation would be judged by pairs that they cannot see as similar.
    _, corpus, truth = texts
    said = corpus["text"].to_pylist()

    def spaced(text):
        words = text.split()
        return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}

    near, original = planted_pairs(corpus["id"], truth)
    true = shingle_sets(said).jaccard(near, original)
    sets = [(spaced(said[a]), spaced(said[b])) for a, b in zip(near, original, strict=True)]
    strict = np.array([len(a & b) / len(a | b) for a, b in sets])
    assert np.abs(strict - true).max() < 0.05


def test_only_what_was_planted_is_similar(texts):
    _, corpus, truth = texts
    left, right, _ = all_pairs(shingle_sets(corpus["text"].to_pylist()), 0.7)
    clusters = truth["cluster"].to_numpy()
    assert (clusters[left] == clusters[right]).all()


def test_template_documents_are_alike_and_no_duplicates(tmp_path):
    truth = write_template(tmp_path / "t.parquet", 220)
    sets = shingle_sets(pq.read_table(tmp_path / "t.parquet")["text"].to_pylist())
    kinds, clusters = truth["kind"].to_numpy(zero_copy_only=False), truth["cluster"].to_numpy()
    template = np.flatnonzero(kinds == "template")
    a, b = (template[side] for side in np.triu_indices(len(template), 1))
    similarity = sets.jaccard(a, b)
    assert len(template) == 60
    assert similarity.min() > 0.5
    assert similarity.max() < 0.7
    left, right, _ = all_pairs(sets, 0.8)
    assert len(left) == (kinds == "near").sum() == 6
    assert (clusters[left] == clusters[right]).all()


def test_vectors_have_the_planted_duplicates_and_no_others(tmp_path):
    truth = write_vectors(tmp_path / "v.parquet", 500)
    column = pq.read_table(tmp_path / "v.parquet")["embedding"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(500, -1)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    clusters = truth["cluster"].to_numpy()
    groups = similar_vectors(vectors, 0.8)
    for group in np.unique(groups):
        assert len(set(clusters[groups == group])) == 1
    assert len(set(groups[truth["kind"].to_numpy(zero_copy_only=False) == "blob"])) == 1


def test_images_open_and_copies_have_an_original(tmp_path):
    from PIL import Image

    truth = write_images(tmp_path / "images", 60)
    assert sorted(file.name for file in (tmp_path / "images").iterdir()) == truth["id"].to_pylist()
    for name in truth["id"].to_pylist():
        Image.open(tmp_path / "images" / name).load()
    kinds = truth["kind"].to_pylist()
    assert {"resized", "reencoded", "brightness", "cropped", "exact", "lookalike"} <= set(kinds)
    judged = judge_planted(tmp_path, truth)(set(truth["id"].to_pylist()))
    assert judged["groups"]["missed"] == judged["groups"]["to_remove"] == 6


def test_near_judge_counts_short_texts_that_are_gone(texts):
    path, corpus, truth = texts
    ids = corpus["id"].to_pylist()
    judge = judge_near(path, truth)
    everything = judge(set(ids))
    assert everything["short"] == {"texts": 15, "lost": 0}
    assert everything["planted"]["0.8-1"]["recall"] == 0
    short = {i for i, kind in zip(ids, truth["kind"].to_pylist(), strict=True) if kind == "short"}
    without = judge(set(ids) - short)
    assert without["short"] == {"texts": 15, "lost": 15}
    assert without["at_0.8"]["precision"] == 0


def test_subset_takes_whole_clusters(texts, tmp_path):
    path, _, truth = texts
    pq.write_table(truth, tmp_path / "truth.parquet")
    part = subset(path, tmp_path / "truth.parquet", 200, tmp_path / "part.parquet")
    clusters = truth["cluster"].to_pylist()
    taken = part["cluster"].to_pylist()
    assert 190 <= len(taken) <= 200
    assert sorted(taken) == sorted(c for c in clusters if c in set(taken))
    assert pq.read_table(tmp_path / "part.parquet")["id"] == part["id"]
