"""What a page tells the server, as its script hands it to the browser: Playwright misses some of what goes out as a page goes."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, Request

NOTED = """(() => {
  const note = (where, body) => {
    try {
      if (String(where).endsWith("/events") && body) sessionStorage.noted = `${sessionStorage.noted ?? ""}${body}\\n`;
    } catch {}  // where storage is blocked, requests that are seen must do
  };
  const [send, leave] = [window.fetch, navigator.sendBeacon.bind(navigator)];
  window.fetch = (where, how, ...rest) => (note(where, how?.body), send(where, how, ...rest));
  navigator.sendBeacon = (where, body) => (note(where, body), leave(where, body));
})()"""


class Told:
    """Events that a tab tells, from now on, each once: what one page said as it was left, the next says again."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._seen: list[str] = []
        page.on("request", self._see)
        page.add_init_script(NOTED)
        page.evaluate(NOTED)

    def _see(self, request: Request) -> None:
        if request.url.endswith("/events") and request.post_data:
            self._seen.append(request.post_data)

    def events(self) -> list[dict[str, Any]]:
        """In the order in which they were first told."""
        blocked_or_noted = "() => { try { return sessionStorage.noted ?? '' } catch { return '' } }"
        bodies = [*self._page.evaluate(blocked_or_noted).splitlines(), *self._seen]
        found: dict[str, dict[str, Any]] = {}
        for body in bodies:
            for event in json.loads(body)["events"]:
                found.setdefault(event["event_id"], event)
        return list(found.values())

    def names(self) -> list[str]:
        return [event["name"] for event in self.events()]
