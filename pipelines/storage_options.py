"""The recipe's `storage`: options that the file system of a store knows, none of them secret."""

import inspect
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from pipelines.errors import UserError, did_you_mean
from pipelines.stores import PACKAGES, check_protocol, check_url

_SECRET = re.compile(
    r"key|secret|token|passw|credential|sas|connection_string|cookie|authori[sz]ation|signature$",
    re.I,
)
_PUBLIC_NAMES = re.compile(r"kms_?key|bucket_?key", re.I)
"""Names of keys, which are none."""
_PUBLIC_TOKENS = ("anon", "google_default", "cloud", "cache", "browser")
"""What gcsfs takes for `token` and is none."""
_PASSED_ON = ("use_listings_cache", "listings_expiry_time", "max_paths", "skip_instance_cache")
"""Options of every file system of fsspec."""

Named = tuple[str, ...]


def check_storage(storage: Any) -> Any:
    """Return options that their file systems know and that hold no secret.

    Raises:
        UserError: one of them is unknown, is no mapping, or holds a secret, which is not repeated.
    """
    if not isinstance(storage, Mapping):
        raise UserError(
            "must be a mapping of protocols (got something else): s3: {endpoint_url: …}"
        )
    for path, value in _leaves(storage):
        check_public(path, value)
    for protocol, options in storage.items():
        check_protocol(str(protocol), str(protocol))
        if not isinstance(options, Mapping):
            raise UserError(f"{protocol} must be a mapping of options (got something else)")
        _check_names(str(protocol), options)
    return storage


def check_public(path: Named, value: object) -> None:
    """Refuse a value that is a secret by its name or as a URL."""
    name = ".".join(path)
    public = value is None or isinstance(value, bool | int | float) or value in _PUBLIC_TOKENS
    if not public and any(_SECRET.search(p) and not _PUBLIC_NAMES.search(p) for p in path):
        raise UserError(
            f"{name} looks like a secret, which has no place in a recipe (got one): "
            "put it into the environment or a profile that the store's library reads"
        )
    if isinstance(value, str):
        try:
            check_url(value)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None


def secrets_in(value: object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the place of each URL in plain data that holds a secret, and what is wrong with it."""
    parts: list[tuple[str | int, object]] = []
    if isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    elif isinstance(value, str):
        try:
            check_url(value)
        except UserError as error:
            yield (), str(error)
    for name, inner in parts:
        yield from (((name, *place), said) for place, said in secrets_in(inner))


def _leaves(value: object, above: Named = ()) -> Iterator[tuple[Named, object]]:
    """Yield each value that is neither a mapping nor a list, and where it stands."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*above, str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner, above)
    else:
        yield above, value


def _check_names(protocol: str, options: Mapping[str, Any]) -> None:
    known = _options_of_system(protocol)
    for name in options if known else ():
        if name not in known:
            raise _unknown(protocol, name, known)
    endpoint = options.get("endpoint_url")
    if endpoint is not None and not re.match(r"https?://[^/]", str(endpoint)):
        raise UserError(
            f"{protocol}.endpoint_url must begin with http:// or https:// (got {endpoint})"
        )
    if PACKAGES.get(protocol, ("",))[0] == "s3fs":
        _check_config(protocol, options.get("config_kwargs"))


def _check_config(protocol: str, given: object) -> None:
    """Check what botocore would refuse only once it is asked for a file."""
    if isinstance(given, Mapping) and find_spec("botocore") is not None:
        from botocore.config import Config

        for name in given:
            if name not in Config.OPTION_DEFAULTS:
                raise _unknown(f"{protocol}.config_kwargs", name, list(Config.OPTION_DEFAULTS))


def _unknown(owner: str, name: str, known: list[str]) -> UserError:
    public = [one for one in known if not _SECRET.search(one)]
    return UserError(
        f"{owner} has no option {name!r}; allowed: {', '.join(public)}{did_you_mean(name, public)}"
    )


def _options_of_system(protocol: str) -> list[str]:
    """Return what a file system is made with; nothing where that cannot be told here."""
    if protocol not in PACKAGES or find_spec(PACKAGES[protocol][0]) is None:
        return []
    from fsspec import get_filesystem_class

    made = get_filesystem_class(protocol)
    named = [
        name
        for owner in made.__mro__
        if "__init__" in vars(owner)
        for name, one in inspect.signature(owner.__init__).parameters.items()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    ours = ("self", "asynchronous", "loop", "batch_size")
    return [name for name in dict.fromkeys((*named, *_PASSED_ON)) if name not in ours]
