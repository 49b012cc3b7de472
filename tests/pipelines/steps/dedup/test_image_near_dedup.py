"""Near-duplicate pictures: copies are found, other pictures are not."""

import io
from functools import cache

import numpy as np
import pytest
from corpus import cuts, decide, decide_and_note, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines.steps.dedup.pairs
from pipelines.maths.images.perceptual import similarity, thumbnails
from pipelines.maths.sets.minhash import bucket_pairs
from pipelines.steps.dedup.image_near_dedup import ImageNearDedup

Image = pytest.importorskip("PIL.Image")


def picture(seed: int, side: int = 96):
    """Return a smooth random picture."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def encoded(image, kind: str = "PNG", **options) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


@cache
def pictures() -> tuple[list[bytes], list[int]]:
    """Return originals, copies and strangers, and which original each shows."""
    made, shows = [], []
    for i in range(12):
        original = picture(i)
        made += [encoded(original), encoded(original, "JPEG", quality=70)]
        made += [encoded(original.resize((64, 64))), encoded(original.point(lambda v: v * 0.95))]
        shows += [i] * 4
    made += [encoded(picture(100 + i)) for i in range(30)]
    shows += list(range(100, 130))
    return made, shows


def test_image_near_dedup_keeps_one_of_each_picture(tmp_path):
    images, shows = pictures()
    found = decide(ImageNearDedup(), make_rows(image=images), tmp_path, cut=[[5, 9], [20]])
    kept = [shows[i] for i in range(len(images)) if f"r{i:05d}" not in found]
    assert sorted(kept) == sorted(set(shows))
    for row_id, verdict in found.items():
        assert shows[int(row_id[1:])] == shows[int(verdict.other[1:])]
        assert verdict.reason == "near_duplicate"
        assert 1 >= verdict.value >= verdict.threshold == 0.95


def test_image_near_dedup_keeps_the_largest_file(tmp_path):
    images, _ = pictures()
    found = decide(ImageNearDedup(), make_rows(image=images), tmp_path)
    for row_id, verdict in found.items():
        assert len(images[int(verdict.other[1:])]) >= len(images[int(row_id[1:])])


def test_image_near_dedup_keeps_the_earliest_or_of_the_smallest_id(tmp_path):
    images, shows = pictures()
    ids = [f"r{99 - i}" for i in range(len(images))]
    for keep, first in (("earliest", 0), ("smallest_id", 3)):
        found = decide(ImageNearDedup(keep=keep), make_rows(ids=ids, image=images), tmp_path)
        kept = {shows[i]: i for i in range(48) if ids[i] not in found}
        assert kept == {show: 4 * show + first for show in range(12)}


def test_image_near_dedup_signs_for_any_similarity_distance_and_keeper():
    rows = make_rows(image=pictures()[0][:4])
    other = {"similarity": 0.5, "distance": 3, "prefer": "x", "keep": "earliest", "order": ("1",)}
    other["link"] = "chain"
    assert {*other, "against", "conflicts"} == set(ImageNearDedup.after_sign)
    assert ImageNearDedup(**other).sign(rows, None).equals(ImageNearDedup().sign(rows, None))


@cache
def reference(work: str):
    return decide(ImageNearDedup(), make_rows(image=pictures()[0]), work)


@settings(max_examples=8)
@given(cuts(40), st.permutations(range(78)), st.integers(0, 9))
def test_image_near_dedup_does_not_depend_on_cut_order_or_arrival(
    tmp_path_factory, cut, order, arrival
):
    work = str(tmp_path_factory.getbasetemp())
    rows = make_rows(image=pictures()[0], order=order)
    assert decide(ImageNearDedup(), rows, work, cut, arrival=arrival) == reference(work)


def test_image_near_dedup_tells_the_same_shape_in_another_colour_apart(tmp_path):
    colours = [(250, 10, 10), (10, 10, 250), (10, 250, 10), (250, 10, 10)]
    images = [encoded(Image.new("RGB", (40, 40), colour)) for colour in colours]
    found = decide(ImageNearDedup(), make_rows(image=images), tmp_path)
    assert {i: v.other for i, v in found.items()} == {"r00003": "r00000"}


def test_image_near_dedup_similarity_and_distance_are_what_joins(tmp_path):
    images, _ = pictures()
    rows = make_rows(image=images)
    strict = decide(ImageNearDedup(similarity=1.0, distance=0), rows, tmp_path)
    assert set(strict) < set(decide(ImageNearDedup(), rows, tmp_path))


def test_image_near_dedup_joins_many_equal_pictures_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(pipelines.steps.dedup.pairs, "BUCKET", 4)
    images = [encoded(picture(i % 2)) for i in range(20)]
    found, noted = decide_and_note(ImageNearDedup(), make_rows(image=images), tmp_path)
    assert noted == 2
    assert {v.other for v in found.values()} == {"r00000", "r00001"}
    assert len(found) == 18


def test_image_near_dedup_candidates_are_close_hashes():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 1 << 63, 50, dtype=np.uint64)
    hashes = np.concatenate([hashes, hashes[:20] ^ np.uint64(0b1011), hashes[:3]])
    left, right, crowded = ImageNearDedup(distance=4).candidates(hashes, (np.arange(73),))
    close = np.bitwise_count(hashes[:, None] ^ hashes) <= 4
    assert crowded == []
    assert close[left, right].all()
    pairs = {frozenset(p) for p in zip(left.tolist(), right.tolist(), strict=True)}
    assert {frozenset((i, i + 50)) for i in range(20)} <= pairs
    same = bucket_pairs(hashes, 64)
    assert {frozenset(p) for p in zip(same[0].tolist(), same[1].tolist(), strict=True)} <= pairs


def test_image_near_dedup_evidence_measures_pairs_of_thumbnails():
    rows = make_rows(image=pictures()[0][:4])
    step = ImageNearDedup()
    left, right = np.array([0, 0]), np.array([1, 3])
    found = step.similarities(step.evidence(rows), left, right)
    decoded = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures()[0][:4]]
    thumbs = thumbnails([np.asarray(image) for image in decoded])
    assert found.tolist() == similarity(thumbs[left], thumbs[right]).tolist()


@pytest.mark.parametrize("image", [None, b"", b"not a picture"])
def test_image_near_dedup_raises_for_the_row_without_a_picture(image):
    with pytest.raises(ValueError, match=r"image|bytes"):
        ImageNearDedup().sign(make_rows(image=[pictures()[0][0], image]), None)
