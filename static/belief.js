// The panel: belief, evidence and clusters in pictures and words.

const ACTIONS = {
  view_item: "looking at an item", select_item: "following a recommendation", add_to_cart: "adding to the bag",
  remove_from_cart: "taking out of the bag", purchase: "buying", search: "searching", view_item_list: "looking through the shelf",
  user_engagement: "staying a while",
};
const CHANGES = { kept: "kept", expanded: "added", contracted: "fading" };
const ICONS_URL = new URL("icons.svg", import.meta.url).pathname;
let known = null;

/** An element with attributes, properties and children. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== false) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A title in sentence case where a shop shouts it, as the server writes it on the page. */
export const readable = (title) => (title === title.toUpperCase() ? title.slice(0, 1) + title.slice(1).toLowerCase() : title);

/** A sentence whose shouted titles are in sentence case; short words such as USB stay. */
export function calm(text) {
  const shouts = /(?<![\p{L}\d])[\d'’&/.,+-]*\p{Lu}{2}[\p{Lu}\d'’&/.,+-]*(?!\p{Ll})(?: [\p{Lu}\d'’&/.,+-]+(?!\p{L}))*/gu;
  const isTitle = (shout) => /\p{Lu}{5}/u.test(shout) || shout.split(" ").length > 2;
  return text.replace(shouts, (shout) => (isTitle(shout) ? shout[0] + shout.slice(1).toLowerCase() : shout));
}

function paint(element, colour) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255);
  element.style.setProperty("--persona", colour);
  element.style.setProperty("--on-persona", 0.299 * r + 0.587 * g + 0.114 * b > 0.5 ? "#17181b" : "#ffffff");
}

/** Colours the faces that came with the page. */
export function colourFaces() {
  for (const made of document.querySelectorAll(".face[data-colour]")) paint(made, made.dataset.colour);
}

/** The persona's face: its icon on its colour. */
export function face(persona) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `${ICONS_URL}#${persona.icon}`);
  svg.append(use);
  svg.setAttribute("aria-hidden", "true");
  const made = el("span", { class: "face" }, svg);
  paint(made, persona.colour);
  return made;
}

const inHundred = (p) => `${Math.round(p * 100)} in 100`;

/** How far each persona stands above an even guess, 0 to 1; what is left over is "not sure yet". */
export function standing(probability, count) {
  return count > 1 ? Math.max(0, (probability - 1 / count) * count / (count - 1)) : 1;
}

/** "A", "A and B", "A, B and C" */
const listed = (names) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0] ?? "");

/** Those who act in this visit: all of them when they take turns, else who is likely now. */
function acting(profile) {
  return profile.belief.filter((p) => profile.active.includes(p.key) && (profile.several || p.probability >= 0.1));
}

/** Who is shopping, in one sentence. */
export function sentence(profile) {
  const [first, second] = profile.belief;
  if (!profile.events) {
    const told = standing(first.probability, profile.belief.length) > 0.1;
    return told ? `Nothing seen yet. What was known before points to ${first.name}, ${inHundred(first.probability)}.` : "Nothing seen yet. Look at an item or two.";
  }
  const active = acting(profile);
  if (profile.several && active.length > 1) {
    const count = ["two", "three", "four"][active.length - 2] ?? "several";
    return `You are shopping as ${count}: ${listed(active.map((p) => p.name))}.`;
  }
  if (profile.unsure || !active.length) return `Not sure yet. Nearest is ${first.name}, ${inHundred(first.probability)}.`;
  if (active.length > 1) return `One of these: ${listed(active.map((p) => `${p.name} (${inHundred(p.probability)})`))}.`;
  const next = second && second.probability >= 0.005 ? `; then ${second.name}, ${inHundred(second.probability)}` : "";
  return `Most like ${first.name}, ${inHundred(first.probability)}${next}.`;
}

