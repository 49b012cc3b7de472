import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from curate.accounting import accounted, causes, percent
from curate.charts import figure
from curate.examples import Content, Example
from curate.excerpt import SHOWN, excerpt, side_by_side, visible
from curate.gallery import evidence, gallery
from curate.report import label_bars, render_report, with_proof
from curate.thumbnail import thumbnail

LIMIT = 1_500_000


def step(number, op, entered, *, reasons=None, quarantined=0, derived=0):
    reasons = reasons or {}
    dropped = sum(reasons.values()) - quarantined
    return {
        "step": number, "op": op, "in": entered, "kept": entered - dropped - quarantined,
        "dropped": dropped, "quarantined": quarantined, "derived": derived, "reasons": reasons,
        "seconds": 0.25,
    }  # fmt: skip


def make_manifest(**changes):
    profile = {"rows": 997, "histograms": {"characters": {"-1": 3, "14": 5, "15": 9}}}
    manifest = {
        "name": "tiny",
        "tool": {"name": "curate", "version": "0.1.0"},
        "created": "2026-11-21T23:00:00Z",
        "seconds": 12.3,
        "runner": "local",
        "workers": 2,
        "seed": 0,
        "rows": {"in": 1000, "kept": 700, "dropped": 297, "quarantined": 3, "derived": 50},
        "steps": [
            step(0, "read", 1000, reasons={"unreadable": 3}, quarantined=3),
            step(1, "word_count", 997, reasons={"too_short": 200, "too_long": 1}),
            step(2, "near_dedup", 796, reasons={"near_duplicate": 96}),
            step(3, "augment_text", 700, derived=50),
        ],
        "dropped_by_reason": {"too_short": 200, "too_long": 1, "near_duplicate": 96},
        "splits": {"train": 750},
        "shards": [{"file": "train/data-00000-of-00001.arrow", "rows": 750, "sha256": "ab" * 32}],
        "columns": {"text": "text", "image": None, "label": "label", "id": None},
        "profile": {
            "before": {**profile, "labels": {"fresh": 600, "rotten": 397}},
            "after": {**profile, "labels": {"fresh": 375, "rotten": 375}},
        },
        "notes": [{"op": "near_dedup", "note": "buckets linked as chain", "count_sum": 3}],
        "declared": ["labels carry 30 % injected noise: synthetic"],
        "recipe_yaml": "name: tiny\nsteps: []\n",
    }
    return {**manifest, **changes}


def make_example(
    number=1, op="word_count", reason="too_short", content=None, beside=None, **record
):
    known = dict.fromkeys(
        ("value", "threshold", "other", "detail", "file", "where", "error", "split")
    )
    known |= {"id": "d1", "step": number, "op": op, "reason": reason, "fate": "dropped"}
    return Example({**known, **record}, content, beside)


def near(text, other, **record):
    return make_example(
        2, "near_dedup", "near_duplicate", Content(text), Content(other), other="d0", **record
    )


def picture(size=(300, 200), mode="RGB", kind="png"):
    sink = io.BytesIO()
    Image.new(mode, size).save(sink, kind)
    return sink.getvalue()


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
            self.text += data


def words_of(html):
    return " ".join(Page(html).text.split())


def test_report_says_what_became_of_the_rows():
    said = words_of(render_report(make_manifest(), []))
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
    page = Page(render_report(make_manifest(), examples))
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(page.tags)
    sources = [value for name, value in page.attributes if name in ("src", "href", "srcset")]
    assert sources
    assert all(value.startswith("data:image/") for value in sources)


def test_report_of_a_bare_manifest_renders():
    rows = dict.fromkeys(("in", "kept", "dropped", "quarantined", "derived"), 0)
    bare = make_manifest(rows=rows, steps=[step(0, "read", 0)], splits={}, shards=[], profile={})
    for name in ("notes", "declared", "recipe_yaml"):
        del bare[name]
    said = words_of(render_report(bare, []))
    assert "No row was dropped or quarantined." in said
    assert "No row was written." in said


HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=y>{{ 7 * 7 }}{% raw %}\x00\x1b\u202e\ud800"
)


