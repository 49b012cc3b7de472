import pytest

from pipelines.errors import UserError
from pipelines.stores import check_store, explained

UNFIT = {
    "o\0x": "cannot hold the character U\\+0000",
    "o\nx": "cannot hold the character U\\+000A",
    "o\x1bx": "cannot hold the character U\\+001B",
    "o\udcffx": "cannot hold the character U\\+DCFF",
    "a/" + "é" * 128: "a name in a path has at most 255 bytes",
    "a/" * 3000: "a path has at most 4,096 characters",
    "http://[x": "Invalid IPv6 URL",
    "file:///" + "o" * 256: "at most 255 bytes",
}


@pytest.mark.parametrize("path", UNFIT)
def test_path_that_no_system_has_is_refused(path):
    with pytest.raises(UserError, match=UNFIT[path]) as caught:
        check_store(path)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "path", ["out", "ü/名前 x", "é" * 127, "/a/**/*.txt", "memory://a/b", "~/x"]
)
def test_path_that_a_system_may_have_is_taken(path):
    assert check_store(path) == path


def test_errors_that_lead_back_to_each_other_are_gone_through_once():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__context__ = other, one
    assert explained(one) is None
