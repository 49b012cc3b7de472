"""Clusters of a large corpus: components over many partitions, each decided in one of them.

Of what grows with the number of duplicates, only one thing meets in one place: the edges between
clusters that the turns of `maths.graph.stars` left apart, 16 bytes each; a note counts them. The
rows of one cluster meet in one place, about 100 bytes each. What the verdicts need of rows and
edges waits in files of the work folder and moves twice.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipelines.exchange.mail import Mail, Message, Round, message, note, open_mail, scatter
from pipelines.maths.arrays import Int64, mix
from pipelines.maths.graph.stars import Edges, contract, join_centres, large_star, small_star
from pipelines.rows import KEY
from pipelines.steps.corpus import WHOLE, Site

TURNS = 3
"""Turns of large-star and small-star; clusters of diameter 2 need only one."""
_NODE, _COMPONENT = "node:{}", "component:{}"


def post_to_partitions(edges: pa.Table, nodes: pa.Table, site: Site) -> Iterator[Message]:
    """Post edges (a, b, similarity) and nodes to the partitions of their keys."""
    a, b = _nodes(edges["a"]), _nodes(edges["b"])
    yield from _post(_NODE, "edge", edges, a, site)
    yield from _post(_NODE, "node", nodes, _nodes(nodes[KEY]), site)
    yield from _post_pairs("star", _both(a, b), site)


def star_rounds(site: Site, op: str) -> tuple[Round, ...]:
    """Return the rounds after which all edges and nodes of a component are at one address.

    They take what `post_to_partitions` posts and leave mail of kinds `edge` and `node`.
    """

    def gather(address: str, mail: Mail) -> Iterator[Message]:
        waiting = {
            kind: np.frombuffer(message("", kind, mail[kind])[1], np.uint8)
            for kind in ("edge", "node")
            if kind in mail
        }
        site.store(_file(site, address), **waiting)
        return large(address, mail)

    def large(address: str, mail: Mail) -> Iterator[Message]:
        return _post_pairs("star", large_star(*_pairs(mail["star"])), site)

    def small(address: str, mail: Mail) -> Iterator[Message]:
        return _post_pairs("star", _both(*small_star(*_pairs(mail["star"]))), site)

    def settle(address: str, mail: Mail) -> Iterator[Message]:
        done = contract(*_pairs(mail["star"]))
        if len(done.left):
            yield message(WHOLE, "centres", pa.table({"a": done.left, "b": done.right}))
        yield from _post_pairs("child", (done.parent, done.node), site)

    def join(address: str, mail: Mail) -> Iterator[Message]:
        left, right = _pairs(mail["centres"])
        yield note(op, "edges between clusters joined in one place", len(left))
        yield from _post_pairs("label", join_centres(left, right), site)

    def tell(address: str, mail: Mail) -> Iterator[Message]:
        return _tell(mail, site)

    def meet(address: str, mail: Mail) -> Iterator[Message]:
        return _meet(mail["member"], site, address)

    turns = [Round(("edge", "node", "star"), gather), Round(("star",), small)]
    turns += [Round(("star",), large), Round(("star",), small)] * (TURNS - 1)
    return (
        *turns,
        Round(("star",), settle),
        Round(("centres",), join),
        Round(("child", "label"), tell),
        Round(("member",), meet),
    )


def _tell(mail: Mail, site: Site) -> Iterator[Message]:
    """Tell the children of each centre the label of its component."""
    centre, child = _pairs(mail["child"])
    label = centre
    if "label" in mail:
        known, labels = _pairs(mail["label"])
        order = np.argsort(known)
        at = order[np.minimum(np.searchsorted(known, centre, sorter=order), len(known) - 1)]
        label = np.where(known[at] == centre, labels[at], centre)
    return _post_pairs("member", (child, label), site)


def _meet(member: pa.Table, site: Site, address: str) -> Iterator[Message]:
    """Send the nodes of a partition, and the edges that start there, to their components."""
    members, labels = _pairs(member)
    order = np.argsort(members)
    members, labels = members[order], labels[order]
    for kind, payload in site.load(f"{site.work}/{_file(site, address)}").items():
        table = open_mail([payload.tobytes()])[kind]
        node = _nodes(table[KEY if kind == "node" else "a"])
        label = labels[np.searchsorted(members, node)]
        yield from _post(_COMPONENT, kind, table, label, site)


def _nodes(keys: pa.ChunkedArray) -> Int64:
    """Return keys as nodes of a graph: scrambled one to one, so that their order means nothing."""
    return mix(keys.to_numpy().astype(np.uint64)).view(np.int64)


def _post(name: str, kind: str, table: pa.Table, node: Int64, site: Site) -> Iterator[Message]:
    """Post a table by the partitions of nodes."""
    partitions = np.uint64(site.partitions)
    for address, part in scatter(table, node.view(np.uint64) % partitions, name.format):
        yield message(address, kind, part)


def _post_pairs(kind: str, pairs: Edges, site: Site) -> Iterator[Message]:
    """Post pairs of nodes to the partition of the first."""
    return _post(_NODE, kind, pa.table({"a": pairs[0], "b": pairs[1]}), pairs[0], site)


def _pairs(table: pa.Table) -> Edges:
    return table["a"].to_numpy(), table["b"].to_numpy()


def _both(left: Int64, right: Int64) -> Edges:
    return np.concatenate([left, right]), np.concatenate([right, left])


def _file(site: Site, address: str) -> str:
    return f"clusters-{site.chance.step}-{address.replace(':', '-')}.npz"
