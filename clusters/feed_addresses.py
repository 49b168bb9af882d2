"""A file from an address that somebody of a shop gave: fetched within bounds, and never from inside our own network.

What a name stands for is looked up once, checked, and connected to as it was checked: a name that stands for another address a
moment later leads nowhere. Each redirect is checked like the first address.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx

MOST_REDIRECTS = 5
CONNECT_S, READ_S, WHOLE_S = 10.0, 30.0, 900.0
MAX_ADDRESS = 500
NAT64 = ipaddress.ip_network("64:ff9b::/96")

INSIDE = (".localhost", ".local", ".internal", ".home.arpa")
"""Ends of names that are nobody's on the public Internet (RFC 6761, 6762, 8375)."""


class FeedError(ValueError):
    """A file that can't be had, with the reason."""


class Fetched(NamedTuple):
    """What the server said. changed : whether it sent a file.  etag, last_modified : "" where it said nothing."""

    changed: bool
    etag: str = ""
    last_modified: str = ""
    size: int = 0


def check_address(address: str) -> httpx.URL:
    """An address that may be fetched from, as far as one can tell without asking. Raises FeedError."""
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise FeedError(f"{address[:80]!r} is no address: {error}") from error
    if url.scheme not in ("http", "https") or not url.host or len(address) > MAX_ADDRESS:
        raise FeedError(f"{address[:80]!r} is no http or https address of at most {MAX_ADDRESS} characters")
    if url.userinfo:
        raise FeedError("the address holds a password, which would lie open here; use one that needs none")
    return url


def check_outside(address: str, private: Collection[str] = ()) -> None:
    """Whether the address of a new feed is outside our own network as far as it can be read from it; `fetch` looks the name up.

    private : hosts that may lie inside. Raises FeedError.
    """
    host = check_address(address).host
    if host in private:
        return
    try:
        number = socket.inet_ntoa(socket.inet_aton(host))  # also 127.1 and 0x7f000001, as the resolver reads them
    except (OSError, UnicodeError):
        number = host
    try:
        inside = not is_outside(number)
    except ValueError:
        name = host.rstrip(".").lower()
        inside = "." not in name or name.endswith(INSIDE)
    if inside:
        raise FeedError(f"{host} lies in a private network; the installation's FEED_PRIVATE_HOSTS may allow it")


def fetch(
    address: str, into: Path, *, most: int, private: Collection[str] = (), etag: str = "", last_modified: str = ""
) -> Fetched:
    """Write the file of an address to `into`, unless the server says that it is still the one of that tag or date.

    most : bytes.  private : hosts that may lie in our own network. Raises FeedError.
    """
    conditions = {"if-none-match": etag} if etag else {"if-modified-since": last_modified} if last_modified else {}
    url = check_address(address)
    with (
        httpx.Client(timeout=httpx.Timeout(READ_S, connect=CONNECT_S), trust_env=False) as client,
        _Patience(WHOLE_S) as patience,
    ):
        for _ in range(MOST_REDIRECTS + 1):
            try:
                pinned, headers = _pinned(url, private), _headers(url, conditions)
                with client.stream("GET", pinned, headers=headers, extensions=_named(url) | {"trace": patience.saw}) as answer:
                    if answer.has_redirect_location:
                        url = check_address(str(url.join(answer.headers["location"])))
                        continue
                    if answer.status_code == 304 and conditions:
                        return Fetched(False, etag, last_modified)
                    if answer.status_code != 200:
                        raise FeedError(f"{url.host} answered {answer.status_code} {answer.reason_phrase}".strip())
                    size = _written(answer, into, most)
                    told = (answer.headers.get("etag", "")[:200], answer.headers.get("last-modified", "")[:100])
                    return Fetched(True, *told, size)
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                if patience.lost:
                    raise FeedError(f"it took longer than {WHOLE_S / 60:.0f} minutes") from error
                raise FeedError(f"{url.host} can't be read from: {error or type(error).__name__}") from error
    raise FeedError(f"{address} leads on and on: more than {MOST_REDIRECTS} redirects")


class _Patience:
    """Shuts the sockets of requests after a time, from beside: a server that says a byte now and then never runs into a timeout.

    lost : whether it did.
    """

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._sockets: list[socket.socket] = []
        self.lost = False

    def __enter__(self) -> _Patience:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def saw(self, event: str, told: Mapping[str, Any]) -> None:
        """A step of the HTTP client, which names its connections as they are made."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._sockets.append(told["return_value"].get_extra_info("socket"))
            if self.lost:
                self._shut()

    def _shut(self) -> None:
        self.lost = True
        for each in self._sockets:
            with suppress(OSError):  # closed already, or handed over to TLS
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # not TLS's own, which takes from the reader what it reads with


def _written(answer: httpx.Response, into: Path, most: int) -> int:
    length = answer.headers.get("content-length", "")
    if length.isdigit() and int(length[:18]) > most:
        raise _too_large(most)
    size = 0
    with into.open("wb") as file:
        for chunk in answer.iter_raw(65_536):  # as it was sent: what is packed is unpacked within bounds
            size += len(chunk)
            if size > most:
                raise _too_large(most)
            file.write(chunk)
    return size


def _too_large(most: int) -> FeedError:
    return FeedError(f"it has more than {most:,} bytes")


def _pinned(url: httpx.URL, private: Collection[str]) -> httpx.URL:
    """The address with the host's number in place of its name, once all that it stands for may be asked. Raises FeedError."""
    try:
        found = socket.getaddrinfo(url.host, url.port or (443 if url.scheme == "https" else 80), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FeedError(f"{url.host} is not known: no such name, or the name server does not answer.") from error
    numbers = [str(entry[4][0]) for entry in found]
    if url.host not in private and (inside := [number for number in numbers if not is_outside(number)]):
        raise FeedError(f"{url.host} lies in a private network ({inside[0]}); the installation's FEED_PRIVATE_HOSTS may allow it")
    return url.copy_with(host=numbers[0])


def is_outside(number: str) -> bool:
    """Whether an IP address is one of the public Internet, by whatever way it is written."""
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour
        if within is None and address in NAT64:
            within = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if within is not None:
            return is_outside(str(within))
    return address.is_global and not address.is_multicast and not address.is_reserved


def _headers(url: httpx.URL, conditions: dict[str, str]) -> dict[str, str]:
    return {"host": url.netloc.decode("ascii"), "accept-encoding": "identity", "user-agent": "persona-clusters", **conditions}


def _named(url: httpx.URL) -> dict[str, str]:
    """The name that the server's certificate must be for."""
    return {"sni_hostname": url.raw_host.decode("ascii")}
