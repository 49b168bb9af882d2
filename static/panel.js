// Makes a page of the storefront live: tells what the shopper does, shows what comes back.

import "./progress.js";
import { Bag, keyOfBag } from "./bag.js";
import { colourFaces, inPlace, show } from "./belief.js";
import { Circumstances } from "./circumstances.js";
import { Live, newId } from "./live.js";
import { ofBrowser, ofTab } from "./memory.js";
import { Order } from "./order.js";
import { Rail } from "./rail.js";
import { drawCourse, extended } from "./timeline.js";

const settings = JSON.parse(document.getElementById("panel-settings").textContent);
const memory = `panel:${settings.shop}:${settings.visit}`;
const kept = ofTab.get(memory) ?? {};
const remembered = kept.events ?? {};
const words = { live: "Live", down: "Live updates are off; asking every few seconds" };
const linkState = document.getElementById("link-state");

function keep(change) {
  Object.assign(kept, change);
  ofTab.set(memory, kept);
}

/** An event in GA4 terms; what it was about is remembered, so that the evidence can be told in words. */
function event(name, details = {}, about = {}) {
  const made = { event_id: newId(), name, timestamp_micros: Date.now() * 1000, ...details };
  remember(made, about);
  return made;
}

function remember({ event_id, name }, about) {
  remembered[event_id.slice(0, 12)] ??= { name, ...about };
  const ids = Object.keys(remembered);
  for (const id of ids.slice(0, Math.max(0, ids.length - 40))) delete remembered[id];
  keep({ events: remembered });
}

// A slate older than what the shopper last did is not shown, and those that only answer our own report of what was
// seen aren't either: a rail must not move because somebody looked at it.
let underWay = 0;
let floor = -1;
let latest = kept.slate?.version ?? -1;
const newest = new Map();
const rails = new Map();

function offer(rail, slate) {
  newest.set(rail, slate);
  latest = Math.max(latest, slate.version);
  if (underWay === 0) settle();
}

function settle() {
  for (const [name, slate] of newest) {
    // A rail that has shown nothing yet shows what there is.
    if (slate.version <= floor && rails.get(name)?.filled) continue;
    rails.get(name)?.show(slate);
    if (name === "") keep({ slate });
  }
  newest.clear();
}

async function tell(events, { passive = false } = {}) {
  underWay += 1;
  if (!passive) for (const rail of rails.values()) rail.turn();
  const before = latest;
  const version = await live.send(events);
  underWay -= 1;
  if (version !== null) {
    // The next versions after reports of ours are the slates that answer them, one a rail, unless something else moved the session.
    const alone = version === before + live.reports(version);
    if (!passive) floor = Math.max(floor, version);
    else if (alone) floor = Math.max(floor, version + live.asks.size);
  }
  if (underWay === 0) settle();
}

function addRail(name, root, recommend) {
  const report = (recommendation_id, items) => tell([event("view_item_list", { recommendation_id, items })], { passive: true });
  const rail = new Rail(root, settings, settings.paused ? () => {} : report);
  rails.set(name, rail);
  if (settings.paused) {
    // As somebody of whom nothing is known, once, and nothing of it is told.
    live.slate(recommend).then((slate) => slate && rail.show(slate, { animate: false }), () => {});
    return rail;
  }
  live.ask(name, recommend);
  rail.list.addEventListener("click", (click) => {
    const card = click.target.closest("a")?.closest(".rail-card");
    if (!card?.dataset.recommendation) return;
    const items = [{ item_id: card.dataset.item, index: Number(card.dataset.slot) }];
    const of = { title: card.querySelector(".title").textContent, category: card.dataset.category };
    live.send([event("select_item", { recommendation_id: card.dataset.recommendation, items }, of)]);
  });
  return rail;
}

const live = new Live(settings, {
  slate: offer,
  made: (event) => remember(event, about),
  profile: (profile) => {
    show(profile, remembered);
    keep({ profile });
    circumstances?.found(profile);
    follow(profile);
  },
  state: (state, detail) => {
    const said = words[state] ?? detail;
    if (linkState.textContent !== said) linkState.textContent = said;
    linkState.classList.toggle("down", state !== "live");
  },
});
const about = { title: settings.title, category: settings.category, tier: settings.tier };
const toldOfBag = (name, details) => tell([event(name, details, details.items?.[0]?.item_id === settings.item ? about : {})]);
const besideBag = {
  show: (root, recommend) => (rails.has("cart") ? live.ask("cart", recommend) : addRail("cart", root, recommend)),
  hide: () => { if (live.asks.has("cart")) live.ask("cart", null); },
};
const followed = settings.live && !settings.paused;

colourFaces();
// What was last shown is there at once, so that the next answer is seen as a change.
if (kept.profile && followed) { show(kept.profile, remembered); drawCourse(kept.course ?? [], inPlace(kept.profile.belief)); }


// On a small screen the panel stands between the shelf and the goods: it says who, and the rest is a tap away, on the next page too.
const more = document.getElementById("panel-more");
function unfold(whole) {
  more.setAttribute("aria-expanded", String(whole));
  more.parentElement.classList.toggle("whole", whole);
}
if (more) {
  unfold(kept.whole ?? false);
  more.addEventListener("click", () => {
    keep({ whole: !kept.whole });
    unfold(kept.whole);
  });
}

const switches = document.getElementById("circumstances");
const circumstances = followed && switches ? new Circumstances(switches, (context) => live.place(context), kept, keep) : null;

if (settings.live) {
  for (const root of document.querySelectorAll(".rail[data-rail]")) {
    const context = root.dataset.rail || "home";
    const beside = context === "cart" ? { items: settings.bag.lines.map((line) => line.item_id) } : context === "home" ? {} : { item_id: settings.item };
    addRail(root.dataset.rail, root, { context, count: 12, ...beside });
  }
}
if (followed) {
  settings.context = kept.tried ?? {};
  if (kept.slate) rails.get("")?.show(kept.slate, { animate: false });
  live.start();
  if (settings.item) {
    const item = { item_id: settings.item, ...(settings.price === null ? {} : { price: settings.price }) };
    tell([event("view_item", { items: [item] }, about)]);
  } else if (settings.query) {
    tell([event("search", { search_term: settings.query }, { query: settings.query })]);
  }

  const order = document.getElementById("order");
  if (order) {
    new Order(order, settings, async (items) => {
      const slate = await live.slate({ context: "search", items, count: Math.min(50, items.length), allow_out_of_stock: true });
      return slate && slate.items.map((item) => item.item_id);
    });
  }
}
new Bag(settings, followed ? toldOfBag : null, followed ? besideBag : null);

/** The belief's course over the visit, a column wherever it moved. */
function follow(profile) {
  const course = extended(kept.course ?? [], profile);
  if (course) keep({ course });
  drawCourse(kept.course ?? [], inPlace(profile.belief));
}

document.getElementById("new-session").addEventListener("submit", () => {
  ofTab.drop(memory);
  ofBrowser.drop(keyOfBag(settings));
});
