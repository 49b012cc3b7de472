import pytest

from curate.errors import RecipeError
from curate.recipe.document import DEEPEST, LARGEST, read_document

STRANGE = {
    "a long number": (b"name: " + b"9" * 200_000, "x:1: a number of 200,000 digits"),
    "a long hexadecimal number": (b"a: 1\nb: 0x" + b"f" * 9000, "x:2: a number of 9,002 digits"),
    "deep lists": (b"a: " + b"[" * 10_000, "x:1: nested 33 levels deep"),
    "deep mappings": (b"".join(b" " * i + b"a:\n" for i in range(99)), "x:33: nested 33 levels"),
    "a data file": (b"a: b\n" * LARGEST, "x: 5,242,880 bytes; a recipe has at most 1,048,576"),
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
