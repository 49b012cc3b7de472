"""Near-duplicate images by cleanvision: its `exact_duplicates` and `near_duplicates` issues.

    python images_cleanvision.py FOLDER OUTPUT.txt

One process, its own settings (equal 8x8 perceptual hashes). Of each set the first file is kept.
"""

import sys
from pathlib import Path

from cleanvision import Imagelab

if __name__ == "__main__":
    lab = Imagelab(data_path=sys.argv[1], verbose=False)
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1, verbose=False)
    remove: set[str] = set()
    for issue in ("exact_duplicates", "near_duplicates"):
        for files in lab.info[issue]["sets"]:
            names = sorted(Path(file).name for file in files)
            remove.update(names[1:])
    names = {file.name for file in Path(sys.argv[1]).iterdir()} - remove
    Path(sys.argv[2]).write_text("".join(f"{name}\n" for name in sorted(names)))
