import pytest

from curate.report.accounting import accounted, percent
from pipelines.ledger.counts import RowCounts


def test_accounted_insists_on_the_balance():
    with pytest.raises(AssertionError):
        accounted(RowCounts(entered=5, kept=3, dropped=1, quarantined=0))


@pytest.mark.parametrize(
    ("share", "said"), [(0, "0.0 %"), (1e-9, "< 0.1 %"), (0.9999, "> 99.9 %"), (1, "100.0 %")]
)
def test_percent_never_rounds_to_nothing_or_everything(share, said):
    assert percent(share) == said
