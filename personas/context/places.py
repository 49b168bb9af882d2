"""Where an address is: country, region, and a place to ask the weather of.

The country of an IPv4 address is read from the table that the package `ip3country` ships: no request leaves the machine.
`countries.csv` holds the 249 countries of ISO 3166-1 with their subregion by the United Nations (standard M49) and the
position of their principal city, as the tz database's `zone.tab` has it (public domain).
"""

from __future__ import annotations

import csv
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from ip3country import CountryLookup

COUNTRIES = Path(__file__).with_name("countries.csv")


class Country(NamedTuple):
    """region : a subregion such as "Northern Europe".  place : degrees (latitude, longitude), None where nobody lives."""

    region: str
    place: tuple[float, float] | None


@cache
def countries() -> dict[str, Country]:
    """Every country by its ISO 3166-1 code of two capital letters."""
    with COUNTRIES.open(encoding="utf-8", newline="") as file:
        return {
            row["country"]: Country(row["region"], (float(row["latitude"]), float(row["longitude"])) if row["latitude"] else None)
            for row in csv.DictReader(file)
        }


@cache
def _table() -> CountryLookup:
    """200,000 ranges, read once a process: a tenth of a second."""
    return CountryLookup()


def country_of(address: str) -> str:
    """The country's code, "" for an address that is private, reserved, IPv6, not in the table, or no address at all."""
    try:
        given: IPv4Address | IPv6Address | None = ip_address(address.strip())
    except ValueError:
        return ""
    if isinstance(given, IPv6Address):
        given = given.ipv4_mapped
    if given is None or not given.is_global or given.is_multicast:
        return ""
    found = _table().lookupNumeric(int(given))
    return found if found in countries() else ""


def where(country: str) -> dict[str, str]:
    """Evidence of a country: `country` and `region`; nothing where the code is not one of ISO 3166-1."""
    known = countries().get(country.upper())
    return {"country": country.upper(), "region": known.region} if known else {}
