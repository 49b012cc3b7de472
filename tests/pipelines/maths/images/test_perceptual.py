import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pipelines.maths.images.perceptual import (
    MOST_DISTANCE,
    hamming_pairs,
    phash,
    similarity,
    thumbnails,
)


def photo(seed: int, size: int = 96) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


def copies(picture: np.ndarray) -> list[np.ndarray]:
    image, out = Image.fromarray(picture), io.BytesIO()
    image.save(out, "JPEG", quality=50)
    side = image.width
    changed = [
        Image.open(out),
        image.resize((round(side * 0.7),) * 2, Image.Resampling.BICUBIC),
        image.resize((round(side * 1.3),) * 2, Image.Resampling.BICUBIC),
        ImageEnhance.Brightness(image).enhance(0.9),
    ]
    return [np.asarray(copy) for copy in changed]


def test_phash_is_imagehash():
    imagehash = pytest.importorskip("imagehash")
    pictures = [photo(seed, 40 + seed) for seed in range(30)]
    theirs = [int(str(imagehash.phash(Image.fromarray(picture))), 16) for picture in pictures]
    assert phash(pictures).tolist() == theirs


def test_phash_does_not_depend_on_the_batch():
    pictures = [photo(seed) for seed in range(20)]
    assert phash(pictures).tolist() == [phash([picture])[0] for picture in pictures]
    assert phash([]).shape == (0,)


def test_copies_are_near_and_similar():
    for seed in range(20):
        picture = photo(seed)
        changed = copies(picture)
        apart = np.bitwise_count(phash(changed) ^ phash([picture]))
        assert apart.max() <= 8
        alike = similarity(thumbnails([picture] * len(changed)), thumbnails(changed))
        assert alike.min() >= 0.95


def test_other_pictures_are_not_similar():
    thumbs = thumbnails([photo(seed) for seed in range(40)])
    assert similarity(thumbs[:-1], thumbs[1:]).max() < 0.8


def test_similarity_sees_colour():
    red = np.full((20, 20, 3), (200, 40, 40), dtype=np.uint8)
    blue = np.full((20, 20, 3), (40, 80, 200), dtype=np.uint8)
    thumbs = thumbnails([red, blue])
    assert similarity(thumbs, thumbs).tolist() == [1.0, 1.0]
    assert similarity(thumbs[:1], thumbs[1:])[0] < 0.5


def test_similarity_lies_between_0_and_1():
    noise = np.random.default_rng(0).integers(0, 256, (200, 3 * 16 * 16), dtype=np.uint8)
    ramp = np.tile(np.arange(256, dtype=np.uint8), 3)[None]
    values = np.append(similarity(noise[:100], noise[100:]), similarity(ramp, 255 - ramp))
    assert values.min() >= 0
    assert values.max() <= 1
    assert similarity(noise[:0], noise[:0]).shape == (0,)


@pytest.mark.parametrize("at_most", [0, 3, 4, 8, 10, MOST_DISTANCE])
def test_hamming_pairs_are_those_of_brute_force(at_most: int):
    rng = np.random.default_rng(at_most)
    hashes = rng.integers(0, 2**64, 400, dtype=np.uint64)
    for row in range(200):  # a neighbour each, 0 to 19 bits away
        flips = rng.choice(64, rng.integers(0, 20), replace=False).astype(np.uint64)
        hashes[row + 200] = hashes[row] ^ (np.uint64(1) << flips).sum(dtype=np.uint64)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    first, second = np.nonzero(np.triu(apart <= at_most, 1))
    found = hamming_pairs(hashes, at_most)
    assert found[0].tolist() == first.tolist()
    assert found[1].tolist() == second.tolist()


def test_hamming_pairs_come_in_blocks_without_loss(monkeypatch: pytest.MonkeyPatch):
    hashes = np.random.default_rng(0).integers(0, 4, 60, dtype=np.uint64)
    whole = hamming_pairs(hashes, 2)
    monkeypatch.setattr("pipelines.maths.images.perceptual.BLOCK", 7)
    assert [side.tolist() for side in hamming_pairs(hashes, 2)] == [side.tolist() for side in whole]
    assert len(whole[0]) == 60 * 59 // 2


def test_hamming_pairs_refuse_a_distance_that_says_nothing():
    with pytest.raises(ValueError, match=r"0\.\.15"):
        hamming_pairs(np.zeros(2, dtype=np.uint64), 16)
