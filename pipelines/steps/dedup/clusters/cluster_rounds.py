"""Clusters of duplicates: edges → components → one kept row each, and its similarity to the others.

The last rounds of every dedup by similar pairs. A step posts the edges it found and the rows at
their ends with `Clusters.post`, in any round; the rounds of `Clusters.rounds` do the rest:

1. All edges and rows meet in one place, about 200 bytes per duplicate; from SPREAD_FROM shards on
   they stay in partitions (`star_rounds`), and only those of one cluster meet in one place.
2. One row of each component is kept. The others are dropped. Where the similarity of a dropped row
   to the kept one is known, its verdict is posted; where the two never met as candidates, the homes
   of both are asked for evidence.
3. The homes answer.
4. The unknown similarities are measured, and the verdicts on rows that are similar enough are
   posted. The others are linked to the kept row through dropped ones alone; with `link: chain` they
   are dropped too.
5. Else those of one cluster meet, are compared with each other, and decided one after the other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.exchange.mail import Mail, Message, Round, home_number, message, note, scatter
from pipelines.maths.arrays import Floats, Grid, Int64, Keys, mix
from pipelines.maths.graph.greedy import Kept, keep_greedily
from pipelines.rows import HOME, KEY, whole
from pipelines.rows.keys import of_earlier_run
from pipelines.steps.corpus import WHOLE, Site, send_home
from pipelines.steps.dedup.clusters.conflicts import (
    LABEL,
    Conflicts,
    node_columns,
    note_conflicts,
    with_conflicts,
)
from pipelines.steps.dedup.clusters.duplicates import decide_clusters, thinned, verdicts_on
from pipelines.steps.dedup.clusters.keepers import ROW_ID, keeper_order
from pipelines.steps.dedup.clusters.settled import Judged, judge, with_keeper
from pipelines.steps.dedup.clusters.star_rounds import post_to_partitions, star_rounds
from pipelines.steps.evidence import EVIDENCE, answer, ask

Link = Literal["direct", "chain"]
"""What makes a row a duplicate: similarity to a row that is kept, or to any row of its cluster."""
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
    grid: Callable[[pa.Array], Grid]
    """Prepare a column of evidence for the similarities of many positions to many others."""
    link: Link = "direct"
    """Whether rows that are linked through others alone are dropped."""
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
            *([Round(("linked",), self._settle)] if self.link == "direct" else []),
            *([Round(("judged",), self._judge)] if self.conflicts != "keep" else []),
        )

    def _decide(self, address: str, mail: Mail) -> Iterator[Message]:
        """Post the verdicts that are known, and ask for evidence of the others."""
        dropped = decide_clusters(mail["edge"], mail["node"])
        if self.link == "chain":
            dropped = dropped.filter(dropped["ours"])
        known = pc.is_finite(dropped["value"])
        yield from self._send(dropped.filter(pc.and_(known, dropped["ours"])))
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
        dropped = dropped.sort_by(KEY)
        keys = evidence[KEY].to_numpy()
        left = np.searchsorted(keys, dropped[KEY].to_numpy())
        right = np.searchsorted(keys, dropped["keeper"].to_numpy())
        value = self.similarities(whole(evidence[EVIDENCE]), left, right)
        at = dropped.column_names.index("value")
        dropped = dropped.set_column(at, "value", pa.array(value))
        if self.link == "chain":
            yield from self._send(dropped)
            return
        similar = (value >= self.threshold) & dropped["ours"].to_numpy()
        yield from self._send(dropped.filter(pa.array(similar)))
        linked = node_columns(dropped).append_column("keeper", dropped["keeper"])
        linked = linked.append_column(EVIDENCE, evidence[EVIDENCE].take(pa.array(left)))
        linked = linked.filter(pa.array(~similar))
        hashes = mix(linked["keeper"].to_numpy().astype(np.uint64))
        to = hashes % np.uint64(self.site.partitions)
        for address, part in scatter(linked, to, "linked:{}".format):
            yield message(address, "linked", part)

    def _settle(self, address: str, mail: Mail) -> Iterator[Message]:
        """Decide on the rows of each cluster that are not similar to its best row."""
        linked = mail["linked"]
        groups = np.unique(linked["keeper"].to_numpy(), return_inverse=True)[1]
        order = keeper_order(groups, linked)
        linked, groups = linked.take(pa.array(order)).combine_chunks(), groups[order]
        bounds = np.flatnonzero(np.diff(groups, prepend=-1, append=-1))
        left_out = 0
        for start, stop in pairwise(bounds.tolist()):
            if stop - start > 1:
                rows = linked.slice(start, stop - start)
                kept = self._kept(rows)
                left_out += kept.left_out
                yield from self._send(_dropped(rows, kept))
        if left_out:
            yield note(self.op, "rows of large clusters kept without being compared", left_out)

    def _kept(self, rows: pa.Table) -> Kept:
        evidence = whole(rows[EVIDENCE])
        earlier = int(of_earlier_run(rows[HOME].to_numpy()).sum())
        return keep_greedily(
            len(rows),
            self.grid(evidence),
            self.threshold,
            fixed=earlier,
        )

    def _send(self, dropped: pa.Table) -> Iterator[Message]:
        """Post verdicts, or what decides them where labels may be in conflict."""
        if self.conflicts == "keep" or LABEL not in dropped.column_names:
            yield from self._verdicts(judge(dropped, "keep"))
            return
        hashes = mix(dropped["keeper"].to_numpy().astype(np.uint64))
        to = hashes % np.uint64(self.site.partitions)
        for address, part in scatter(dropped, to, "judged:{}".format):
            yield message(address, "judged", part)

    def _judge(self, address: str, mail: Mail) -> Iterator[Message]:
        """Settle the conflicts of labels among the rows that are dropped for one kept row."""
        yield from self._verdicts(judge(mail["judged"], self.conflicts))

    def _verdicts(self, judged: Judged) -> Iterator[Message]:
        count = int(judged.differs.sum())
        yield from note_conflicts(self.site.chance.step, self.op, count, self.conflicts)
        verdicts = verdicts_on(judged.dropped, self.reason, self.threshold)
        verdicts = with_conflicts(verdicts, judged.conflict, judged.differs)
        yield from send_home(verdicts, judged.dropped[HOME].to_numpy())


def _dropped(rows: pa.Table, kept: Kept) -> pa.Table:
    """Return what `verdicts_on` takes of the rows of a cluster that are dropped."""
    gone = np.flatnonzero(kept.keeper != np.arange(len(rows)))
    keepers, nodes = kept.keeper[gone], node_columns(rows)
    similarity = pa.array(kept.similarity[gone])
    other = nodes[ROW_ID].take(pa.array(keepers))
    more = {
        "keeper": nodes[KEY].take(pa.array(keepers)),
        "other": other,
        "value": similarity,
        "through": other,
        "closest": similarity,
    }
    dropped = nodes.take(pa.array(gone))
    for name, column in more.items():
        dropped = dropped.append_column(name, column)
    return with_keeper(dropped, nodes, keepers)
