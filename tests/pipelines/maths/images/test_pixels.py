import io
import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipelines.maths.images.pixels import MOST_PIXELS, SIDE, decode_image, image_features
from pipelines.rows import Columns, Rows
from pipelines.rows.views import pixels


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def photo(seed: int, width: int = 60, height: int = 40) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def rows_of(images: list[bytes | None]) -> Rows:
    table = pa.table(
        {
            "image": pa.array(images, pa.binary()),
            "_key": np.arange(len(images)),
            "_id": [f"i{n}" for n in range(len(images))],
        }
    )
    return Rows(table, Columns(image="image"))


def test_decode_gives_rgb_of_every_mode():
    photograph = photo(0)
    for mode in ("1", "L", "P", "RGB", "CMYK", "LA", "RGBA", "I;16"):
        kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG"
        source = Image.new("I;16", (60, 40)) if mode == "I;16" else photograph.convert(mode)
        seen = decode_image(encoded(source, kind))
        assert seen.shape == (40, 60, 3)
        assert seen.dtype == np.uint8


def test_decode_lays_transparency_on_white():
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert (decode_image(encoded(clear)) == 255).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 90, 90, 90])
    assert (decode_image(encoded(palette, transparency=1)) == 255).all()
    assert (decode_image(encoded(palette)) == 90).all()


def test_decode_takes_the_high_byte_of_16_bits():
    deep = Image.fromarray(np.full((3, 3), 0x80FF, dtype=np.uint16))
    assert (decode_image(encoded(deep)) == 0x80).all()


def test_decode_takes_the_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    animation = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(animation)[0, 0].tolist() == [255, 0, 0]


def test_decode_applies_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.new("RGB", (40, 20), "black")
    lying.paste("white", (0, 0, 40, 4))
    data = encoded(lying, "JPEG", exif=exif, quality=95)
    seen = decode_image(data)
    assert seen.shape == (40, 20, 3)
    assert seen[:, -2:].mean() > 200 > 50 > seen[:, :10].mean()
    assert pixels(rows_of([data])).sizes.tolist() == [[20, 40]]


def test_decode_keeps_a_picture_with_broken_exif():
    data = encoded(photo(0), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode_image(data).shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "null"),
        (b"", "0 bytes"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image .*<svg"),
        (encoded(photo(1), "JPEG")[:900], r"(?i)truncated.*\(900 bytes\)"),
        (encoded(photo(1))[:900], r"truncated \(900 bytes\)"),
        (encoded(photo(1), "EPS"), "not an image"),
    ],
)
def test_decode_says_what_is_wrong(data: bytes | None, said: str):
    with pytest.raises(ValueError, match=said):
        decode_image(data)


def test_decode_refuses_a_bomb_before_unpacking_it():
    side = int(MOST_PIXELS**0.5) + 1
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    bomb += struct.pack(">II", zlib.crc32(chunk), 0) + b"IDAT\x35\xaf\x06\x1e"

    with pytest.raises(ValueError, match="pixels are more than"):
        decode_image(bomb)


def test_pixels_are_shrunk_and_know_their_size():
    view = pixels(rows_of([encoded(photo(0, 1000, 500), "JPEG"), encoded(photo(1))]))
    assert view[0].shape == (SIDE // 2, SIDE, 3)
    assert view[1].shape == (40, 60, 3)
    assert view.sizes.tolist() == [[1000, 500], [60, 40]]


def test_pixels_survive_a_filter_without_decoding_again():
    rows = rows_of([encoded(photo(n)) for n in range(3)])
    before = pixels(rows)
    after = pixels(rows.filter(np.array([False, True, True])))
    assert len(after) == 2
    assert after[0] is before[1]
    assert after.sizes.shape == (2, 2)


def test_features_are_unit_vectors_that_do_not_depend_on_the_batch():
    pictures = [np.asarray(photo(n, 20 + n, 30)) for n in range(40)]
    pictures.append(np.full((9, 9, 3), 128, dtype=np.uint8))
    together = image_features(pictures)
    assert together.shape == (41, 256)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert (np.vstack([image_features([picture]) for picture in pictures]) == together).all()
    assert image_features([]).shape == (0, 256)


def test_features_tell_digits_apart():
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    grey = (digits.images * 15.9).astype(np.uint8)
    pictures = list(np.repeat(grey[..., None], 3, axis=3))
    vectors = image_features(pictures)
    known, asked = vectors[:1200], vectors[1200:]
    nearest = np.argmax(asked @ known.T, axis=1)
    assert (digits.target[:1200][nearest] == digits.target[1200:]).mean() > 0.93
