"""docs/scale.md says what the model and the code say."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import limits as told
from benchmarks.limits import Corpus, limits
from benchmarks.scale_paper import PAPER, PLOT, Prices, paper
from curate.plan.costs import load_costs
from pipelines.exchange.mail import message
from pipelines.rows import HOME, KEY
from pipelines.rows.chance import Chance
from pipelines.steps import NearDedup, corpus
from pipelines.steps.dedup import exact_dedup, line_dedup, substring_dedup
from pipelines.testing import rows_of

COSTS = load_costs()
CORPUS = Corpus(10e9, 2_000)


def test_document_is_up_to_date():
    said = "not up to date; run python -m benchmarks.scaling --paper"
    assert PAPER.read_text() == paper(COSTS), said


def test_plot_is_there():
    assert PLOT.read_text().startswith("<svg")


def test_other_prices_change_the_price_alone():
    cheap, dear = (paper(COSTS, prices=Prices(cpu_hour=price)) for price in (0.01, 1.0))
    assert cheap != dear
    assert cheap.split("## What breaks")[1] == dear.split("## What breaks")[1]


@pytest.mark.parametrize("limit", limits(COSTS), ids=lambda limit: limit.name)
def test_limit_is_met_where_it_is_said_to_be(limit):
    at = limit.reached_at(CORPUS)
    if at is not None:
        assert limit.measure(replace(CORPUS, rows=at)) == pytest.approx(limit.bound, rel=0.01)
        assert limit.measure(replace(CORPUS, rows=at / 2)) < limit.bound


def test_message_has_as_much_framing_as_told():
    columns = {KEY: np.zeros(1, np.int64), HOME: np.zeros(1, np.int64)}
    columns |= {"rank": np.zeros(1, np.uint32), "hash": np.zeros(1, np.uint64)}
    size = len(message("band:1:1", "band", pa.table(columns))[1])
    assert size - 28 == pytest.approx(told.MESSAGE_BYTES, rel=0.15)


def test_bands_have_as_many_partitions_as_told():
    step, partitions = NearDedup(), 8
    rows = rows_of([f"text {i} with words of its own {i * 7}" for i in range(500)])
    sent = list(step.send(step.sign(rows, Chance(0, 1)), 0, partitions * told.BAND_SHARDS))
    of_band = [address for address, _ in sent if address.startswith("band:0:")]
    assert len(of_band) == partitions


def test_digests_meet_in_as_many_places_as_told():
    assert corpus.MOST_PARTITIONS == told.DIGEST_PARTITIONS
    for module in (exact_dedup, line_dedup, substring_dedup):
        assert module.post_by_hash is corpus.post_by_hash
