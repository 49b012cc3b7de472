"""What stores need, what they are told and what their errors mean, without a store."""

import pytest

from pipelines.errors import UserError
from pipelines.storage_options import check_public, check_storage, secrets_in
from pipelines.store_errors import Guarded, StoreFailed, StoreRefused, explained, scrubbed
from pipelines.stores import check_folder, check_store, options_of, reached_by

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


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PermissionError("Forbidden"), StoreRefused),
        (OSError(22, "Bad Request"), StoreRefused),
        (OSError(121, "internal"), StoreFailed),
        (ConnectionResetError("reset"), StoreFailed),
        (TimeoutError(), StoreFailed),
    ],
)
def test_errors_of_a_disk_mean_something_else_on_a_store(error, kind):
    said = explained(error, "s3://b/x")
    assert type(said) is kind
    assert str(said).startswith("s3://b/x: the object store ")
    assert explained(error) is None


@pytest.mark.parametrize("error", [FileNotFoundError("x"), ValueError("x"), KeyError("x")])
def test_other_errors_stay_what_they_are(error):
    assert explained(error, "s3://b/x") is None


def test_error_of_which_only_the_traceback_is_left_is_found_in_it():
    left = (
        "Traceback (most recent call last):\n  File x, line 1\n"
        "pipelines.store_errors.StoreFailed: s3://b/x: it failed [while running 'solve']\n\nmore"
    )
    said = explained(RuntimeError(left))
    assert (type(said), str(said)) == (StoreFailed, "s3://b/x: it failed")


class Broken:
    closed = False

    def read(self):
        raise ConnectionError("gone")

    def __exit__(self, *raised):
        raise PermissionError("no")


def test_open_files_are_guarded_until_they_are_closed():
    file = Guarded(Broken(), "s3://b/x")
    assert file.closed is False
    with pytest.raises(StoreFailed, match="gone"):
        file.read()
    with pytest.raises(StoreRefused, match="no"), file:
        pass


@pytest.mark.parametrize(
    "url",
    [
        "s3://user:hidden@bucket/x",
        "s3://user:hid/den@bucket/x",
        "s3://user:123/hidden@bucket/x",
        "https://user:hidden@host/x",
        "https://hidden@host/x",
        "hdfs://user:hidden@host:8020/x",
        "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=hidden",
        "https://a.blob.core.windows.net/c/f?sv=2024&sig=hidden",
        "https://h/x?access_token=hidden",
        "https://b.s3.amazonaws.com/k?AWSAccessKeyId=hidden&Expires=1",
    ],
)
def test_url_with_a_secret_is_refused_and_not_repeated(url):
    with pytest.raises(UserError, match="must not hold") as caught:
        check_store(url)
    assert "hidden" not in str(caught.value)
    found = list(secrets_in({"a": {"b": ["x", url]}}))
    assert [place for place, _ in found] == [("a", "b", 1)]
    assert "hidden" not in scrubbed(f"cannot connect to {url}")


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/a:b@c.jsonl",
        "http://host:8080/a@b",
        "abfs://container@account.dfs.core.windows.net/x",
        "https://h/x?page=2&sort=key",
        "hdfs://user@host:8020/x",
        "a:b@c",
        "file:///a:b@c",
    ],
)
def test_url_without_a_secret_is_taken(url, monkeypatch):
    monkeypatch.setattr("pipelines.stores.find_spec", lambda name: True)
    assert check_store(url) == url


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("s3:/bucket/x", "write s3://"),
        ("s4://bucket/x", "no store is known by s4://"),
        ("s3://", "names no bucket"),
    ],
)
def test_mistyped_url_is_told(path, said):
    with pytest.raises(UserError, match=said):
        check_store(path)


@pytest.mark.parametrize("path", ["s3://bucket", "s3://bucket/"])
def test_bucket_is_no_folder_to_write(path):
    with pytest.raises(UserError, match="s3://bucket/clean"):
        check_folder(path)
    assert check_folder("s3://bucket/x") == "s3://bucket/x"


@pytest.mark.parametrize(
    "storage",
    [
        {"s3": {"endpoint_url": "http://user:hidden@host"}},
        {"s3": {"config_kwargs": {"proxies": {"https": "http://user:hid/den@proxy"}}}},
        {"s3": {"config_kwargs": {"proxies": [{"password": "hidden"}]}}},
        {"https": {"client_kwargs": {"headers": {"Authorization": "hidden"}}}},
        {"az": {"sas_token": "hidden"}},
        "hidden",
        {"s3": "hidden"},
    ],
)
def test_secret_in_storage_is_not_repeated(storage):
    with pytest.raises(UserError) as caught:
        check_storage(storage)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "storage",
    [
        {"gs": {"token": "anon"}},
        {"s3": {"anon": True, "use_ssl": False, "client_kwargs": {"region_name": "eu-1"}}},
        {"s3": {"s3_additional_kwargs": {"SSEKMSKeyId": "alias/x", "BucketKeyEnabled": True}}},
        {},
    ],
)
def test_what_is_no_secret_is_taken(storage):
    assert check_storage(storage) == storage


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ({"s3": {"endpont_url": "http://h"}}, "did you mean 'endpoint_url'"),
        ({"s3": {"config_kwargs": {"read_timout": 3}}}, "did you mean 'read_timeout'"),
        ({"s3": {"endpoint_url": "host:9000"}}, "must begin with http"),
        ({"S3": {"anon": True}}, "did you mean 's3'"),
        ({"s3": None}, "must be a mapping"),
    ],
)
def test_option_that_no_store_takes_is_told(storage, said):
    with pytest.raises(UserError, match=said):
        check_storage(storage)


def test_options_of_runners_hold_no_secret():
    with pytest.raises(UserError, match="looks like a secret"):
        check_public(("s3_secret_access_key",), "hidden")
    check_public(("dataflow_kms_key",), "projects/x")


def test_given_options_come_over_the_defaults_one_by_one():
    with reached_by({"s3": {"config_kwargs": {"read_timeout": 5}}, "az": {"account_name": "a"}}):
        found = options_of("s3a://b/x")["config_kwargs"]
        assert (found["read_timeout"], found["connect_timeout"]) == (5, 10)
        assert options_of("abfs://c/x") == {"account_name": "a"}
    assert options_of("s3://b/x")["config_kwargs"]["read_timeout"] == 60
