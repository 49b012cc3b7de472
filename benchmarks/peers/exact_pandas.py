"""Exact duplicates by pandas: `drop_duplicates` on the text.

python exact_pandas.py INPUT.parquet OUTPUT.txt
"""

import sys
from pathlib import Path

import pandas as pd

kept = pd.read_parquet(sys.argv[1], columns=["id", "text"]).drop_duplicates("text")
Path(sys.argv[2]).write_text("".join(f"{row_id}\n" for row_id in kept["id"]))
