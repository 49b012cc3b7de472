"""Near-duplicate images by imagededup: PHash, 10 bits or fewer apart (its default).

    python images_imagededup.py FOLDER OUTPUT.txt

One process; `find_duplicates_to_remove` decides what goes. imagededup imports torchvision, whose
wheel is built for CUDA and does not load its operators beside a CPU build of torch; the two
that its import insists on are declared here. Perceptual hashes use neither; importing both is in
the time, as in any installation.
"""

import sys
from pathlib import Path

import torch

operators = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from imagededup.methods import PHash  # noqa: E402

if __name__ == "__main__":
    remove = PHash().find_duplicates_to_remove(
        image_dir=sys.argv[1], num_enc_workers=0, num_dist_workers=0
    )
    names = {file.name for file in Path(sys.argv[1]).iterdir()} - set(remove)
    Path(sys.argv[2]).write_text("".join(f"{name}\n" for name in sorted(names)))
