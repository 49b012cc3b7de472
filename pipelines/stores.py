"""Object stores: what they need, how they are reached, and what their errors mean to a person.

Files are opened by fsspec. Options such as an endpoint come from the recipe's `storage`, secrets
never do: each store's library finds them where it always does, in the environment or in a profile.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from pipelines.errors import UserError

Storage = dict[str, dict[str, Any]]
"""Options for fsspec, by protocol."""

PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "s3")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gcs")),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), ("adlfs", "azure")),
}
"""Module and pip extra that each protocol needs."""

_SECRET = re.compile(r"key|secret|token|passw|credential|sas|connection_string|cookie", re.I)
_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_USER_INFO = re.compile(r"^\w+://[^/]*:[^/]*@")
_UNREACHABLE = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    "HTTPClientError",
    "ClientConnectorError",
    "ServerTimeoutError",
)
_DEFAULTS: Storage = {
    "s3": {
        "config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 5}}
    }
}
_given: Storage = {}


class StoreFailed(RuntimeError):
    """An object store that does not answer, or not as it should; running again may help."""


def use_storage(storage: Storage) -> None:
    """Set the options of this process by which stores are reached from now on."""
    global _given
    _given = storage


def options_of(path: str) -> dict[str, Any]:
    """Return the options for a URL: those given, over defaults that give up within minutes."""
    protocol = path.partition("://")[0]
    name = {"s3a": "s3", "gcs": "gs"}.get(protocol, protocol)
    return {**_DEFAULTS.get(name, {}), **_given.get(protocol, _given.get(name, {}))}


def check_store(path: str) -> str:
    """Return a path or URL that can be opened here.

    Raises:
        UserError: no system has such a path, a package is missing, or the URL holds a password.
    """
    check_path(path)
    if _USER_INFO.match(path):
        raise UserError(
            "a URL must not hold a password (got one that does): leave it out, and let the store's "
            "library find it in the environment or in a profile"
        )
    protocol, is_url, _ = path.partition("://")
    if is_url and protocol in PACKAGES:
        module, extra = PACKAGES[protocol]
        if find_spec(module) is None:
            raise UserError(
                f"{protocol}:// needs {module}, not installed here; "
                f"run: pip install 'curate-proof[{extra}]'"
            )
        if not path[len(protocol) + 3 :].strip("/"):
            raise UserError(f"{path} names no bucket; write {protocol}://bucket/folder")
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


def check_storage(storage: Storage) -> Storage:
    """Return options that hold no secret.

    Raises:
        UserError: one of them does; it is named without its value.
    """
    for path in _paths(storage):
        if any(_SECRET.search(part) for part in path):
            raise UserError(
                f"{'.'.join(path)} looks like a secret, which has no place in a recipe (got one): "
                "put it into the environment or a profile that the store's library reads"
            )
    return storage


def _paths(value: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in value.items():
        yield (*above, str(name))
        if isinstance(inner, Mapping):
            yield from _paths(inner, (*above, str(name)))


def explained(error: BaseException) -> UserError | StoreFailed | None:
    """Return what an error of a store means, None if it is no such error."""
    seen: BaseException | None = error
    known: set[int] = set()
    while seen is not None and id(seen) not in known:  # a chain may lead back into itself
        known.add(id(seen))
        kind, module = type(seen).__name__, type(seen).__module__.partition(".")[0]
        if module in ("botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure", "adlfs"):
            if kind in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
                return UserError(f"the object store got no credentials: {seen}")
            if kind in _UNREACHABLE:
                return StoreFailed(
                    f"the object store cannot be reached: {seen}; check endpoint and network, "
                    "then run the same command again"
                )
            return StoreFailed(f"the object store failed: {seen}; run the same command again")
        seen = seen.__cause__ or seen.__context__
    return None
