"""The shape of every dedup by similar pairs: bands → candidates → evidence → edges → clusters."""

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.exchange.mail import Mail, Message, Round, home, home_number, message, note, scatter
from pipelines.maths.arrays import Floats, Grid, Int64, Keys, Mask, UInt64, hash_strings, mix
from pipelines.maths.graph.greedy import grid_of
from pipelines.maths.sets.minhash import SortKeys, bucket_pairs, chain_and_star
from pipelines.rows import HOME, KEY, Rows, whole
from pipelines.rows.chance import Chance
from pipelines.rows.keys import of_earlier_run
from pipelines.steps.corpus import Site
from pipelines.steps.dedup.against import Dedup
from pipelines.steps.dedup.clusters.cluster_rounds import Clusters, Link
from pipelines.steps.dedup.clusters.conflicts import node_columns, unlabelled
from pipelines.steps.evidence import EVIDENCE, answer, ask

Signatures = npt.NDArray[np.unsignedinteger]

BUCKET = 64
"""Most rows of a bucket of which all pairs are candidates."""
FINE_BUCKET = 16
"""The same for finer bands, of rows from larger buckets; a larger finer bucket has no pairs."""
_BITS, _SHIFT = np.uint64(16), np.uint64(48)


class PairDedup(Dedup):
    """A dedup that compares only rows that share a band, and these exactly."""

    reason: ClassVar[str] = "near_duplicate"
    after_sign: ClassVar[tuple[str, ...]] = (
        *("similarity", "link", "prefer", "order", "keep", "against", "conflicts"),
    )
    one_place: ClassVar[bool] = False
    """Whether all rows of a band must meet, not only those of equal hash."""
    refines: ClassVar[bool] = False
    """Whether rows of crowded buckets are banded again, by `fine_bands`."""

    similarity: float
    """Smallest similarity of two duplicates."""
    link: Link = "direct"
    """What makes a row a duplicate: `direct`, that it is similar to a row that is kept; `chain`,
    that similar rows lead from it to the kept row, one to the next."""

    @classmethod
    def lacks(cls) -> list[str]:
        """Return what `Corpus.lacks` does, and `fine_bands` where `refines` calls for them."""
        blank = cls.refines and cls.fine_bands is PairDedup.fine_bands
        return super().lacks() + ["fine_bands"] * blank

    @abstractmethod
    def signature(self, rows: Rows, chance: Chance) -> tuple[Signatures, Mask]:
        """Return signatures, shape (rows, length), and a mask of the rows that can match."""

    @abstractmethod
    def bands(self, signature: Signatures) -> UInt64:
        """Return the band hashes of signatures, shape (rows, bands)."""

    @abstractmethod
    def evidence(self, rows: Rows) -> pa.Array:
        """Return what similarity is computed from, one value per row."""

    @abstractmethod
    def similarities(self, evidence: pa.Array, left: Int64, right: Int64) -> Floats:
        """Return the similarity, in [0, 1], of the pairs (left, right) of positions."""

    def grid(self, evidence: pa.Array) -> Grid:
        """Prepare evidence for the similarities of many positions to many others."""
        return grid_of(partial(self.similarities, evidence))

    def fine_bands(self, evidence: pa.Array, chance: Chance) -> UInt64:
        """Return hashes of finer bands, shape (rows, bands), for rows of crowded buckets."""
        raise NotImplementedError

    def candidates(self, hashes: UInt64, ranks: SortKeys) -> tuple[Int64, Int64, list[Int64]]:
        """Return pairs of positions worth verifying within one band, and crowded buckets."""
        left, right, crowded = bucket_pairs(hashes, BUCKET)
        linked = [chain_and_star(bucket, ranks) for bucket in crowded]
        left = np.concatenate([left, *(pairs[0] for pairs in linked)])
        return left, np.concatenate([right, *(pairs[1] for pairs in linked)]), crowded

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key, rank and signature of the rows that can match."""
        signature, able = self.signature(rows, chance)
        keys, ids = pa.array(rows.keys[able]), rows.ids.filter(pa.array(able))
        return pa.table({KEY: keys, **signed_columns(ids, signature[able])})

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post each band to where equal hashes meet: in a large corpus, several places per band."""
        if not len(signed):
            return
        hashes = np.concatenate(
            [self.bands(signature_matrix(part)) for part in signed["signature"].chunks]
        )
        of = signed.select([KEY, "rank"]).append_column(HOME, pa.repeat(number, len(signed)))
        partitions = 1 if self.one_place else max(1, shards // 16)
        yield from _post_bands("band", of, hashes, partitions)

    def held(self, site: Site, number: int, keys: Keys) -> pa.Table:
        """Return key, home, keeper columns and evidence of the rows of a shard with these keys."""
        parts = [
            pa.table(
                {
                    KEY: rows.keys,
                    HOME: pa.repeat(np.int64(number), len(rows)),
                    **self.keeper_columns(rows),
                    EVIDENCE: self.evidence(rows),
                }
            )
            for rows in site.rows(number, keys)
        ]
        return unlabelled(pa.concat_tables(parts))

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds from bands to verdicts."""
        partitions = site.partitions

        def held(number: int, keys: Keys) -> pa.Table:
            return self.held(site, number, keys)

        clusters = Clusters(
            *(site, self.op, self.reason, self.similarity, held, self.similarities, self.grid),
            link=self.link,
            conflicts=self.conflicts,
        )

        def pair(address: str, mail: Mail) -> Iterator[Message]:
            return self._pair(mail["band"], partitions)

        def refine(address: str, mail: Mail) -> Iterator[Message]:
            return self._refine(site, home_number(address), mail["crowded"])

        def pair_finely(address: str, mail: Mail) -> Iterator[Message]:
            left, right, _ = bucket_pairs(mail["fine"]["hash"].to_numpy(), FINE_BUCKET)
            return _post_pairs(mail["fine"], left, right, partitions)

        def answer_all(address: str, mail: Mail) -> Iterator[Message]:
            return answer(mail["wanted"], lambda keys: held(home_number(address), keys))

        def verify(address: str, mail: Mail) -> Iterator[Message]:
            return self._verify(mail["candidate"], mail[EVIDENCE], clusters)

        finer = (Round(("crowded",), refine), Round(("fine",), pair_finely))
        return (
            Round(("band",), pair),
            *(finer if self.refines else ()),
            Round(("pair",), self._ask),
            Round(("wanted",), answer_all),
            Round(("candidate", EVIDENCE), verify),
            *clusters.rounds(),
        )

    def _pair(self, band: pa.Table, partitions: int) -> Iterator[Message]:
        """Pair the rows that share a bucket; send those of crowded buckets home to be refined."""
        ranks = (band[KEY].to_numpy(), band["rank"].to_numpy())
        left, right, crowded = self.candidates(band["hash"].to_numpy(), ranks)
        if crowded:
            what = f"buckets of more than {BUCKET} rows linked as chain and star"
            yield note(self.op, what, len(crowded))
        if crowded and self.refines:
            rows = band.select([KEY, HOME, "rank"]).take(pa.array(np.concatenate(crowded)))
            for address, part in scatter(rows, rows[HOME].to_numpy(), home):
                yield message(address, "crowded", part.select([KEY]))
        yield from _post_pairs(band, left, right, partitions)

    def _refine(self, site: Site, number: int, crowded: pa.Table) -> Iterator[Message]:
        """Post finer bands of the rows of one shard that stood in crowded buckets.

        Rows made from one template share the bands that lie in the template. What tells its true
        duplicates from the others is in few minima of the signature, so only short bands are shared
        by duplicates alone. For all rows these would be too many, for these rows they are few.
        """
        held = self.held(site, number, np.unique(crowded[KEY].to_numpy()))
        hashes = self.fine_bands(whole(held[EVIDENCE]), site.chance)
        yield from _post_bands("fine", held.select([KEY, HOME]), hashes, max(1, site.shards // 16))

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
        yield from ask(keys, homes, address)

    def _verify(
        self, candidates: pa.Table, evidence: pa.Table, clusters: Clusters
    ) -> Iterator[Message]:
        """Measure each candidate pair; those similar enough become edges."""
        evidence = evidence.sort_by(KEY)
        keys = evidence[KEY].to_numpy()
        left = np.searchsorted(keys, candidates["a"].to_numpy())
        right = np.searchsorted(keys, candidates["b"].to_numpy())
        similarity = self.similarities(whole(evidence[EVIDENCE]), left, right)
        similar = similarity >= self.similarity
        left, right = left[similar], right[similar]
        edges = pa.table({"a": keys[left], "b": keys[right], "similarity": similarity[similar]})
        members = pa.array(np.union1d(left, right))
        return clusters.post(edges, node_columns(evidence).take(members))


def signed_columns(ids: pa.Array, signature: Signatures) -> dict[str, pa.Array]:
    """Return rank and signature as columns.

    The rank orders a bucket too large for all its pairs: rows of equal signatures lie side by side,
    in the order of a hash of the id, so that it does not depend on where a row stands.
    """
    weights = mix(np.arange(1, signature.shape[1] + 1, dtype=np.uint64)) | np.uint64(1)
    content = mix(signature.astype(np.uint64) @ weights)
    ranks = (content >> _SHIFT << _BITS | hash_strings(ids) >> _SHIFT).astype(np.uint32)
    flat = pa.array(signature.ravel())
    column = pa.FixedSizeListArray.from_arrays(flat, signature.shape[1])
    return {"rank": pa.array(ranks), "signature": column}


def signature_matrix(signature: pa.Array) -> Signatures:
    """Return a column of signatures as an array, shape (rows, length)."""
    flat: Signatures = signature.flatten().to_numpy()
    return flat.reshape(len(signature), signature.type.list_size)


def _post_bands(kind: str, of: pa.Table, hashes: UInt64, partitions: int) -> Iterator[Message]:
    """Post each band of some rows, with the columns `of` them, to the partition of its hash."""
    for band in range(hashes.shape[1]):
        of_band = hashes[:, band].copy()
        table = of.append_column("hash", pa.array(of_band))
        to = of_band % np.uint64(partitions)
        for address, part in scatter(table, to, f"{kind}:{band}:{{}}".format):
            yield message(address, kind, part)


def _post_pairs(rows: pa.Table, left: Int64, right: Int64, partitions: int) -> Iterator[Message]:
    """Post pairs of positions by their first key, so that repeats meet.

    Pairs of two rows of earlier runs are left out: nothing is decided on them.
    """
    keys, homes = rows[KEY].to_numpy(), rows[HOME].to_numpy()
    decided = of_earlier_run(keys[left]) & of_earlier_run(keys[right])
    left, right = left[~decided], right[~decided]
    swap = keys[left] > keys[right]
    a, b = np.where(swap, right, left), np.where(swap, left, right)
    pairs = pa.table({"a": keys[a], "home_a": homes[a], "b": keys[b], "home_b": homes[b]})
    to = mix(keys[a].astype(np.uint64)) % np.uint64(partitions)
    for address, part in scatter(pairs, to, "pair:{}".format):
        yield message(address, "pair", part)
