"""A local server that answers as Open-Meteo's documentation says, or in any of the ways in which a service fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPORT = {
    "latitude": 52.52,
    "longitude": 13.419998,
    "generationtime_ms": 0.03,
    "utc_offset_seconds": 0,
    "timezone": "GMT",
    "elevation": 38.0,
    "current_units": {"time": "iso8601", "interval": "seconds", "temperature_2m": "°C", "weather_code": "wmo code"},
    "current": {"time": "2024-01-01T12:00", "interval": 900, "temperature_2m": 3.4, "weather_code": 61},
}
"""The form of an answer to `current=temperature_2m,weather_code`."""


class Service:
    """What the server says, and what it was asked. body : bytes, or a report as JSON.

    delay_s : before the answer begins.  drip_s : between its bytes, None for all at once.
    """

    def __init__(self) -> None:
        self.body: bytes | dict[str, Any] = REPORT
        self.status = 200
        self.delay_s = 0.0
        self.drip_s: float | None = None
        self.asked: list[dict[str, str]] = []
        self.address = ""

    def report(self, **current: Any) -> None:
        self.body = REPORT | {"current": current}


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined at the end: no thread outlives its test

    def handle_error(self, *_: Any) -> None:
        """A client that gave up waiting is what some tests are about."""


@contextmanager
def weather_service() -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            service.asked.append({"path": asked.path} | {k: v[0] for k, v in parse_qs(asked.query).items()})
            time.sleep(service.delay_s)
            body = service.body if isinstance(service.body, bytes) else json.dumps(service.body).encode()
            self.send_response(service.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if service.drip_s is None:
                self.wfile.write(body)
                return
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(service.drip_s)

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    service.address = f"http://127.0.0.1:{server.server_address[1]}/v1/forecast"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
