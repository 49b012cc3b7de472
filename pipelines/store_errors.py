"""What errors of a store or a full disk mean: refused is the user's to mend, failed the store's.

The libraries of stores turn both into the errors that a disk raises, which readers take for a
damaged file. So file systems and open files of stores are guarded: what they raise says what it is.
A file that is not there stays `FileNotFoundError`, one that shrank or changed an `OSError`.
"""

import errno
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pipelines.errors import UserError

_LIBRARIES = (
    *("botocore", "aiobotocore", "s3fs", "aiohttp", "gcsfs", "google.auth", "google.api_core"),
    *("google.cloud.storage", "azure", "adlfs"),
)
_NO_CREDENTIALS = (
    *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"),
    *("CredentialRetrievalError", "DefaultCredentialsError", "SSOTokenLoadError"),
    *("UnauthorizedSSOTokenError", "NoAuthTokenError", "RefreshError"),
)
_UNREACHABLE = (
    *("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "SSLError"),
    *("ConnectionClosedError", "HTTPClientError", "ProxyConnectionError", "ServerTimeoutError"),
    *("ClientConnectorError", "ClientConnectorDNSError", "ServiceRequestError", "TransportError"),
)
_ABSENT = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
_CHANGED = (412, 416)
"""Statuses of a file that is no longer what it was when it was opened."""
_LATER = (408, 409, 429)
"""Statuses below 500 that say nothing against the request."""
_REFUSALS = (
    *(errno.EINVAL, errno.EPERM, errno.ENAMETOOLONG, errno.EMSGSIZE),
    getattr(errno, "EREMCHG", errno.EINVAL),
)
"""What s3fs makes of a refusal where it drops the answer itself."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
SECRET_QUERY = r"(?:sig|signature|token|credential|secret|passw\w*|key|keyid)"
"""Ends of the names by which a URL carries a secret."""
_SECRET_IN_URL = (
    (re.compile(r"(://)[^\s\"'/@]*:[^\s\"'@]*@"), r"\1***@"),
    (re.compile(r"(https?://)[^\s\"'/@]*@"), r"\1***@"),
    (re.compile(rf"([?&][\w-]*{SECRET_QUERY}=)[^&\s\"']*", re.I), r"\1***"),
)


class StoreFailed(RuntimeError):
    """An object store that does not answer, or not as it should; running again may help."""


class StoreRefused(UserError):
    """An object store that refuses: credentials, rights or names are the user's to mend."""


STORE_ERRORS = (StoreFailed, StoreRefused)


def scrubbed(text: str) -> str:
    """Return a text without passwords and signatures in its URLs."""
    for found, instead in _SECRET_IN_URL:
        text = found.sub(instead, text)
    return text


def explained(error: BaseException, path: str = "") -> UserError | StoreFailed | None:
    """Return what an error of a store means, None if it is no such error.

    Args:
        error: what was raised, perhaps by a runner that wrapped it.
        path: what was opened, to name it.
    """
    for seen in _chain(error):
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return StoreFailed(
                "no space is left on the disk: free some, then run the same command again; "
                "it takes the run up"
            )
        if isinstance(seen, STORE_ERRORS):
            return type(seen)(_own_words(seen))
        if isinstance(seen, _ABSENT) or type(seen).__name__ == "FileExpired":
            return None
        if _is_of_store(seen) or (path and isinstance(seen, OSError)):
            return _meaning(seen, path)
    return _out_of_text(str(error))


class Guarded:
    """A file system or an open file of a store, whose errors say what they mean."""

    def __init__(self, inner: Any, path: str) -> None:
        self._inner, self._path = inner, path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self._inner, name)
        return partial(self._told, found) if callable(found) else found

    def __enter__(self) -> "Guarded":
        return self

    def __exit__(self, *raised: object) -> None:
        self._told(self._inner.__exit__, *raised)

    def __iter__(self) -> Iterator[bytes]:
        while line := self._told(self._inner.readline):
            yield line

    def _told(self, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
        try:
            found = method(*given, **named)
        except Exception as error:
            said = None if isinstance(error, STORE_ERRORS) else explained(error, self._path)
            if said is None:
                raise
            raise said from error
        return Guarded(found, self._path) if method.__name__ == "open" else found


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came of; a chain may lead back into itself."""
    seen: BaseException | None = error
    known: set[int] = set()
    while seen is not None and id(seen) not in known:
        known.add(id(seen))
        yield seen
        seen = seen.__cause__ or seen.__context__


def _is_of_store(error: BaseException) -> bool:
    return f"{type(error).__module__}.".startswith(tuple(f"{name}." for name in _LIBRARIES))


def _meaning(error: BaseException, path: str) -> UserError | StoreFailed | None:
    """Return what the first error of a chain that speaks of the store means."""
    names, status, answered = set[str](), None, ""
    for seen in _chain(error):
        names |= {type(seen).__name__, *(one.__name__ for one in type(seen).__mro__)}
        status, answered = status or _status(seen), answered or _answer(seen)
    where = f"{scrubbed(path)}: " if path else ""
    said = scrubbed(answered or str(error) or type(error).__name__).rstrip(".")
    if status in _CHANGED:
        return None
    if not names.isdisjoint(_NO_CREDENTIALS):
        return StoreRefused(
            f"{where}the object store got no credentials: {said}; "
            "set them in the environment or in a profile"
        )
    if _refuses(error, status):
        return StoreRefused(
            f"{where}the object store refuses this ({said}): check the credentials in the "
            "environment or profile, what they allow, and the endpoint in `storage`"
        )
    if not names.isdisjoint(_UNREACHABLE) or isinstance(error, ConnectionError | TimeoutError):
        return StoreFailed(
            f"{where}the object store cannot be reached: {said}; check endpoint and network, "
            "then run the same command again"
        )
    return StoreFailed(f"{where}the object store failed: {said}; run the same command again")


def _refuses(error: BaseException, status: int | None) -> bool:
    if status is not None:
        return 300 <= status < 500 and status not in _LATER
    if isinstance(error, PermissionError):
        return True
    return isinstance(error, OSError) and error.errno in _REFUSALS


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an error of any store's library carries."""
    if type(error).__module__ == "aiohttp.http_exceptions":
        return None  # an answer that broke off carries a status of its own
    response = getattr(error, "response", None)
    found: Any = None
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    for name in ("status", "status_code", "code"):
        found = found or getattr(error, name, None)
    return int(found) if str(found).isdecimal() else None


def _answer(error: BaseException) -> str:
    """Return code and message of what S3 answered."""
    response = getattr(error, "response", None)
    said = response.get("Error", {}) if isinstance(response, dict) else {}
    parts = (said.get("Code"), said.get("Message"))
    return ": ".join(str(part) for part in parts if part)


_WRAPPED = re.compile(r"\s*\[while running .*", re.S)
_IN_TRACEBACK = re.compile(r"^pipelines\.store_errors\.(StoreFailed|StoreRefused): (.+)$", re.M)


def _own_words(error: BaseException) -> str:
    """Return the message without what a runner adds to it."""
    return _WRAPPED.sub("", str(error))


def _out_of_text(text: str) -> UserError | StoreFailed | None:
    """Return the store's error of which a runner left only the traceback, as text."""
    found = _IN_TRACEBACK.search(text)
    if found is None:
        return None
    kind = StoreFailed if found[1] == "StoreFailed" else StoreRefused
    return kind(_WRAPPED.sub("", found[2]))
