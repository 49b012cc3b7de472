"""Formats of the output, one model per format; a package may bring its own by an entry point."""

from pipelines.options import registered
from pipelines.output.formats.arrow_stream import ArrowStream
from pipelines.output.formats.output_format import OutputFormat

GROUP = "curate.formats"
"""Entry-point group of formats that other packages bring."""
ARROW = "arrow"
"""Name of the format where a recipe names none."""
FORMATS: dict[str, type[OutputFormat]] = registered(OutputFormat, "format", (ArrowStream,), GROUP)
"""Formats of the output by name."""

__all__ = ["ARROW", "FORMATS", "GROUP", "OutputFormat"]