def test_report_shows_hostile_values_as_text():
    content = Content(HOSTILE, HOSTILE.encode("utf-8", "replace"), HOSTILE)
    names = dict.fromkeys(("id", "detail", "error", "file", "where"), HOSTILE)
    labels = {"rows": 1, "histograms": {HOSTILE: {"3": 1}}, "labels": {HOSTILE: 1}}
    manifest = make_manifest(
        name=HOSTILE,
        declared=[HOSTILE],
        notes=[{"op": HOSTILE, "note": HOSTILE, "count_sum": 1}],
        columns={"text": HOSTILE},
        profile={"before": labels, "after": labels},
        recipe_yaml=HOSTILE,
        steps=[step(1, "word_count", 1000, reasons={HOSTILE: 1})],
    )
    example = make_example(
        reason=HOSTILE, content=content, other=content, **{**names, "other": "o"}
    )
    html = render_report(manifest, [example])
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
        recipe_yaml="x" * 10_000_000,
    )
    html = render_report(manifest, examples)
    assert len(html.encode()) < LIMIT
    assert "more did not fit on this page" in html
    assert "8,980 other labels" in html


def test_report_holds_a_proof_and_takes_a_newer_one():
    bare = render_report(make_manifest(), [])
    first = render_report(make_manifest(), [], proof="<p>better by 3 points</p>")
    assert "<p>better by 3 points</p>" in first
    assert with_proof(bare, "<p>better by 3 points</p>") == first
    assert with_proof(with_proof(bare, "<p>older</p>"), "<p>better by 3 points</p>") == first


def test_with_proof_refuses_other_pages():
    with pytest.raises(ValueError, match="has no place for a proof"):
        with_proof("<html></html>", "x")


def test_examples_show_where_near_duplicates_differ():
    html = render_report(
        make_manifest(),
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
    said = words_of(render_report(make_manifest(), [lost]))
    assert "read: unreadable · step 0 · 1 of 3 rows" in said
    assert "a.jsonl, line 4, byte 90 not JSON: unexpected end" in said


def test_examples_of_broken_images_say_so():
    example = make_example(content=Content(image=picture()[:40]))
    assert "cannot be decoded (40 bytes)" in words_of(render_report(make_manifest(), [example]))


def test_equal_rows_are_shown_once():
    said = words_of(render_report(make_manifest(), [near("one text", "one text", value=1.0)]))
    assert said.count("one text") == 1
    assert "the same content, to the letter" in said


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"value": 3.0, "threshold": 20.0}, "measured 3, wanted at least 20"),
        ({"value": 2.5, "threshold": 2.0}, "measured 2.5, wanted at most 2"),
        ({"value": 1.0, "threshold": 1.0, "other": "d0"}, "equal contents"),
        ({"value": float("nan"), "detail": "three"}, "three"),
        ({"value": 0.5}, "measured 0.5"),
        ({}, ""),
        (
            {"reason": "label_error", "value": 0.034, "detail": "looks like cat (0.91)"},
            "its label has probability 0.034; looks like cat (0.91)",
        ),
        (
            {"reason": "wrong_language", "value": 0.97, "detail": "de"},
            "detected de with score 0.97",
        ),
        (
            {"reason": "uncertain_language", "value": 0.2, "threshold": 0.5, "detail": "de"},
            "score 0.2, wanted at least 0.5; the best guess is de",
        ),
        (
            {"value": float("inf"), "threshold": 2.0},
            "measured inf, wanted at most 2",
        ),
    ],
)
def test_evidence_is_in_words(record, said):
    assert evidence(record) == said


def test_gallery_gives_each_reason_an_example_before_a_second(monkeypatch):
    monkeypatch.setattr("curate.gallery.BUDGET", 2)
    steps = [step(1, "word_count", 9, reasons={"too_short": 4, "too_long": 4})]
    rows = [
        make_example(reason=r, content=Content("x")) for r in ("too_short",) * 3 + ("too_long",)
    ]
    groups, left_out = gallery(rows, causes(steps, 9))
    assert [len(group.cards) for group in groups] == [1]
    assert left_out == 3
    monkeypatch.setattr("curate.gallery.BUDGET", 2_000)
    groups, left_out = gallery(rows, causes(steps, 9))
    assert [len(group.cards) for group in groups] == [1, 1]
    assert left_out == 2


