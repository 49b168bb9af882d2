"""What the storefront's pages weigh, each loaded cold in Chromium, on a desk and on a phone: bytes, requests, shift, moments.

Needs the development packages (`make install-dev`), Chromium, and a demo shop that is served (`make run`). Bytes and requests are
as they came over the wire until the page had been quiet; sockets are not counted. Layout shift is the sum of all `layout-shift`
entries, which is no less than the Web Vitals' worst window. Moments of painting are this machine's, on a network without delay.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from typing import Any

from recommendations.benchmarks.load import BenchmarkError

SCREENS = {"desk": (1440, 900), "phone": (360, 740)}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SETTLED_MS = 2_500
"""Rails come over a socket, which the browser's own word for a quiet network doesn't wait for."""

WATCH = """() => {
  window.told = {shift: 0, lcp: 0, blocked: 0};
  const watch = (type, hear) =>
    new PerformanceObserver((list) => list.getEntries().forEach(hear)).observe({type, buffered: true});
  watch("layout-shift", (entry) => { told.shift += entry.value; });
  watch("largest-contentful-paint", (entry) => { told.lcp = entry.startTime; });
  watch("longtask", (entry) => { told.blocked += Math.max(0, entry.duration - 50); });
}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", default="http://localhost:8000", help="where the shop is served (default: %(default)s)")
    parser.add_argument("--shop", default="fashion", help="a demo shop's slug (default: %(default)s)")
    parser.add_argument("--item", default="A16", help="an item of it that is in stock (default: %(default)s)")
    parser.add_argument("--category", default="trousers", help="a category of it (default: %(default)s)")


def run(options: argparse.Namespace) -> dict[str, float]:
    """By page and screen: KB, requests, layout shift, ms to the largest paint, ms of tasks beyond 50. Raises BenchmarkError."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise BenchmarkError("playwright is not installed: make install-dev") from error
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        raise BenchmarkError("there is no Chromium on this machine (on Debian: apt install chromium)")
    shop = f"{options.base}/shop/{options.shop}/"
    item = f"{shop}item/{options.item}/"
    pages = {"home": shop, "category": f"{shop}category/{options.category}/", "item": item, "search": f"{shop}search/?q=blue"}
    pages |= {"bag": f"{shop}bag/", "checkout": f"{shop}checkout/"}
    results: dict[str, float] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        try:
            for screen, (width, height) in SCREENS.items():
                for name, address in pages.items():
                    bought = item if name in ("bag", "checkout") else ""
                    with browser.new_context(viewport={"width": width, "height": height}) as context:
                        for figure, value in _weighed(context, address, bought).items():
                            results[f"{name}, {screen}: {figure}"] = value
        except Error as error:
            raise BenchmarkError(f"{options.base}: {error.message}") from error
        finally:
            browser.close()
    return results


def _weighed(context: Any, address: str, bought: str) -> Mapping[str, float]:
    """One page, loaded cold. bought : page of an item that is put into the bag before, "" for none."""
    page = context.new_page()
    if bought:
        page.goto(bought)
        page.locator("#add").click()
        page.locator("#add-said").filter(has_text="bag").wait_for()
        page.close()
        page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.send("Network.clearBrowserCache")
    sizes: list[float] = []
    wire.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
    page.add_init_script(f"({WATCH})()")
    answer = page.goto(address, wait_until="networkidle")
    if answer is None or answer.status != 200 or page.url != address:
        raise BenchmarkError(f"{address} answered {answer and answer.status} at {page.url}")
    page.wait_for_timeout(SETTLED_MS)
    told = page.evaluate("told")
    return {
        "KB": round(sum(sizes) / 1_000, 1),
        "requests": len(sizes),
        "layout shift": round(told["shift"], 4),
        "largest paint ms": round(told["lcp"]),
        "blocked ms": round(told["blocked"]),
    }
