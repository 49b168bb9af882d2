"""What a merchandiser waits for beyond the pages of the sidebar: their filters and sorts, parts that a page asks for, files, and
lists over the API. Of a shop that `made_desk` made."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, NamedTuple

PAGE_MS = 300.0
RANKS_MS = 2_000.0
"""Of what ranks visits anew, or makes every draft and takes it back: the page is there before, and says that it looks."""


class Ask(NamedTuple):
    """post : what a form sends, None where it is asked for with GET.  before : called before each request.

    api : whether it is asked for with an API key.
    """

    name: str
    address: str
    post: dict[str, Any] | None = None
    most_ms: float = PAGE_MS
    before: Callable[[], None] | None = None
    api: bool = False


def asks(client: Any) -> list[Ask]:
    """client : of somebody who may do everything; pages whose forms are sent are read through it."""
    from django.core.cache import cache
    from django.urls import reverse

    from clusters.models import ClusterMembership, ItemCluster
    from personas.models import Archetype, Session, Shop
    from recommendations import releases
    from recommendations.benchmarks.made_desk import LONG
    from recommendations.models import MerchandisingRule
    from recommendations.serving.held import course_key

    shop = Shop.objects.get(slug="made")
    one, two = ItemCluster.objects.filter(shop=shop).live().order_by("-size").values_list("pk", flat=True)[:2]
    items = list(ClusterMembership.objects.filter(cluster=one).order_by("-weight").values_list("item", flat=True)[:12])
    visit = Session.objects.get(shop=shop, session_id=LONG).pk
    who = Archetype.objects.filter(shop=shop).order_by("pk").values_list("pk", flat=True)[0]
    rule = MerchandisingRule.objects.filter(shop=shop).order_by("pk").values_list("pk", flat=True)[0]

    def at(name: str, *args: object, query: str = "") -> str:
        return reverse(f"admin:{name}", args=args) + (f"?{query}" if query else "")

    def page(name: str, address: str, **more: Any) -> Ask:
        return Ask(name, address, **more)

    def ranks(name: str, address: str, post: dict[str, Any] | None = None, **more: Any) -> Ask:
        return Ask(name, address, post, RANKS_MS, **more)

    def not_walked() -> None:
        releases.redis_client().delete(course_key(visit))

    cluster, persona, walk = "clusters_itemcluster", "personas_archetype", at("personas_session_visit", visit)
    rules, drafts, looks = "recommendations_merchandisingrule", "recommendations_draftedit", {"how": "preview"}
    grid, weights = at(f"{cluster}_grid"), at(f"{persona}_weights", who)
    boost = fields(client.get(at(f"{rules}_change", rule)), 'id="rule-form"')
    boost |= {"action": ["boost"], "strength": ["2"], "categories": ["category 3"]}
    said = [f"do=view_item:sku-{items[0]}", f"do=add_to_cart:sku-{items[1]}", "do=search:red+skirt"]
    return [
        page("personas, 90 days", at(f"{persona}_overview", query="days=90")),
        page("a persona in the data", at(f"{persona}_portrait", who)),
        page("a persona in the data, 90 days", at(f"{persona}_portrait", who, query="days=90")),
        page("a persona's clusters, file", at(f"{persona}_portrait", who, query="csv=clusters")),
        page("a persona's weights", weights),
        ranks("a persona's weights, tried on visits", at(f"{persona}_try", who), fields(client.get(weights), "data-try")),
        page("clusters, best rate first", f"{grid}?sort=rate"),
        page("clusters, moved most first", f"{grid}?sort=drift"),
        page("clusters, searched", f"{grid}?q=red"),
        page("clusters, whom they suit", f"{grid}?view=suits"),
        page("clusters of a persona", f"{grid}?persona={who}&page=3"),
        page("clusters, file", f"{grid}?format=csv"),
        page("the largest cluster", at(f"{cluster}_change", one)),
        page("split, its page", at(f"{cluster}_split", one)),
        page("keep out, its page", at(f"{cluster}_keep_out", one)),
        page("merge, its page", at(f"{cluster}_merge", query=f"cluster={one}&cluster={two}")),
        page("items found to be ticked", at(f"{cluster}_found", shop.pk, query=f"q=red+skirt&within={one}")),
        ranks("exclude, previewed", at(f"{cluster}_items", one), looks | {"verb": "exclude", "item": items}),
        ranks("make core, previewed", at(f"{cluster}_items", one), looks | {"verb": "core", "item": items}),
        ranks("split, previewed", at(f"{cluster}_split", one), looks | {"name": "Benchmark", "item": items}),
        ranks("merge, previewed", at(f"{cluster}_merge"), looks | {"name": "Benchmark", "cluster": [one, two]}),
        ranks("make, previewed", at(f"{cluster}_add"), looks | {"name": "Benchmark", "item": items}),
        ranks("keep out, previewed", at(f"{cluster}_keep_out", one), looks | {"kind": "price_tier=top"}),
        ranks("retire, previewed", at(f"{cluster}_several", "retire"), looks | {"cluster": [one]}),
        page("items, searched", at("clusters_item_changelist", query="q=red")),
        page("items by their category", at("clusters_item_changelist", query="o=4")),
        page("a new rule", at(f"{rules}_add")),
        page("items found for a rule", at(f"{rules}_found", shop.pk, query="q=red")),
        page("rules that contradict each other", at(f"{rules}_conflicts")),
        page("whether a rule helps", at(f"{rules}_verdict", rule)),
        ranks("a rule, tried", at(f"{rules}_tried", shop.pk), boost),
        page("unpublished changes, how many", at(f"{drafts}_count")),
        page("unpublished changes, file", at(f"{drafts}_changelist", query="format=csv")),
        ranks("unpublished changes, looked at", at(f"{drafts}_outcomes"), before=cache.clear),
        ranks("preview of a made visit", at(f"{drafts}_preview", query="&".join(said))),
        page("visits that bought", at("personas_session_visits", query="bought=yes")),
        page("visits, file", at("personas_session_visits", query="format=csv")),
        ranks("a visit of 500 events, first look", walk, before=not_walked),
        page("a visit of 500 events, step 450", f"{walk}?step=450"),
        ranks("a visit of 500 events, without its third", f"{walk}?step=20&edit=out:3"),
        page("what is searched for, file", at("recommendations_fileimport_searches", query="format=csv")),
        page("API: items", "/api/v1/items/?limit=100", api=True),
        page("API: clusters", "/api/v1/clusters/?limit=100", api=True),
        page("API: a cluster's items", f"/api/v1/clusters/{one}/items/?limit=100", api=True),
        page("API: search", "/api/v1/search?q=red+skirt", api=True),
    ]  # fmt: skip


def fields(answer: Any, mark: str) -> dict[str, list[str]]:
    """What the form whose tag holds `mark` would send, as a browser has it, the submit buttons apart. Raises ValueError."""
    text = answer.content.decode()
    inside = text.find(mark)
    if inside < 0:
        raise ValueError(f"a page has no form with {mark}")
    reader = _Reader()
    reader.feed(text[text.rindex("<form", 0, inside) : text.index("</form>", inside)])
    return reader.sent


class _Reader(HTMLParser):
    """Collects the controls of a form. sent : name -> values."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = {}
        self._select = self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        ticked = given.get("type") not in ("checkbox", "radio") or "checked" in given
        if tag == "input" and ticked and given.get("type") != "submit" and given.get("name"):
            self._send(given["name"], given.get("value", ""))
        elif tag == "select":
            self._select = given.get("name", "")
        elif tag == "option" and "selected" in given and self._select:
            self._send(self._select, given.get("value", ""))
        elif tag == "textarea":
            self._area = given.get("name", "")
            self._send(self._area, "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.sent[self._area][-1] += data.strip()

    def _send(self, name: str, value: str) -> None:
        self.sent.setdefault(name, []).append(value)