def test_visible_gives_shapeless_characters_a_number():
    assert visible("a\u202eb\x00\ud800\r\nc\td") == "a⟨202E⟩b⟨0000⟩⟨D800⟩\nc\td"
    assert visible("می\u200cخواهم") == "می\u200cخواهم"
    assert visible("x" * 10, most=4) == "xxxx…"


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("short", ""),
        ("", "empty"),
        (" \n ", "blank: 3 characters of white space"),
        ("x" * 1234, f"first {SHOWN} of 1,234 characters"),
    ],
)
def test_excerpt_says_which_part_it_is(text, note):
    assert excerpt(text).note == note


def test_excerpt_is_bounded_and_keeps_lines():
    assert len(excerpt("x" * 10_000_000).html) == SHOWN + 1
    assert excerpt("a\n\n\n\n\nb\n  c").html == "a\n\nb\n  c"


def test_side_by_side_begins_where_texts_differ():
    same = "word " * 1000
    left, right = side_by_side(f"{same}alpha tail", f"{same}beta tail")
    assert left.html.endswith("<mark>alpha</mark> tail")
    assert right.html.endswith("<mark>beta</mark> tail")
    assert left.html.startswith("… word")
    assert left.note.startswith("from character 4,")


def test_side_by_side_marks_nothing_in_unlike_texts():
    left, right = side_by_side("one two three four", "eins zwei drei vier")
    assert "<mark>" not in left.html + right.html


def test_side_by_side_does_not_take_the_cut_end_for_a_change():
    text = " ".join(f"w{i}" for i in range(1000))
    left, right = side_by_side(f"new {text}", text)
    assert left.html.count("<mark>") == 1
    assert "<mark>" not in right.html


def test_side_by_side_compares_scripts_without_spaces_by_character():
    left, right = side_by_side("我喜欢这部电影", "我喜欢那部电影")
    assert "<mark>这</mark>" in left.html
    assert "<mark>那</mark>" in right.html


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", "CMYK"])
def test_thumbnail_shows_every_mode(mode):
    kind = "tiff" if mode in ("F", "CMYK") else "png"
    small = thumbnail(picture(mode=mode, kind=kind))
    shown = Image.open(io.BytesIO(base64.b64decode(small.uri.partition(",")[2])))
    assert max(shown.size) == 180
    assert small.caption == f"300 × 200 {kind.upper()}"


def test_thumbnail_keeps_every_pixel_of_a_tiny_image():
    small = thumbnail(picture((28, 28), "L"))
    assert small.tiny
    assert small.uri.startswith("data:image/png")


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg onload=x>", picture()[:60]])
def test_thumbnail_of_broken_bytes_says_so(data):
    small = thumbnail(data)
    assert small.uri is None
    assert small.caption.startswith(f"cannot be decoded ({len(data)} bytes)")


def test_thumbnail_does_not_decode_bombs():
    small = thumbnail(picture((20_000, 3_000), "1"))
    assert small.uri is None
    assert small.caption.endswith("too large for a preview")


def test_figure_draws_each_bin_with_its_counts():
    drawn = figure("characters", {"-1": 2, "14": 5, "15": 9}, {"14": 5})
    assert "0 characters: 2 before, 0 after" in drawn.svg
    assert "128–181 characters: 5 before, 5 after" in drawn.svg
    assert "182–255 characters: 9 before, 0 after" in drawn.svg
    assert drawn.middle == "middle row: 182–255 characters before, 128–181 characters after"


def test_figure_of_nothing_is_empty():
    drawn = figure("image bytes", {}, {})
    assert drawn.svg == ""
    assert drawn.middle == "middle row: none before, none after"


def test_label_bars_add_up_the_rare_ones():
    before = {f"l{i:02}": 100 - i for i in range(30)}
    bars, rest = label_bars(before, {"l00": 50, "new": 3})
    assert (bars[0].name, bars[0].after, bars[0].change) == ("l00", 50, "−50 %")
    assert rest is not None
    assert rest.before + sum(bar.before for bar in bars) == sum(before.values())
    assert rest.after + sum(bar.after for bar in bars) == 53


def test_accounted_insists_on_the_balance():
    with pytest.raises(AssertionError):
        accounted({"in": 5, "kept": 3, "dropped": 1, "quarantined": 0})


@pytest.mark.parametrize(
    ("share", "said"), [(0, "0.0 %"), (1e-9, "< 0.1 %"), (0.9999, "> 99.9 %"), (1, "100.0 %")]
)
def test_percent_never_rounds_to_nothing_or_everything(share, said):
    assert percent(share) == said
