"""The weather at a place, from a service that speaks the API of Open-Meteo.

`GET <address>?latitude=..&longitude=..&current=temperature_2m,weather_code` answers
`{"current": {"temperature_2m": 13.2, "weather_code": 61}}`: degrees Celsius, and a code of the WMO's table 4677.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import httpx
import msgspec

logger = logging.getLogger(__name__)

TIMEOUT_S = 2.0
"""What a service that doesn't answer costs one of the gatherers; nobody else waits for it."""

WHOLE_S = 4.0
"""Longest for a whole answer: one that comes a byte at a time never falls silent for `TIMEOUT_S`."""

MAX_ANSWER = 65_536
_SKIES = {
    **dict.fromkeys((0, 1), "clear"),
    **dict.fromkeys((2, 3), "cloudy"),
    **dict.fromkeys((45, 48), "fog"),
    **dict.fromkeys((51, 53, 55, 56, 57, 61, 63, 65, 66, 67, 80, 81, 82), "rain"),
    **dict.fromkeys((71, 73, 75, 77, 85, 86), "snow"),
    **dict.fromkeys((95, 96, 99), "storm"),
}
_WARMTHS = ((5.0, "cold"), (18.0, "mild"), (27.0, "warm"), (math.inf, "hot"))
"""Below so many degrees Celsius, so called."""

COLDEST_C, HOTTEST_C = -95.0, 65.0
"""Beyond what was ever measured on Earth a reading is a fault."""


class Weather:
    """A client of one service. address : of its forecast; a query in it (a key) is kept.

    client : for tests; by default one that follows no redirect and gives up after `TIMEOUT_S`.
    """

    def __init__(self, address: str, client: httpx.AsyncClient | None = None, *, whole_s: float = WHOLE_S) -> None:
        self._address = httpx.URL(address)
        self._whole_s = whole_s
        self._client = client or httpx.AsyncClient(timeout=TIMEOUT_S)
        self._failing = False

    async def close(self) -> None:
        await self._client.aclose()

    async def at(self, latitude: float, longitude: float) -> dict[str, str] | None:
        """Evidence of the weather there now (`weather`, `temperature`), or None if the service failed.

        A failure is logged when it begins, not at every request. Asked once, never again for the same answer.
        """
        asked = {"latitude": f"{latitude:g}", "longitude": f"{longitude:g}", "current": "temperature_2m,weather_code"}
        try:
            async with asyncio.timeout(self._whole_s):
                found = evidence(msgspec.json.decode(await self._read(self._address.copy_merge_params(asked))))
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            if not self._failing:
                # Not the error's words: they may name the address, and with it a key.
                logger.warning("the weather service failed (%s); shoppers go without until it is back", type(error).__name__)
            self._failing = True
            return None
        self._failing = False
        return found

    async def _read(self, address: httpx.URL) -> bytes:
        """The body, read no further than `MAX_ANSWER`. Raises httpx.HTTPError, ValueError."""
        body = b""
        async with self._client.stream("GET", address) as answer:
            answer.raise_for_status()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER:
                    raise ValueError(f"more than {MAX_ANSWER} bytes")
        return body


def evidence(answer: Any) -> dict[str, str]:
    """What an answer says. A value that is missing or no sensible number is left out; ValueError if nothing is left."""
    current = answer.get("current") if isinstance(answer, dict) else None
    if not isinstance(current, dict):
        raise ValueError("no `current` in the answer")
    found = {}
    code, degrees = current.get("weather_code"), current.get("temperature_2m")
    if isinstance(code, int | float) and not isinstance(code, bool) and code in _SKIES:
        found["weather"] = _SKIES[int(code)]
    if isinstance(degrees, int | float) and not isinstance(degrees, bool) and COLDEST_C <= degrees <= HOTTEST_C:
        found["temperature"] = next(name for limit, name in _WARMTHS if degrees < limit)
    if not found:
        raise ValueError("neither `weather_code` nor `temperature_2m` can be read")
    return found
