"""How similar vectors are found: in cells, all with all, or by an index of FAISS."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from pydantic import Field, model_validator

from pipelines.errors import UserError
from pipelines.maths.arrays import Int64, Vectors
from pipelines.maths.vectors.join_cells import Search, join_cells
from pipelines.maths.vectors.join_faiss import IndexRefused, IndexSpec, join_nearest, make_index
from pipelines.maths.vectors.joins import Joined, join_copies, join_tiles
from pipelines.maths.vectors.unit_vectors import plan_cells
from pipelines.options import Options


class VectorSearch(Options):
    """The options of a search for similar vectors, and the search within one place."""

    similarity: float = Field(default=0.95, gt=0, le=1)
    """Smallest cosine similarity of two duplicates."""
    index: str = Field(default="auto", min_length=1)
    """`auto`: cells, as said above. `exact`: all with all, in one worker. Anything else is given to
    FAISS's `index_factory`, such as `IVF1024,Flat` or `HNSW32`: one index of the whole corpus in
    one worker, whose memory must hold rows · dimensions · 12 bytes and the index; the pairs that it
    proposes are verified exactly."""
    probes: int = Field(default=8, ge=1, le=64)
    """For `auto`: most cells in which a vector is compared; more find more pairs and cost more."""
    neighbours: int = Field(default=10, ge=1, le=2048)
    """For a FAISS index: number of closest rows to ask it for."""
    search: str | None = None
    """For a FAISS index: search parameters, such as `nprobe=16` or `efSearch=64`."""
    gpu: bool = False
    """For a FAISS index: put it on all GPUs; the result may then differ from run to run."""

    @model_validator(mode="after")
    def _options_are_of_the_index(self) -> Self:
        defaults = type(self).model_fields
        given = {name for name in defaults if getattr(self, name) != defaults[name].default}
        wrong = {"probes"} if self.faiss_index else {"neighbours", "search", "gpu"}
        for option in sorted(wrong & given):
            instead = "search: nprobe=16" if self.faiss_index else "index: IVF1024,Flat"
            raise UserError(
                f"`{option}` does nothing with index: {self.index}; leave it out or give, for "
                f"instance, {instead}"
            )
        return self

    @property
    def faiss_index(self) -> IndexSpec | None:
        """The FAISS index asked for, None without one."""
        if self.index in ("auto", "exact"):
            return None
        return IndexSpec(self.index, self.neighbours, self.search, self.gpu)

    def cells(self, total: int) -> int:
        """Return the number of cells for this many rows."""
        return plan_cells(total) if self.index == "auto" else 1

    def is_exact(self, total: int) -> bool:
        """Tell whether all rows are compared with all."""
        return self.faiss_index is None and self.cells(total) == 1

    def check_index(self, dimensions: int) -> None:
        """Refuse a FAISS index that cannot be made for vectors of this length, before the work.

        Raises:
            UserError: FAISS has no such index or parameter, or no GPU.
        """
        if self.faiss_index and dimensions:
            with _told():
                make_index(self.faiss_index, dimensions)

    def join(self, vectors: Vectors, cells: Int64, seed: int) -> Joined:
        """Join similar vectors: of one cell, of the whole corpus, or as an index proposes.

        Raises:
            UserError: FAISS cannot build the index from so few vectors.
        """
        spec, search = self.faiss_index, Search(self.similarity, self.probes, seed)

        def join(first: Int64) -> Joined:
            if spec:
                return join_nearest(vectors[first], self.similarity, spec, seed)
            if self.index == "exact":
                return join_tiles(vectors[first], self.similarity)
            return join_cells(vectors[first], cells[first], search)

        with _told():
            return join_copies(vectors, join)


@contextmanager
def _told() -> Iterator[None]:
    """Tell the user what FAISS refuses."""
    try:
        yield
    except IndexRefused as error:
        raise UserError(str(error)) from error