const SPANS = { "5s": "5 seconds", "15s": "15 seconds", "30s": "half a minute", "45s": "45 seconds", "1m": "a minute", "2m": "2 minutes", "3m": "3 minutes", "10m": "10 minutes" };

function span(value) {
  const [side, length] = value.split("_");
  return length in SPANS ? `${side} ${SPANS[length]}` : value.replaceAll("_", " ");
}

/** What a factor's value means, in words. seen: what this browser remembers of the event, if it sent it. */
export function clue(factor, value, seen) {
  const of = seen?.title ? ` of “${seen.title}”` : "";
  const told = value || { category: seen?.category, price_tier: seen?.tier }[factor] || "";
  switch (factor) {
    case "event": return ACTIONS[seen?.name ?? value] ?? "what you did";
    case "category": return told ? `category “${told}”` : `the category${of}`;
    case "price_tier": return told ? `price tier “${told}”` : `the price${of}`;
    case "dwell": return told ? `a look of ${span(told)}` : "how long you looked";
    case "gap": return told ? `${span(told)} between clicks` : "the pace of the visit";
    case "novelty": return { new: "going on to something new", return: "coming back to an item", repeat: "staying with an item" }[value] ?? "going back or going on";
    case "query": return seen?.query ? `your search for “${seen.query}”` : told ? `a search about “${told}”` : "your search";
    case "discount": return { reduced: "a reduced price", full_price: "a full price" }[value] ?? "the price";
    default: return [factor, value].filter(Boolean).join(" ").replaceAll("_", " ");
  }
}

const upper = (text) => text[0].toUpperCase() + text.slice(1);

/** Why one event moved the belief. */
export function reasonFor(entry, seen) {
  return `${upper(clue(entry.factor, entry.value, seen))} moved you ${entry.nats >= 0 ? "towards" : "away from"} ${entry.persona.name}`;
}

/** When one persona gave way to another, and at what. evidence: the ledger, which tells the event. */
export function shiftSentence(shift, evidence, remembered) {
  if (!shift?.from || !shift.to) return "";
  const entry = evidence.find((e) => e.at === shift.at && e.factor === shift.factor);
  return `Changed from ${shift.from.name} to ${shift.to.name} after ${clue(shift.factor, shift.value, remembered[entry?.event])}.`;
}

const KNOWN = {
  weekday: "day", daypart: "part of the day", device: "device", country: "country", region: "region", weather: "weather", temperature: "temperature",
  referrer: "came from", history: "bought before", history_tier: "usual price tier", history_category: "bought most of", age_band: "age", income_band: "income",
};

/** What else counts for this visit, beside what happens in it: "day: Sunday". */
export function besides(used) {
  return Object.entries(used ?? {}).map(([name, value]) => `${KNOWN[name] ?? name.replaceAll("_", " ")}: ${String(value).replaceAll("_", " ")}`);
}

export function show(profile, remembered) {
  const words = document.getElementById("belief-words");
  if (!words || (known && known.session_id === profile.session_id && known.version > profile.version)) return;
  known = profile;
  tell(words, sentence(profile));
  tell(document.getElementById("shift-words"), shiftSentence(profile.shift, profile.evidence, remembered));
  const personas = inPlace(profile.belief);
  showBar("belief-bar", personas, (p) => p.probability, profile.unsure);
  showBar("shares-bar", personas, (p) => profile.shares?.[p.key] ?? p.probability, profile.unsure);
  showPersonas(personas, acting(profile).map((p) => p.key));
  showKnown(profile.evidence_used);
  showEvidence(profile, remembered);
  showClusters(profile);
}

/** Says it, unless it is said already: a screen reader would read it again. */
function tell(element, said) {
  if (element.textContent !== said) element.textContent = said;
}

/** In the order of the page's list, which is the merchandiser's; personas that the page didn't have come last. */
export function inPlace(belief) {
  const rows = [...document.getElementById("personas").children].map((row) => row.dataset.id);
  const place = (persona) => (rows.includes(String(persona.id)) ? rows.indexOf(String(persona.id)) : rows.length);
  return [...belief].sort((a, b) => place(a) - place(b) || a.id - b.id);
}

