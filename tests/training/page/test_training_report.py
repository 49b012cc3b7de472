import re
from html.parser import HTMLParser

import example_results as examples
import pytest

from training.page.report import report_fragment, write_report
from training.page.spent import spent_by_arm

VOID = {"meta", "br", "img", "hr"}


class Nesting(HTMLParser):
    """Raises if a tag is closed that is not the last one open."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag


@pytest.fixture
def page(tmp_path):
    def drawn(result):
        (tmp_path / "result.json").write_text(result.model_dump_json())
        write_report(tmp_path / "result.json", tmp_path / "report.html")
        return (tmp_path / "report.html").read_text("utf-8")

    return drawn


RESULTS = {
    "full": examples.full_result,
    "bits": lambda: examples.full_result("bits per byte", seeds=12, factor=0.6),
    "minimal": examples.minimal_result,
    "invalid": examples.invalid_result,
    "broken": examples.broken_result,
}


@pytest.mark.parametrize("name", RESULTS)
def test_page_is_whole_and_stands_alone(page, name):
    html = page(RESULTS[name]())
    parser = Nesting()
    parser.feed(html)
    assert not parser.open
    assert "<script" not in html
    assert "http:" not in html
    assert "https:" not in html
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.S).split()
    assert "None" not in html


def test_sentence_comes_first_and_names_what_was_planted(page):
    html = page(examples.full_result())
    assert html.index("is better than on raw") < html.index("pf-forest")
    assert '<p class="planted">Synthetic defects: 30\u00a0% of the labels' in html


def test_every_part_has_its_section(page):
    heads = re.findall(r"<h2>(.*?)</h2>", page(examples.full_result()))
    assert heads == [
        "Guards", "Quality against data", "Quality against optimizer steps",
        "What each step was worth", "Under other conditions", "Class mix", "Smaller models", "Runs",
        "Cost", "Particulars",
    ]  # fmt: skip


def test_scores_alone_have_no_empty_sections(page):
    heads = re.findall(r"<h2>(.*?)</h2>", page(examples.minimal_result()))
    assert heads == ["Guards", "Runs", "Particulars"]


def test_operating_points_are_drawn_with_and_without_what_is_known_besides(page):
    result = examples.full_result()
    whole = [examples.compression().model_dump(mode="json")]
    bare, full = page(result), page(result.model_copy(update={"compressed": whole}))
    for html in (bare, full):
        assert html.count('class="pf pf-scatter"') == 2
        assert "1.46 / 1.9" in html
    assert "Nine in ten weights" not in bare
    assert "Nine in ten weights" in full
    assert "pruned is left out: a linear model has no channels." in full


def test_steps_to_remove_are_named(page):
    html = page(examples.full_result())
    assert "Remove: 6.quality." in html
    assert "Can go: 1.normalise." in html


def test_failed_guards_say_what_they_do(page):
    html = page(examples.invalid_result())
    assert "Voids the instrument." in html
    assert "shows a gap" in html


def test_many_seeds_are_shown_as_a_spread(page):
    few, many = (page(examples.full_result(seeds=seeds)) for seeds in (5, 12))
    assert '<th class="n">seed 4</th>' in few
    assert '<th class="n">seed 0</th>' not in many
    assert "12 seeds, worst to best" in many


def test_attribution_arms_are_folded_away(page):
    html = page(examples.full_result())
    assert "<summary>24 arms of attribution</summary>" in html


def test_bits_stand_beside_other_compressors(page):
    html = page(examples.full_result("bits per byte"))
    assert "zstd 2.611 bits per byte (3.06 : 1)" in html
    assert "difference in bits per byte saved" in html
    assert "difference in points" not in html


def test_costs_add_up_and_unknown_ones_are_left_out():
    spent = spent_by_arm(examples.full_result())
    whole = spent[-1]
    assert whole.name == "all"
    assert whole.runs == sum(arm.runs for arm in spent[:-1])
    assert whole.sums["seconds"] == pytest.approx(sum(arm.sums["seconds"] for arm in spent[:-1]))
    assert "joules" not in whole.sums
    assert [arm.name for arm in spent if "attribution" in arm.name] == ["24 arms of attribution"]


def test_a_cost_that_one_run_lacks_is_not_added_up():
    result = examples.full_result()
    runs = [{**run, "flops": None} if run["arm"] == "aa" else run for run in result.runs]
    spent = {arm.name: arm.sums for arm in spent_by_arm(result.model_copy(update={"runs": runs}))}
    assert spent["aa"]["FLOPs"] is None
    assert spent["all"]["FLOPs"] is None
    assert spent["raw"]["FLOPs"] > 0


def test_fragment_escapes_what_users_write(tmp_path):
    nasty = examples.full_result().model_copy(update={"notes": ["<b>bold</b>"]})
    (tmp_path / "result.json").write_text(nasty.model_dump_json())
    fragment = report_fragment(tmp_path / "result.json")
    assert fragment.lstrip().startswith("<section")
    assert "<b>bold" not in fragment
    assert "&lt;b&gt;bold" in fragment
