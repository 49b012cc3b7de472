import io
import re
from html.parser import HTMLParser

import pytest
from made_run import SOURCE, make_example, make_manifest, near, picture, step
from PIL import Image

from curate.report.examples import Content
from curate.report.report import label_bars, render_report, with_proof

LIMIT = 1_500_000


class Page(HTMLParser):
    """The tags, attributes and text of a page; fails on tags that do not nest."""

    VOID = frozenset({"meta", "img", "br", "line", "rect"})

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += f" {data}"


def words_of(html):
    return " ".join(Page(html).text.split())


def test_report_says_what_became_of_the_rows():
    said = words_of(render_report(make_manifest(), SOURCE, []))
    for part in (
        "Kept 700 of 1,000 rows; dropped 297, quarantined 3; 50 more were derived from kept ones.",
        "Every row is accounted for: 1,000 = 700 + 297 + 3.",
        "labels carry 30 % injected noise: synthetic",
        "word_count too_short 200 20.0 %",
        "fresh 600 375 −38 %",
        "train/data-00000-of-00001.arrow 750 " + "ab" * 32,
        "near_dedup buckets linked as chain 3",
        "name: tiny steps: []",
        "curate 0.1.0",
    ):
        assert part in said


def test_report_needs_nothing_outside_itself():
    examples = [make_example(content=Content(image=picture()))]
    page = Page(render_report(make_manifest(), SOURCE, examples))
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(page.tags)
    sources = [value for name, value in page.attributes if name in ("src", "href", "srcset")]
    assert sources
    assert all(value.startswith("data:image/") for value in sources)


def test_report_of_a_bare_manifest_renders():
    rows = dict.fromkeys(("in", "kept", "dropped", "quarantined", "derived"), 0)
    nothing = {"splits": {}, "shards": [], "notes": [], "declared": []}
    profile = {"before": {}, "after": {}}
    bare = make_manifest(rows=rows, steps=[step(0, "read", 0)], profile=profile, **nothing)
    said = words_of(render_report(bare, "", []))
    assert "No row was dropped or quarantined." in said
    assert "No row was written." in said


HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=y>{{ 7 * 7 }}{% raw %}\x00\x1b\u202e\ud800"
)


def test_report_opens_with_its_warnings():
    said = f"of 300 rows of class '{HOSTILE}' are gone"
    warning = {"op": "word_count", "note": said, "count_sum": 100, "warning": "class", "step": 1}
    plain = {"op": "near_dedup", "note": "buckets linked as chain", "count_sum": 3}
    manifest = make_manifest(notes=[plain, {**warning, "label": HOSTILE}])
    example = make_example(content=Content("a row that went", label=HOSTILE))
    html = render_report(manifest, SOURCE, [], warned=[[example]])
    Page(html)
    assert "<script" not in html
    top, _, rest = html.partition("<h2>Steps</h2>")
    words = words_of(top.partition("<main>")[2])
    assert "Look at this first word_count 100 of 300 rows of class" in words
    assert "a row that went" in words
    assert "buckets linked as chain" not in top
    assert "buckets linked as chain" in rest
    assert "are gone" not in rest
    assert "Look at this first" not in render_report(make_manifest(), SOURCE, [])


def test_report_shows_hostile_values_as_text():
    content = Content(HOSTILE, HOSTILE.encode("utf-8", "replace"), HOSTILE)
    names = dict.fromkeys(("id", "other", "detail", "error", "file", "where"), HOSTILE)
    labels = {"rows": 1, "histograms": {HOSTILE: {3: 1}}, "labels": {HOSTILE: 1}}
    manifest = make_manifest(
        name=HOSTILE,
        declared=[HOSTILE],
        notes=[{"op": HOSTILE, "note": HOSTILE, "count_sum": 1}],
        columns={"text": HOSTILE},
        profile={"before": labels, "after": labels},
        steps=[step(1, "word_count", 1000, reasons={HOSTILE: 1})],
    )
    example = make_example(reason=HOSTILE, content=content, beside=content, **names)
    html = render_report(manifest, HOSTILE, [example])
    page = Page(html)
    html.encode()
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "alert(1)" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "⟨202E⟩" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800]", html)


