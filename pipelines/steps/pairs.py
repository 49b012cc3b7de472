"""The shape of every dedup by similar pairs: bands → candidates → evidence → edges → clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.keepers import NODE, credentials
from pipelines.mail import Mail, Message, Round, home, home_number, message, note, scatter
from pipelines.minhash import Ranks, bucket_pairs
from pipelines.rows import HOME, KEY, Mask, Rows, whole
from pipelines.steps.clusters import verdicts_of_edges
from pipelines.steps.corpus import WHOLE, Corpus, Site
from pipelines.steps.step import Chance
from pipelines.tokens import UInt64, hash_strings, mix

Positions = npt.NDArray[np.int64]
Similarities = npt.NDArray[np.float64]

BUCKET = 64
"""Rows of a bucket up to which all its pairs are candidates."""
_FEWEST = 16
_BITS, _SHIFT = np.uint64(16), np.uint64(48)


class PairDedup(Corpus):
    """A dedup that compares only rows which share a band, and those exactly."""

    reason: ClassVar[str] = "near_duplicate"
    one_place: ClassVar[bool] = False
    """Whether a band must meet as a whole, not only rows of equal hash."""

    similarity: float
    """Smallest similarity of two duplicates."""
    prefer: str | None = None
    """Numeric column of which the row with the highest value is kept."""

    def bands(self, rows: Rows, chance: Chance) -> tuple[UInt64, Mask]:
        """Return band hashes, uint64 (rows, bands), and a mask of the rows that can match."""
        raise NotImplementedError

    def evidence(self, rows: Rows) -> pa.Array:
        """Return what similarity is computed from, one value a row."""
        raise NotImplementedError

    def similarities(self, evidence: pa.Array, left: Positions, right: Positions) -> Similarities:
        """Return the similarity, in [0, 1], of the pairs (left, right) of positions."""
        raise NotImplementedError

    def candidates(self, hashes: UInt64, ranks: Ranks) -> tuple[Positions, Positions, int]:
        """Return pairs of positions worth verifying within one band, and the buckets capped."""
        return bucket_pairs(hashes, ranks, BUCKET)

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key, band hashes and rank of the rows that can match.

        The rank orders a bucket too large for all its pairs: rows of equal bands side by side, then
        by id, so that it does not depend on where a row stands.
        """
        hashes, able = self.bands(rows, chance)
        content = mix(np.bitwise_xor.reduce(hashes, axis=1))
        ranks = (content >> _SHIFT << _BITS | hash_strings(rows.ids) >> _SHIFT).astype(np.uint32)
        flat = pa.array(hashes[able].ravel())
        return pa.table(
            {
                KEY: rows.keys[able],
                "rank": ranks[able],
                "bands": pa.FixedSizeListArray.from_arrays(flat, hashes.shape[1]),
            }
        )

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post each band to where equal hashes meet; large corpora split a band by hash."""
        if not len(signed):
            return
        bands = whole(signed["bands"])
        hashes = bands.flatten().to_numpy().reshape(len(signed), bands.type.list_size)
        partitions = np.uint64(1 if self.one_place else max(1, shards // 16))
        for band in range(hashes.shape[1]):
            of_band = hashes[:, band].copy()
            table = pa.table(
                {
                    KEY: signed[KEY],
                    HOME: pa.repeat(np.int64(number), len(signed)),
                    "rank": signed["rank"],
                    "hash": of_band,
                }
            )
            for address, part in scatter(table, of_band % partitions, f"band:{band}:{{}}".format):
                yield message(address, "band", part)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the five rounds from bands to verdicts."""
        partitions = max(_FEWEST, site.shards // 8)

        def pair(address: str, mail: Mail) -> Iterator[Message]:
            return self._pair(mail["band"], partitions)

        def answer(address: str, mail: Mail) -> Iterator[Message]:
            return self._answer(site, address, mail["wanted"])

        return (
            Round(("band",), pair),
            Round(("pair",), self._ask),
            Round(("wanted",), answer),
            Round(("candidate", "evidence"), self._verify),
            Round(("edge", "node"), self._cluster),
        )

    def _pair(self, band: pa.Table, partitions: int) -> Iterator[Message]:
        """Pair the rows that share a bucket."""
        keys, homes = band[KEY].to_numpy(), band[HOME].to_numpy()
        ranks = (keys, band["rank"].to_numpy())
        left, right, capped = self.candidates(band["hash"].to_numpy(), ranks)
        if capped:
            what = f"buckets of more than {BUCKET} rows linked as chain and star"
            yield note(self.op, what, capped)
        swap = keys[left] > keys[right]
        a, b = np.where(swap, right, left), np.where(swap, left, right)
        pairs = pa.table({"a": keys[a], "home_a": homes[a], "b": keys[b], "home_b": homes[b]})
        # The partition of a pair depends on its first key alone, so that repeats meet.
        to = mix(keys[a].astype(np.uint64)) % np.uint64(partitions)
        for address, part in scatter(pairs, to, "pair:{}".format):
            yield message(address, "pair", part)

    def _ask(self, address: str, mail: Mail) -> Iterator[Message]:
        """Keep each pair once and ask the homes of its rows for evidence."""
        pairs = mail["pair"]
        a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
        order = np.lexsort((b, a))
        new = np.ones(len(order), dtype=np.bool_)
        new[1:] = (np.diff(a[order]) != 0) | (np.diff(b[order]) != 0)
        pairs = pairs.take(pa.array(order[new]))
        yield message(address, "candidate", pairs.select(["a", "b"]))
        keys = np.concatenate([pairs["a"].to_numpy(), pairs["b"].to_numpy()])
        homes = np.concatenate([pairs["home_a"].to_numpy(), pairs["home_b"].to_numpy()])
        keys, at = np.unique(keys, return_index=True)
        wanted = pa.table({KEY: keys, "reply": pa.repeat(address, len(keys))})
        for where, part in scatter(wanted, homes[at], home):
            yield message(where, "wanted", part)

    def _answer(self, site: Site, address: str, wanted: pa.Table) -> Iterator[Message]:
        """Send the evidence of the wanted rows of one shard to those who asked."""
        number = home_number(address)
        parts = [
            pa.table(
                {
                    KEY: rows.keys,
                    HOME: pa.repeat(np.int64(number), len(rows)),
                    **credentials(rows, self.prefer),
                    "evidence": self.evidence(rows),
                }
            )
            for rows in site.rows(number, np.unique(wanted[KEY].to_numpy()))
        ]
        found = pa.concat_tables(parts)
        keys = found[KEY].to_numpy()
        order = np.argsort(keys, kind="stable")
        replies = whole(wanted["reply"]).dictionary_encode()
        for reply, asked in scatter(
            wanted, replies.indices.to_numpy(), lambda i: replies.dictionary[i].as_py()
        ):
            at = order[np.searchsorted(keys, asked[KEY].to_numpy(), sorter=order)]
            yield message(reply, "evidence", found.take(pa.array(at)))

    def _verify(self, address: str, mail: Mail) -> Iterator[Message]:
        """Measure each candidate pair; those similar enough become edges."""
        evidence = mail["evidence"].sort_by(KEY)
        keys = evidence[KEY].to_numpy()
        left = np.searchsorted(keys, mail["candidate"]["a"].to_numpy())
        right = np.searchsorted(keys, mail["candidate"]["b"].to_numpy())
        similarity = self.similarities(whole(evidence["evidence"]), left, right)
        similar = similarity >= self.similarity
        if not similar.any():
            return
        left, right = left[similar], right[similar]
        edges = pa.table({"a": keys[left], "b": keys[right], "similarity": similarity[similar]})
        yield message(WHOLE, "edge", edges)
        members = np.unique(np.concatenate([left, right]))
        yield message(WHOLE, "node", evidence.select(NODE).take(pa.array(members)))

    def _cluster(self, address: str, mail: Mail) -> Iterator[Message]:
        """Keep one row of each cluster."""
        return verdicts_of_edges(mail["edge"], mail["node"], self.reason, self.similarity)