function showBar(id, personas, share, unsure) {
  const bar = document.getElementById(id);
  bar.classList.toggle("doubtful", unsure);
  const grey = bar.querySelector(".unsure");
  for (const persona of personas) {
    let part = bar.querySelector(`[data-id="${persona.id}"]`);
    if (!part) {
      part = el("span", { "data-id": persona.id });
      paint(part, persona.colour);
      grey.before(part);
      part.getBoundingClientRect();
    }
    part.style.width = `${(100 * standing(share(persona), personas.length)).toFixed(2)}%`;
  }
}

function showPersonas(personas, active) {
  const list = document.getElementById("personas");
  // The page came with the shop's personas; a newer release may have others.
  const ids = new Set(personas.map((p) => String(p.id)));
  for (const row of [...list.children]) if (!ids.has(row.dataset.id)) row.remove();
  for (const persona of personas) {
    let row = list.querySelector(`[data-id="${persona.id}"]`);
    if (!row) {
      row = el("li", { "data-id": persona.id }, face(persona), el("span", {}, persona.name), el("span", { class: "share" }));
      list.append(row);
    }
    row.classList.toggle("active", active.includes(persona.key));
    row.querySelector(".share").textContent = `${Math.round(persona.probability * 100)} %`;
  }
}

function showKnown(used) {
  const told = besides(used);
  const line = document.getElementById("used");
  tell(line, told.length ? `Counted beside the clicks: ${told.join(", ")}.` : "Nothing but the clicks counts.");
  line.title = line.textContent;
}

function showEvidence(profile, remembered) {
  const list = document.getElementById("evidence");
  const latest = [...profile.evidence].reverse().filter((e) => e.persona && Math.abs(e.nats) >= 0.15).slice(0, 4);
  if (!latest.length) {
    if (profile.events) list.replaceChildren(el("li", { class: "quiet" }, "The last clicks moved it little."));
    return;
  }
  list.replaceChildren(...latest.map((entry) => {
    const dot = el("span", { class: "dot" });
    paint(dot, entry.persona.colour);
    const amount = `${entry.nats < 0 ? "−" : "+"}${Math.abs(entry.nats).toFixed(1)}`;
    return el("li", {}, dot, el("span", {}, reasonFor(entry, remembered[entry.event])), el("span", { class: "nats" }, amount));
  }));
}

function showClusters(profile) {
  const list = document.getElementById("clusters");
  if (!profile.clusters.length) return;
  const colours = Object.fromEntries(profile.belief.map((p) => [p.key, p.colour]));
  const top = Math.max(...profile.clusters.map((c) => c.score), 1e-9);
  list.replaceChildren(...profile.clusters.slice(0, 7).map((cluster) => {
    const before = list.querySelector(`[data-id="${cluster.id}"] i`)?.style.width ?? "0";
    const dot = el("span", { class: "dot" });
    if (cluster.persona && colours[cluster.persona]) paint(dot, colours[cluster.persona]);
    const fill = el("i");
    fill.style.width = before;
    requestAnimationFrame(() => { fill.style.width = `${Math.round(100 * cluster.score / top)}%`; });
    return el("li", { "data-id": cluster.id, class: cluster.change }, dot,
      el("span", { class: "name", title: calm(cluster.name) }, calm(cluster.name)),
      el("span", { class: "change", title: because(cluster) }, CHANGES[cluster.change] ?? cluster.change),
      el("span", { class: "weight", "aria-hidden": "true" }, fill));
  }));
}

function because(cluster) {
  if (cluster.change === "expanded") return "Added: visits like yours go on to it from what you looked at";
  if (cluster.change === "contracted") return `Fading to ${Math.round(cluster.weight * 100)} in 100 of its weight: you passed its items over`;
  return "Kept as the shop has it";
}
