import time

import pytest

from curate.errors import RecipeError
from curate.recipe.document import DEEPEST, LARGEST, LONGEST_VALUE, MOST_VALUES, read_document
from curate.recipe.recipe import load_recipe

STRANGE = {
    "a long number": (b"name: " + b"9" * 200_000, "x:1: a number of 200,000 digits"),
    "a long hexadecimal number": (b"a: 1\nb: 0x" + b"f" * 9000, "x:2: a number of 9,002 digits"),
    "deep lists": (b"a: " + b"[" * 10_000, "x:1: nested 33 levels deep"),
    "deep mappings": (b"".join(b" " * i + b"a:\n" for i in range(99)), "x:33: nested 33 levels"),
    "a data file": (b"a: b\n" * LARGEST, "x: 1,310,720 bytes; a recipe has at most 262,144"),
    "many values": (b"a: [" + b"[]," * MOST_VALUES + b"]", "x:1: more than 5,000 keys and values"),
    "many keys": (b"".join(b"k%d: 1\n" % i for i in range(3000)), "x:2500: more than 5,000 keys"),
    "a long value": (b"a: 1\nb: " + b"x" * 65_537, "x:2: a value of 65,537 characters; allowed"),
    "a long key": (
        b'? "' + b"x" * 70_000 + b'"\n: 1',
        "x:1: a value of 70,000 characters",
    ),
    "half a pair": (b'a: 1\nb: "\\udcff"', "x:2: half a surrogate pair (U+DCFF)"),
    "aliases": (b"a: &a [x]\nb: &b [*a, *a]", "x:2: `*a` is an alias"),
    "no such day": (b"name: 2020-13-45", "x:1: a value that cannot be read: month must be"),
    "a zero byte": (b"name: \0", "x:1: not YAML"),
    "another encoding": (b"a: b\nname: \xe9", "x:2: not UTF-8 (byte 0xe9)"),
    "nothing": (b"", "x: empty"),
    "a list": (b"- a", "x:1: a recipe is a mapping"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_recipe_is_a_sentence(kind):
    raw, said = STRANGE[kind]
    with pytest.raises(RecipeError) as caught:
        read_document("x", raw)
    assert str(caught.value).startswith(said)


def test_recipe_may_be_as_deep_as_allowed():
    raw = b"a: " + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1)
    assert read_document("x", raw).data["a"]


def test_recipe_may_be_as_long_as_allowed():
    value = "é" * LONGEST_VALUE
    assert read_document("x", f"a: {value}".encode()).data == {"a": value}
    many = "a: [" + "1," * (MOST_VALUES - 3) + "]"
    assert len(read_document("x", many.encode()).data["a"]) == MOST_VALUES - 3


def test_override_is_bounded_like_a_recipe():
    document = read_document("x", b"a: 1")
    with pytest.raises(RecipeError, match=r"^--set a: half a surrogate pair"):
        document.override('a="\\ud800"')


def test_recipe_with_many_mistakes_is_checked_in_seconds(tmp_path):
    steps = "\n".join(f"  - op: near_dedupp{i}" for i in range(1_600))
    recipe = f"name: x\nread: {{format: jsonl, path: x}}\nwrite: {{path: o}}\nsteps:\n{steps}"
    (tmp_path / "r.yaml").write_text(recipe)
    started = time.process_time()
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert len(caught.value.messages) == 1_600
    assert time.process_time() - started < 20