def test_report_stays_small_whatever_the_data_holds():
    noise = bytes(range(256)) * 4
    photo = Image.effect_noise((900, 900), 90)
    sink = io.BytesIO()
    photo.save(sink, "jpeg")
    reasons = {f"reason_{i}": 4 for i in range(400)}
    content = Content("&<\x00" * 3_000_000, sink.getvalue(), "&" * 100_000)
    examples = [
        make_example(reason=reason, content=content, beside=content, id="&" * 9_999, other="x")
        for reason in reasons
    ] + [make_example(reason="reason_0", content=Content(image=noise))]
    labels = {f"{'&' * 5000}{i}": 1 for i in range(9_000)}
    manifest = make_manifest(
        steps=[step(1, "word_count", 1000, reasons=reasons)],
        rows={"in": 2000, "kept": 400, "dropped": 1600, "quarantined": 0, "derived": 0},
        shards=[{"file": f"train/{i}", "rows": 1, "sha256": "ab" * 32} for i in range(20_000)],
        notes=[{"op": "x", "note": "&" * 10_000, "count_sum": 1}] * 10,
        profile={"before": {"labels": labels}, "after": {"labels": labels}},
    )
    html = render_report(manifest, "x" * 10_000_000, examples)
    assert len(html.encode()) < LIMIT
    assert "more did not fit on this page" in html
    assert "8,980 other labels" in html


def test_report_holds_a_proof_and_takes_a_newer_one():
    bare = render_report(make_manifest(), SOURCE, [])
    first = render_report(make_manifest(), SOURCE, [], proof="<p>better by 3 points</p>")
    assert "<p>better by 3 points</p>" in first
    assert with_proof(bare, "<p>better by 3 points</p>") == first
    assert with_proof(with_proof(bare, "<p>older</p>"), "<p>better by 3 points</p>") == first


def test_with_proof_refuses_other_pages():
    with pytest.raises(ValueError, match="has no place for a proof"):
        with_proof("<html></html>", "x")


def test_examples_show_where_near_duplicates_differ():
    html = render_report(
        make_manifest(),
        SOURCE,
        [
            near(
                "the old cat <b>sat</b> down",
                "the new cat <b>sat</b> down",
                value=0.91,
                threshold=0.8,
            )
        ],
    )
    assert "the <mark>old</mark> cat &lt;b&gt;sat&lt;/b&gt; down" in html
    assert "the <mark>new</mark> cat &lt;b&gt;sat&lt;/b&gt; down" in html
    assert "similarity 0.91, a duplicate from 0.8 on" in html


def test_examples_of_quarantined_rows_say_where_and_why():
    lost = make_example(
        0, "read", "unreadable", fate="quarantined", file="a.jsonl", where="line 4, byte 90",
        error="not JSON: unexpected end",
    )  # fmt: skip
    said = words_of(render_report(make_manifest(), SOURCE, [lost]))
    assert "read: unreadable · step 0 · 1 of 3 rows" in said
    assert "a.jsonl, line 4, byte 90 not JSON: unexpected end" in said


def test_examples_of_broken_images_say_so():
    example = make_example(content=Content(image=picture()[:40]))
    assert "cannot be decoded (40 bytes)" in words_of(
        render_report(make_manifest(), SOURCE, [example])
    )


def test_equal_rows_are_shown_once():
    said = words_of(
        render_report(make_manifest(), SOURCE, [near("one text", "one text", value=1.0)])
    )
    assert said.count("one text") == 1
    assert "the same content, to the letter" in said


def test_label_bars_add_up_the_rare_ones():
    before = {f"l{i:02}": 100 - i for i in range(30)}
    bars, rest = label_bars(before, {"l00": 50, "new": 3})
    assert (bars[0].name, bars[0].after, bars[0].change) == ("l00", 50, "−50 %")
    assert rest is not None
    assert rest.before + sum(bar.before for bar in bars) == sum(before.values())
    assert rest.after + sum(bar.after for bar in bars) == 53
