"""Rows as Arrow batches: what they are, their keys, types, features and verdicts."""

from pipelines.rows.rows import (
    DEFAULT_SPLIT,
    HOME,
    ID,
    KEY,
    PARENT,
    SPLIT,
    Columns,
    MissingColumn,
    Rows,
    as_numbers,
    merged_columns,
    whole,
)

__all__ = [
    "DEFAULT_SPLIT",
    "HOME",
    "ID",
    "KEY",
    "PARENT",
    "SPLIT",
    "Columns",
    "MissingColumn",
    "Rows",
    "as_numbers",
    "merged_columns",
    "whole",
]
