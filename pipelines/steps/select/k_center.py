"""Keep rows that cover the space of all rows: greedy k-center over composable core-sets."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from pipelines.errors import UserError
from pipelines.exchange.mail import (
    Mail,
    Message,
    Round,
    home,
    home_number,
    measure,
    message,
    scatter,
)
from pipelines.maths.arrays import utf8_bytes
from pipelines.maths.vectors.centers import nearest_centers
from pipelines.maths.vectors.farthest_first import farthest_first, plan_parts
from pipelines.rows import HOME, KEY, whole
from pipelines.steps.corpus import WHOLE, Site, send_home, verdict_table
from pipelines.steps.vectors.nonzero_vectors import NonZeroVectors
from pipelines.steps.vectors.vector_columns import vector_column, vector_matrix

_PLACES = 6


class KCenter(NonZeroVectors):
    """Keep the rows that cover the space best: each dropped row is near a kept one.

    Farthest-first traversal (greedy k-center: Gonzalez 1985; as a core-set for training: Sener &
    Savarese 2018, https://arxiv.org/abs/1708.00489): it starts with a row chosen by a seeded hash
    of its id, then always takes the row farthest from those chosen. The radius, the largest
    distance of a dropped row to its nearest kept row, is at most twice the smallest possible. Above
    20,000 rows, each of several parts of the corpus, cut by hash of the id, chooses rows, and the
    final ones are chosen among these: the radius is then at most four times the smallest possible
    (Malkomes et al. 2015, Fast distributed k-center clustering with outliers; core-sets of Indyk et
    al. 2014). Outliers are far from everything and are kept: remove junk first. Cost: about rows ·
    kept products of vectors twice, in sqrt(rows / kept) parts, and one shuffle of all vectors; to
    keep more than about 50,000 rows, `cluster_sample` covers the space at less cost. Measured:
    `radius`, `centers`, `parts`. Reasons: `covered`, with the Euclidean distance of the unit
    vectors, sqrt(2 - 2 · cosine), to the nearest kept row, and its id; `zero_vector`; `odd_vector`
    where the vector is shorter or longer than most.
    """

    op: Literal["k_center"] = "k_center"
    budgeted: ClassVar[bool] = True
    after_sign: ClassVar[tuple[str, ...]] = ("rows", "fraction")
    rows: int | None = Field(default=None, ge=1)
    """Rows to keep; fewer are kept only where fewer have a vector."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Share to keep of the rows that have a vector, at least one row."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.rows is None) == (self.fraction is None):
            raise UserError("give either `rows` or `fraction`")
        return self

    def sample_size(self, total: int) -> int:
        """Return 0: nothing is fitted to a sample."""
        return 0

    def wanted(self, total: int) -> int:
        """Return how many of `total` rows are kept."""
        if self.rows is not None:
            return min(self.rows, total)
        return min(max(1, round((self.fraction or 0) * total)), total)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds sizes → parts → centers of each → centers → verdicts → radius."""

        def unite(address: str, mail: Mail) -> Iterator[Message]:
            return self._unite(site, mail)

        def cover(address: str, mail: Mail) -> Iterator[Message]:
            return self._cover(site, home_number(address), mail["centers"])

        def tell(address: str, mail: Mail) -> Iterator[Message]:
            radius = max(mail["reach"]["radius"].to_pylist())
            yield measure(site.chance.step, radius=radius)

        return (
            *self.draw_rounds(site),
            Round(("member",), self._choose),
            Round(("plan", "candidate"), unite),
            Round(("centers",), cover),
            Round(("reach",), tell),
        )

    def in_words(self, measured: Mapping[str, float]) -> str:
        """Say how well the kept rows cover the others."""
        kept, radius = measured["centers"], measured["radius"]
        return f"kept {kept:,.0f} rows; no other is farther than {radius:.4g} from its nearest"

    def draw(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Send each vector of one shard to its part of the corpus."""
        yield from super().draw(site, number, told)
        dimensions, total = told["dimensions"][0].as_py(), told["total"][0].as_py()
        wanted = self.wanted(total)
        parts = np.uint64(plan_parts(total, wanted))
        for batch in site.rows(number):
            rows, vectors, verdicts = self.placed(batch, dimensions)
            yield from send_home(verdicts, np.full(len(verdicts), number))
            draw = site.chance.hashes(rows.ids)
            members = pa.table(
                {
                    KEY: rows.keys,
                    "draw": draw,
                    "id": rows.ids,
                    "wanted": pa.repeat(wanted, len(rows)),
                    "vector": vector_column(vectors),
                }
            )
            for address, part in scatter(members, draw % parts, "part:{}".format):
                yield message(address, "member", part)

    def _choose(self, address: str, mail: Mail) -> Iterator[Message]:
        """Post the centers of one part of the corpus."""
        members = mail["member"]
        yield message(WHOLE, "candidate", _centers(members, members["wanted"][0].as_py()))

    def _unite(self, site: Site, mail: Mail) -> Iterator[Message]:
        """Choose the centers of the corpus and store them where every shard can read them."""
        plan = mail["plan"]
        if "candidate" not in mail:
            return
        total = plan["total"][0].as_py()
        wanted = self.wanted(total)
        centers = _centers(mail["candidate"], wanted)
        ids, offsets = utf8_bytes(whole(centers["id"]))
        path = site.store(
            f"centers-{site.chance.step}.npz",
            keys=centers[KEY].to_numpy(),
            vectors=vector_matrix(centers["vector"]),
            ids=ids,
            offsets=offsets.astype(np.int32),
        )
        parts = plan_parts(total, wanted)
        yield measure(site.chance.step, centers=len(centers), parts=parts)
        told = pa.table({"path": [path], "dimensions": plan["dimensions"].slice(0, 1)})
        for number in plan[HOME].to_pylist():
            yield message(home(number), "centers", told)

    def _cover(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Drop the rows of one shard that are no centers."""
        centers = site.load(told["path"][0].as_py())
        data, offsets = pa.py_buffer(centers["ids"]), pa.py_buffer(centers["offsets"])
        names = pa.StringArray.from_buffers(len(centers["keys"]), offsets, data)
        radius = 0.0
        for batch in site.rows(number):
            rest = batch.filter(~np.isin(batch.keys, centers["keys"]))
            rows, vectors, _ = self.placed(rest, told["dimensions"][0].as_py())
            nearest, squared = nearest_centers(vectors, centers["vectors"])
            distance = np.round(np.sqrt(squared), _PLACES)
            radius = max(radius, distance.max(initial=0.0))
            verdicts = verdict_table(
                rows.keys, "covered", value=distance, other=names.take(pa.array(nearest))
            )
            yield from send_home(verdicts, np.full(len(verdicts), number))
        yield message(WHOLE, "reach", pa.table({"radius": [radius]}))


def _centers(members: pa.Table, wanted: int) -> pa.Table:
    """Return the rows that farthest-first traversal chooses, the first by draw."""
    members = members.sort_by([("draw", "ascending"), (KEY, "ascending")])
    return members.take(pa.array(farthest_first(vector_matrix(members["vector"]), wanted)))
