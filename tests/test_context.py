"""The adapters to the world: where an address is, and what a weather service says, whatever it says."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator

import httpx
import pytest

from personas.context import places
from personas.context.weather import Weather, evidence
from tests.weather_service import Service, weather_service


@pytest.fixture
def service() -> Iterator[Service]:
    with weather_service() as running:
        yield running


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("8.8.8.8", "US"),
        ("193.0.6.139", "NL"),
        ("::ffff:193.0.6.139", "NL"),
        (" 8.8.8.8 ", "US"),
        ("127.0.0.1", ""),
        ("10.1.2.3", ""),
        ("192.168.0.1", ""),
        ("100.64.0.1", ""),
        ("169.254.1.1", ""),
        ("0.0.0.0", ""),
        ("224.0.0.1", ""),
        ("255.255.255.255", ""),
        ("2001:4860:4860::8888", ""),
        ("::1", ""),
        ("8.8.8", ""),
        ("999.1.1.1", ""),
        ("8.8.8.8:443", ""),
        ("unix:", ""),
        ("", ""),
        ("' OR 1=1", ""),
    ],
)
def test_the_country_of_an_address(address: str, country: str) -> None:
    assert places.country_of(address) == country


def test_the_table_of_countries_is_whole() -> None:
    """249 entries of ISO 3166-1; 22 subregions and Antarctica, as standard M49 has them; every place is on Earth."""
    known = places.countries()
    assert len(known) == 249
    assert all(re.fullmatch(r"[A-Z]{2}", code) for code in known)
    assert len({c.region for c in known.values()}) == 23
    assert {code for code, c in known.items() if c.place is None} == {"BV", "HM"}, "islands where nobody lives"
    assert all(abs(c.place[0]) <= 90 and abs(c.place[1]) <= 180 for c in known.values() if c.place)
    assert known["GB"] == places.Country("Northern Europe", (51.51, -0.13))


def test_evidence_of_a_country() -> None:
    assert places.where("pl") == {"country": "PL", "region": "Eastern Europe"}
    assert places.where("Poland") == {}
    assert places.where("") == {}


@pytest.mark.parametrize(
    ("code", "degrees", "expected"),
    [
        (0, 27.0, {"weather": "clear", "temperature": "hot"}),
        (3, 18.0, {"weather": "cloudy", "temperature": "warm"}),
        (45, 5.0, {"weather": "fog", "temperature": "mild"}),
        (51.0, 4.9, {"weather": "rain", "temperature": "cold"}),
        (82, -20.0, {"weather": "rain", "temperature": "cold"}),
        (75, 0, {"weather": "snow", "temperature": "cold"}),
        (99, 17.99, {"weather": "storm", "temperature": "mild"}),
        (44, 10.0, {"temperature": "mild"}),
        (None, 10.0, {"temperature": "mild"}),
        ("61", 10.0, {"temperature": "mild"}),
        (True, 10.0, {"temperature": "mild"}),
        (61, 1e9, {"weather": "rain"}),
        (61, None, {"weather": "rain"}),
    ],
)
def test_codes_and_degrees_in_words(code: object, degrees: object, expected: dict[str, str]) -> None:
    assert evidence({"current": {"weather_code": code, "temperature_2m": degrees}}) == expected


@pytest.mark.parametrize("answer", [None, [], "rain", {}, {"current": None}, {"current": {}}, {"current": {"weather_code": -1}}])
def test_an_answer_without_a_report_is_refused(answer: object) -> None:
    with pytest.raises(ValueError, match="current|weather_code"):
        evidence(answer)


async def test_the_service_is_asked_as_its_documentation_says(service: Service) -> None:
    weather = Weather(service.address + "?apikey=k")
    assert await weather.at(52.5, -13.5) == {"weather": "rain", "temperature": "cold"}
    await weather.close()
    (asked,) = service.asked
    assert asked == {
        "path": "/v1/forecast",
        "apikey": "k",
        "latitude": "52.5",
        "longitude": "-13.5",
        "current": "temperature_2m,weather_code",
    }


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b'{"current": {"temperature_2m": NaN, "weather_code": NaN}}'),
        (200, b'{"current": {"temperature_2m": "warm"}}'),
        (200, b"\xff\xfe"),
        (200, b"[" * 5_000),
        (200, b" " * 100_000 + b'{"current": {"weather_code": 0}}'),
        (302, b""),
        (400, b'{"error": true, "reason": "Latitude must be in range"}'),
        (429, b""),
        (500, b"oops"),
    ],
)
async def test_a_service_that_fails_is_no_evidence(service: Service, status: int, body: bytes) -> None:
    service.status, service.body = status, body
    weather = Weather(service.address)
    assert await weather.at(1.0, 2.0) is None
    service.status = 200
    service.report(weather_code=0, temperature_2m=20.0)
    assert await weather.at(1.0, 2.0) == {"weather": "clear", "temperature": "warm"}, "and it is asked again later"
    await weather.close()


async def test_an_answer_that_drips_is_given_up(service: Service) -> None:
    """Each byte comes well within the timeout of a silence; the whole would take a minute."""
    service.body, service.drip_s = b" " * 600, 0.1
    weather = Weather(service.address, whole_s=0.4)
    began = time.monotonic()
    assert await weather.at(1.0, 2.0) is None
    assert time.monotonic() - began < 5.0
    await weather.close()


async def test_silence_and_absence_are_told_once_and_without_the_address(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.delay_s = 0.5
    weather = Weather(service.address + "?apikey=secret", httpx.AsyncClient(timeout=0.05))
    with caplog.at_level(logging.WARNING):
        assert await weather.at(1.0, 2.0) is None
        assert await weather.at(1.0, 3.0) is None
    await weather.close()
    nobody = Weather("http://127.0.0.1:9/v1/forecast")
    assert await nobody.at(1.0, 2.0) is None
    await nobody.close()
    assert len([r for r in caplog.records if "weather service failed" in r.message]) == 2, "once a client"
    assert "secret" not in caplog.text
    assert "127.0.0.1" not in caplog.text
