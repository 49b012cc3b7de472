"""Datasets of the Hugging Face hub."""

from typing import Any, Literal

from pydantic import Field

from pipelines import listings
from pipelines.errors import UserError
from pipelines.readers.formats.arrow import ArrowFiles


class HuggingFace(ArrowFiles):
    """A dataset of the hub, by way of `datasets` (extra `prove`) and its local cache.

    The cache's Arrow files are read like any others, so workers need to see the same disk.
    """

    format: Literal["huggingface"] = "huggingface"
    """Hugging Face hub."""
    path: str = Field(min_length=1)
    """Name of the dataset on the hub, `owner/name`."""
    split: str = Field(default="train", pattern=r"^[^\[\]+%]+$")
    """Split to read, whole."""
    config: str | None = None
    """Configuration of the dataset, where it has several."""
    revision: str | None = None
    """Branch, tag or commit; name one for results that last."""

    def packages(self) -> tuple[str | None, tuple[str, ...]]:
        """Return the extra that brings `datasets`."""
        return "prove", ("datasets",)

    def look(self) -> listings.Listing:
        """Fetch the dataset if need be and list the files of its split in the cache."""
        import datasets

        try:
            dataset: Any = datasets.load_dataset(
                self.path, self.config, split=self.split, revision=self.revision
            )
        except (ConnectionError, FileNotFoundError, ValueError) as error:
            raise UserError(self._not_fetched(error)) from error
        return listings.look([entry["filename"] for entry in dataset.cache_files])

    def _not_fetched(self, error: Exception) -> str:
        """Say why there is no dataset, and what to do."""
        import datasets

        said = f"read: dataset {self.path!r}, split {self.split!r}: {' '.join(str(error).split())}"
        if not isinstance(error, ConnectionError):
            return f"{said}; look up `path`, `config`, `split` and `revision` on huggingface.co"
        offline = "HF_HUB_OFFLINE is set: unset it, or " if datasets.config.HF_HUB_OFFLINE else ""
        return (
            f"{said}. It is not in the cache ({datasets.config.HF_DATASETS_CACHE}) and the hub "
            f"cannot be reached from here. {offline}fetch it where there is a network (hf download "
            f"--repo-type dataset {self.path} --local-dir data) and read the folder: "
            "`read: {format: parquet, path: data}`"
        )
