import pytest
from made_run import make_manifest

from curate.report.card import dataset_card, with_verdict

CARD = "---\npretty_name: x\n---\n\n# x\n\nAbout.\n\n## Load\n\n| split |\n\n## Steps\n\nnone\n"


def test_card_gets_the_verdict_before_how_to_load():
    found = with_verdict(CARD, "Better by 3.1 points.")
    assert found == CARD.replace(
        "## Load", "## What curation was worth\n\nBetter by 3.1 points.\n\n## Load"
    )


def test_card_keeps_one_verdict():
    once = with_verdict(CARD, "Better by 3.1 points.")
    assert with_verdict(once, "Worse.") == with_verdict(CARD, "Worse.")


def test_card_escapes_what_stands_in_a_note():
    found = with_verdict(CARD, "Note: <b>x</b>\n## Load\n| a |")
    assert "\\<b\\>x\\</b\\> \\#\\# Load \\| a \\|" in found
    assert found.count("\n## Load\n") == 1


@pytest.mark.parametrize("card", ["", "# mine\n"])
def test_card_of_another_shape_gets_it_at_the_end(card):
    assert with_verdict(card, "Worse.") == f"{card}## What curation was worth\n\nWorse.\n\n"


def test_card_as_it_is_written_has_the_place():
    card = dataset_card(make_manifest(), "recipe")
    assert with_verdict(card, "Worse.").index("Worse.") < card.index("## Steps")
