"""Object stores: what they need and how they are reached.

Files are opened by fsspec. Options such as an endpoint come from the recipe's `storage`, secrets
never do: each store's library finds them where it always does, in the environment or in a profile.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from pipelines.errors import UserError, did_you_mean
from pipelines.store_errors import SECRET_QUERY

Storage = dict[str, dict[str, Any]]
"""Options for fsspec, by protocol."""

PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "s3")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gcs")),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), ("adlfs", "azure")),
}
"""Module and pip extra that each protocol needs."""

_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_DEFAULTS: Storage = {
    "s3": {
        "config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 5}}
    }
}
_ENVIRONMENT = "the environment or a profile that the store's library reads"
_given: Storage = {}


def use_storage(storage: Storage) -> None:
    """Set the options of this process by which stores are reached from now on."""
    global _given
    _given = storage


def storage_in_use() -> Storage:
    """Return the options of this process."""
    return _given


@contextmanager
def reached_by(storage: Storage) -> Iterator[None]:
    """Reach stores by these options, and afterwards by those from before."""
    before = _given
    use_storage(storage)
    try:
        yield
    finally:
        use_storage(before)


def options_of(path: str) -> dict[str, Any]:
    """Return the options for a URL: those given, over defaults that give up within minutes."""
    protocol = path.partition("://")[0]
    alike = [protocol, *(name for name in PACKAGES if _package(name) == _package(protocol))]
    found = dict(next((_DEFAULTS[name] for name in alike if name in _DEFAULTS), {}))
    for name, value in next((_given[name] for name in alike if name in _given), {}).items():
        below = found.get(name)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        found[name] = {**below, **value} if both else value  # type: ignore[dict-item]
    return found


def _package(protocol: str) -> str:
    return PACKAGES.get(protocol, (protocol,))[0]


_PASSWORD = re.compile(r"^[\w+.-]+://[^/:@]*:(?!\d+(/|$)).*@|^https?://[^/]*@")
_PASSWORD_OF_STORE = re.compile(r"^[\w+.-]+://[^/:@]*:.*@")  # a bucket has no port
_SIGNED = re.compile(rf"^[\w+.-]+://[^?]*\?(.*&)?[\w-]*{SECRET_QUERY}=", re.I | re.S)
_ONE_SLASH = re.compile(r"^([A-Za-z][\w+.-]+):/(?!/)")


def check_store(path: str) -> str:
    """Return a path or URL that can be opened here.

    Raises:
        UserError: no system has such a path, a package is missing, no such protocol exists, or the
            URL holds a secret.
    """
    check_path(path)
    protocol, is_url, _ = path.partition("://")
    check_url(path)
    if not is_url:
        _check_slashes(path)
        return path
    if protocol in PACKAGES:
        if not path.partition("://")[2].strip("/"):
            raise UserError(f"names no bucket (got {path}); write {protocol}://bucket/folder")
        module, extra = PACKAGES[protocol]
        if find_spec(module) is None:
            raise UserError(
                f"{protocol}:// needs {module}, not installed here; "
                f"run: pip install 'curate-proof[{extra}]'"
            )
    elif protocol != "file":
        check_protocol(protocol, f"{protocol}://")
    return path


def check_path(path: str) -> None:
    """Refuse what no file system takes for a path, or no person can read.

    Raises:
        UserError: it holds control characters or half a surrogate pair, or is too long.
    """
    shown = repr(path if len(path) <= 60 else f"{path[:59]}…")
    if found := _UNFIT.search(path):
        raise UserError(f"a path cannot hold the character U+{ord(found[0]):04X} (got {shown})")
    try:
        local = urlsplit(path).scheme in ("", "file") or "://" not in path
    except ValueError as error:
        raise UserError(f"{error} (got {shown})") from None
    if local and max(map(len, path.encode().split(b"/"))) > _LONGEST_NAME:
        raise UserError(f"a name in a path has at most {_LONGEST_NAME} bytes (got {shown})")
    if len(path) > _LONGEST_PATH:
        raise UserError(f"a path has at most {_LONGEST_PATH:,} characters (got {shown})")


def check_url(text: str) -> None:
    """Refuse a URL that holds a password or a signature; neither is repeated."""
    pattern = _PASSWORD_OF_STORE if text.partition("://")[0] in PACKAGES else _PASSWORD
    if pattern.match(text):
        raise UserError(
            "a URL must not hold a password (got one that does): leave it out, and let the store's "
            "library find it in the environment or in a profile"
        )
    if _SIGNED.match(text):
        raise UserError(
            "a URL must not hold a signature or a token (got one that does): download the file, or "
            f"name the object by its plain URL, with what opens it in {_ENVIRONMENT}"
        )


def check_folder(path: str) -> str:
    """Return a path below which others can be made: on an object store a bucket is not enough.

    Raises:
        UserError: it is a bucket.
    """
    protocol, _, inside = check_store(path).partition("://")
    if protocol in PACKAGES and "/" not in inside.strip("/"):
        raise UserError(
            f"is a whole bucket (got {path}); write to a folder in it, such as "
            f"{path.rstrip('/')}/{'clean' if inside.strip('/') else 'bucket/clean'}"
        )
    return path


def _check_slashes(path: str) -> None:
    found = _ONE_SLASH.match(path)
    if found and (found[1] in PACKAGES or found[1] in _protocols()):
        raise UserError(f"a URL has two slashes (got {path}); write {found[1]}://…")


def check_protocol(protocol: str, written: str) -> None:
    """Refuse a protocol that nobody here knows."""
    known = _protocols()
    if protocol not in known and "::" not in protocol:
        raise UserError(f"no store is known by {written}{did_you_mean(protocol, known)}")


def _protocols() -> list[str]:
    from fsspec.registry import available_protocols, registry

    return [*PACKAGES, *available_protocols(), *registry]
