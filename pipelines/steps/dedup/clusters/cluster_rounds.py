"""Clusters of duplicates: edges → components → one kept row each, and its similarity to the others.

The last rounds of every dedup by similar pairs. A step posts the edges it found and the rows at
their ends with `Clusters.post`, in any round; the rounds of `Clusters.rounds` do the rest:

1. All edges and rows meet in one place, about 200 bytes per duplicate; from SPREAD_FROM shards on
   they stay in partitions (`star_rounds`), and only those of one cluster meet in one place.
2. One row of each component is kept. The others are dropped. Where the similarity of a dropped row
   to the kept one is known, its verdict is posted; where the two never met as candidates, the homes
   of both are asked for evidence.
3. The homes answer.
4. The unknown similarities are measured, and the other verdicts are posted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.exchange.mail import Mail, Message, Round, home_number, message, scatter
from pipelines.maths.arrays import Floats, Int64, Keys, mix
from pipelines.rows import HOME, KEY, whole
from pipelines.steps.corpus import WHOLE, Site, send_home
from pipelines.steps.dedup.clusters.conflicts import Conflicts, note_conflicts, with_conflicts
from pipelines.steps.dedup.clusters.duplicates import decide_clusters, thinned, verdicts_on
from pipelines.steps.dedup.clusters.settled import conflicts_among, settle_dropped
from pipelines.steps.dedup.clusters.star_rounds import post_to_partitions, star_rounds
from pipelines.steps.evidence import EVIDENCE, answer, ask

SPREAD_FROM = 256
"""Shards from which on clusters are made in many places."""


@dataclass(frozen=True)
class Clusters:
    """How one step makes clusters and measures the similarity within them."""

    site: Site
    op: str
    reason: str
    """Why the rows that are not kept are dropped."""
    threshold: float
    """The similarity that makes an edge."""
    held: Callable[[int, Keys], pa.Table]
    """Return rows of a shard by their ascending keys: `_key`, `evidence` and other columns."""
    similarities: Callable[[pa.Array, Int64, Int64], Floats]
    """Return the similarity of pairs of positions in a column of evidence."""
    conflicts: Conflicts = "keep"
    """What is done about duplicates of different labels."""

    @property
    def spread(self) -> bool:
        """Whether clusters are made in many places."""
        return self.site.shards >= SPREAD_FROM

    def post(self, edges: pa.Table, nodes: pa.Table) -> Iterator[Message]:
        """Post similar pairs and the rows at their ends.

        Args:
            edges: columns `a`, `b` (keys) and `similarity`, NaN where two rows belong together
                through others; may repeat. Each row has at least one with a similarity.
            nodes: `node_columns` of all rows of the edges; may repeat.
        """
        if not len(edges):
            return
        edges, nodes = thinned(edges, nodes)
        if self.spread:
            yield from post_to_partitions(edges, nodes, self.site)
        else:
            yield message(WHOLE, "edge", edges)
            yield message(WHOLE, "node", nodes)

    def rounds(self) -> tuple[Round, ...]:
        """Return the rounds from edges to verdicts; they take mail of kinds `edge` and `node`."""
        return (
            *(star_rounds(self.site, self.op) if self.spread else ()),
            Round(("edge", "node"), self._decide),
            Round(("wanted",), self._answer),
            Round(("unmeasured", EVIDENCE), self._measure),
        )

    def _decide(self, address: str, mail: Mail) -> Iterator[Message]:
        """Post the verdicts that are known, and ask for evidence of the others."""
        edges, nodes = mail["edge"], mail["node"]
        dropped = settle_dropped(decide_clusters(edges, nodes), edges, nodes, self.conflicts)
        count = int(conflicts_among(dropped)[1].sum())
        yield from note_conflicts(self.site.chance.step, self.op, count, self.conflicts)
        known = pc.is_finite(dropped["value"])
        yield from self._send(dropped.filter(known))
        unknown = dropped.filter(pc.invert(known))
        # By the dropped row, not by the kept one: a large cluster is shared among partitions.
        hashes = mix(unknown[KEY].to_numpy().astype(np.uint64))
        to = hashes % np.uint64(self.site.partitions)
        for reply, part in scatter(unknown, to, "unmeasured:{}".format):
            yield message(reply, "unmeasured", part)
            keys = np.concatenate([part[KEY].to_numpy(), part["keeper"].to_numpy()])
            homes = np.concatenate([part[HOME].to_numpy(), part["keeper_home"].to_numpy()])
            yield from ask(keys, homes, reply)

    def _answer(self, address: str, mail: Mail) -> Iterator[Message]:
        return answer(mail["wanted"], lambda keys: self._evidence(home_number(address), keys))

    def _evidence(self, number: int, keys: Keys) -> pa.Table:
        return self.held(number, keys).select([KEY, EVIDENCE])

    def _measure(self, address: str, mail: Mail) -> Iterator[Message]:
        """Post verdicts with the similarity to the kept row, wherever that was unknown."""
        dropped, evidence = mail["unmeasured"], mail[EVIDENCE].sort_by(KEY)
        keys = evidence[KEY].to_numpy()
        left = np.searchsorted(keys, dropped[KEY].to_numpy())
        right = np.searchsorted(keys, dropped["keeper"].to_numpy())
        value = self.similarities(whole(evidence[EVIDENCE]), left, right)
        at = dropped.column_names.index("value")
        return self._send(dropped.set_column(at, "value", pa.array(value)))

    def _send(self, dropped: pa.Table) -> Iterator[Message]:
        verdicts = verdicts_on(dropped, self.reason, self.threshold)
        return send_home(
            with_conflicts(verdicts, *conflicts_among(dropped)), dropped[HOME].to_numpy()
        )
