"""What is computed in floats has the same bits as on an older processor.

`benchmarks/same_everywhere.py` runs whole recipes in more environments; it takes half an hour.
"""

import os
import subprocess
import sys

import pytest

COMPUTED = """
import numpy as np, pyarrow as pa, xxhash
from pipelines.maths.encoders.text_encoders import hashed_vectors
from pipelines.maths.images.pixels import image_features
from pipelines.maths.labels.folds import fit_folds, predict
from pipelines.maths.select.mixture import tempered_shares
from pipelines.maths.sets.importance import gumbel, log_ratios
from pipelines.maths.text.tokens import shingles, tokenize
from pipelines.maths.vectors.farthest_first import farthest_first
from pipelines.maths.vectors.spherical_kmeans import nearest_prototype, train_prototypes

draw = np.random.default_rng(0)
labels, folds = np.arange(900) % 5, draw.integers(0, 4, 900)
vectors = draw.random((900, 48)) - 0.5 + 0.3 * np.eye(5, 48)[labels]
vectors = (vectors / np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))).astype(np.float32)
prototypes = train_prototypes(vectors, 20, 0)
models = fit_folds(vectors, labels, folds, 4)
words = tokenize(pa.array([" ".join(map(str, row)) for row in draw.integers(0, 99, (200, 9))]))
found = {
    "gumbel": gumbel(draw.integers(0, 2**63, 9_999).astype(np.uint64)),
    "log_ratios": log_ratios(np.arange(999) % 97 + 1, np.arange(999) % 89 + 1),
    "tempered_shares": tempered_shares(np.arange(1, 999), 3.3),
    "hashed_vectors": hashed_vectors(words, shingles(words, 2), 64),
    "image_features": image_features(list(draw.integers(0, 256, (99, 40, 30, 3), np.uint8))),
    "probabilities": predict(models, vectors, folds),
    "prototypes": prototypes,
    "distances": nearest_prototype(vectors, prototypes)[1],
    "farthest_first": farthest_first(vectors, 50),
}
for name, value in found.items():
    print(name, xxhash.xxh3_64_hexdigest(np.ascontiguousarray(value).tobytes()))
"""

OLDER = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Prescott",
    "OPENBLAS_NUM_THREADS": "1",
    "FAISS_SIMD_LEVEL": "NONE",
    "ARROW_USER_SIMD_LEVEL": "NONE",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-FMA4",
}


@pytest.mark.filterwarnings("default")
def test_floats_are_those_of_an_older_processor() -> None:
    pytest.importorskip("faiss")
    pytest.importorskip("cv2")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", COMPUTED], env=os.environ | more, stdout=subprocess.PIPE
        )
        for more in ({}, OLDER)
    ]
    here, older = (process.communicate()[0].decode().splitlines() for process in running)
    assert len(here) == 9
    assert here == older
