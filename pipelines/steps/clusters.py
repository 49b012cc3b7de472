"""Clusters of duplicates: edges → components → one kept row each, and how like it the others are.

The last rounds of every dedup by similar pairs. A step posts the edges it found and the rows at
their ends with `Clusters.post`, in any round; the rounds of `Clusters.rounds` do the rest:

1. All edges and rows meet in one place, some 200 bytes a duplicate; from SPREAD_FROM shards on
   they stay in partitions (`pipelines.steps.star_rounds`), and a cluster meets in one place.
2. Of each component one row is kept. Where the similarity of another to it is known, that is the
   verdict; where they never met as candidates, the homes of both are asked for evidence.
3. The homes answer.
4. What was unknown is measured; these are the other verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.components import Int64, components
from pipelines.keepers import ROW_ID, keeper_order, of_earlier_run
from pipelines.keys import Keys
from pipelines.mail import Mail, Message, Round, home, home_number, message, scatter
from pipelines.rows import HOME, KEY, whole
from pipelines.steps.corpus import WHOLE, Site, send_home, verdict_table
from pipelines.steps.star_rounds import post_to_partitions, star_rounds
from pipelines.tokens import mix

Similarities = npt.NDArray[np.float64]

SPREAD_FROM = 256
"""Shards from which on clusters are made in many places."""
EVIDENCE = "evidence"
"""Column from which similarity is computed."""
_FEWEST = 16


@dataclass(frozen=True)
class Clusters:
    """How the clusters of one step are made and measured."""

    site: Site
    op: str
    reason: str
    """Why the rows that are not kept are dropped."""
    threshold: float
    """The similarity that makes an edge."""
    held: Callable[[int, Keys], pa.Table]
    """Returns rows of a shard by their keys, which ascend: `_key`, `evidence` and others."""
    similarities: Callable[[pa.Array, Int64, Int64], Similarities]
    """Returns the similarity of pairs of positions in a column of evidence."""

    @property
    def spread(self) -> bool:
        """Whether clusters are made in many places."""
        return self.site.shards >= SPREAD_FROM

    def post(self, edges: pa.Table, nodes: pa.Table) -> Iterator[Message]:
        """Post similar pairs and the rows at their ends.

        Args:
            edges: columns `a`, `b` (keys) and `similarity`, NaN where two rows belong together
                through others; may repeat. Each row has one with a similarity.
            nodes: columns NODE of all rows of the edges; may repeat.
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
        dropped = decided(mail["edge"], mail["node"])
        known = pc.is_finite(dropped["value"])
        yield from self._send(dropped.filter(known))
        unknown = dropped.filter(pc.invert(known))
        # By the row, not by the keeper: of a large cluster each partition has a part.
        to = mix(unknown[KEY].to_numpy().astype(np.uint64)) % np.uint64(
            max(_FEWEST, self.site.shards // 8)
        )
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
        return send_home(
            verdicts_on(dropped, self.reason, self.threshold), dropped[HOME].to_numpy()
        )


def ask(keys: Keys, homes: Int64, reply: str) -> Iterator[Message]:
    """Ask the homes of some rows for their evidence, each row once."""
    keys, at = np.unique(keys, return_index=True)
    wanted = pa.table({KEY: keys, "reply": pa.repeat(reply, len(keys))})
    for where, part in scatter(wanted, homes[at], home):
        yield message(where, "wanted", part)


def answer(wanted: pa.Table, held: Callable[[Keys], pa.Table]) -> Iterator[Message]:
    """Send what is held of the wanted rows of one shard to those who asked."""
    found = held(np.unique(wanted[KEY].to_numpy()))
    keys = found[KEY].to_numpy()
    order = np.argsort(keys, kind="stable")
    replies = whole(wanted["reply"]).dictionary_encode()
    for reply, asked in scatter(
        wanted, replies.indices.to_numpy(), lambda i: replies.dictionary[i].as_py()
    ):
        at = order[np.searchsorted(keys, asked[KEY].to_numpy(), sorter=order)]
        yield message(reply, EVIDENCE, found.take(pa.array(at)))


@dataclass(frozen=True)
class _Graph:
    """Rows by key, the edges between them by position, and the best row of each component."""

    nodes: pa.Table
    a: Int64
    b: Int64
    similarity: Similarities
    best: Int64
    """Position of the row that would be kept of the component of each."""
    rank: Int64
    """Place of each row in the order of components and of who would be kept."""


def _graph(edges: pa.Table, nodes: pa.Table) -> _Graph:
    keys, unique_at = np.unique(nodes[KEY].to_numpy(), return_index=True)
    nodes = nodes.take(pa.array(unique_at))
    a = np.searchsorted(keys, edges["a"].to_numpy())
    b = np.searchsorted(keys, edges["b"].to_numpy())
    groups = components(a, b, len(keys))
    order = keeper_order(groups, nodes)
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = groups[order][1:] != groups[order][:-1]
    best, rank = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    best[order] = order[np.flatnonzero(first)[np.cumsum(first) - 1]]
    rank[order] = np.arange(len(order))
    return _Graph(nodes, a, b, edges["similarity"].to_numpy(), best, rank)


def thinned(edges: pa.Table, nodes: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return at most two edges a row: to the best row of its component and to its closest.

    They have the same components, and all evidence that a verdict on more of the corpus can need:
    a row that is kept of all is the best of its component wherever it is found. Nodes come once.
    """
    graph = _graph(edges, nodes)
    to_best, closest, similarity = _evidence_of(graph)
    row = np.flatnonzero(graph.best != np.arange(len(graph.best)))
    near = np.flatnonzero(closest != graph.best)
    near = near[closest[near] != near]
    keys = graph.nodes[KEY].to_numpy()
    kept = pa.table(
        {
            "a": keys[np.concatenate([row, near])],
            "b": keys[np.concatenate([graph.best[row], closest[near]])],
            "similarity": np.concatenate([to_best[row], similarity[near]]),
        }
    )
    return kept, graph.nodes


def decided(edges: pa.Table, nodes: pa.Table) -> pa.Table:
    """Return what there is to say of each row that is not kept of its component.

    Rows of earlier runs, whose homes are negative, are never dropped.

    Returns:
        columns `_key`, `_home`; `keeper`, `keeper_home` and `other`, the key, home and id of the
        kept row; `value`, the similarity to it, NaN where it was not measured; `through` and
        `closest`, id of and similarity to the closest row it was compared with.
    """
    graph = _graph(edges, nodes)
    to_best, closest, similarity = _evidence_of(graph)
    keys, homes = graph.nodes[KEY].to_numpy(), graph.nodes[HOME].to_numpy()
    dropped = np.flatnonzero((graph.best != np.arange(len(keys))) & (homes >= 0))
    keeper, ids = graph.best[dropped], whole(graph.nodes[ROW_ID])
    return pa.table(
        {
            KEY: keys[dropped],
            HOME: homes[dropped],
            "keeper": keys[keeper],
            "keeper_home": homes[keeper],
            "other": ids.take(pa.array(keeper)),
            "value": to_best[dropped],
            "through": ids.take(pa.array(closest[dropped])),
            "closest": similarity[dropped],
        }
    )


def verdicts_on(dropped: pa.Table, reason: str, threshold: float) -> pa.Table:
    """Return the verdicts on rows as `decided` returns them, all similarities known.

    Where the similarity to the kept row is below the threshold, the detail names what links them;
    else it tells where the kept row is of an earlier run.
    """
    value, keeper = dropped["value"].to_numpy(), dropped["keeper"].to_numpy()
    through = zip(dropped["through"].to_pylist(), dropped["closest"].to_pylist(), strict=True)
    linked = [f"linked through {name} ({closest:.2f})" for name, closest in through]
    direct = pa.array(value >= threshold)
    return verdict_table(
        dropped[KEY].to_numpy(),
        reason,
        value=value,
        threshold=threshold,
        other=whole(dropped["other"]),
        detail=pc.if_else(direct, of_earlier_run(keeper), pa.array(linked, pa.string())),
    )


def _evidence_of(graph: _Graph) -> tuple[Similarities, Int64, Similarities]:
    """Return the similarity of each row to the best of its component, and its closest.

    Returns:
        the similarity to the best, NaN where it was not measured; the position of the closest
        neighbour (of those equally close the one of the smallest rank); the similarity to that.
    """
    measured = ~np.isnan(graph.similarity)
    a, b, similarity = graph.a[measured], graph.b[measured], graph.similarity[measured]
    here, there = np.concatenate([a, b]), np.concatenate([b, a])
    both = np.concatenate([similarity, similarity])
    to_best = np.full(len(graph.best), np.nan)
    direct = graph.best[here] == there
    to_best[here[direct]] = both[direct]
    order = np.lexsort((graph.rank[there], -both, here))
    firsts = order[np.unique(here[order], return_index=True)[1]]
    closest, nearest = np.arange(len(graph.best)), np.ones(len(graph.best))
    closest[here[firsts]], nearest[here[firsts]] = there[firsts], both[firsts]
    return to_best, closest, nearest
