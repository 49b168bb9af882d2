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

/** Sentence case where a shop shouts its titles. */
export function calm(text) {
  const shouts = /(?<![\p{L}\d])[\d'’&/.,+-]*\p{Lu}{2}[\p{Lu}\d'’&/.,+-]*(?!\p{Ll})(?: [\p{Lu}\d'’&/.,+-]+(?!\p{L}))*/gu;
  return text.replace(shouts, (shout) => shout[0] + shout.slice(1).toLowerCase());
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

export function sentence(profile) {
  if (!profile.events) return "Nothing seen yet. Look at an item or two.";
  const [first, second] = profile.belief;
  const active = profile.belief.filter((p) => profile.active.includes(p.key));
  if (profile.unsure || !active.length) return `Not sure yet. Nearest is ${first.name}, ${inHundred(first.probability)}.`;
  if (active.length > 1) {
    const told = active.map((p) => `${p.name} (${inHundred(p.probability)})`);
    return `${told.length === 2 ? "Both " : ""}${told.slice(0, -1).join(", ")} and ${told.at(-1)}${told.length > 2 ? " at once" : ""}.`;
  }
  const next = second && second.probability >= 0.005 ? `; then ${second.name}, ${inHundred(second.probability)}` : "";
  return `Most like ${first.name}, ${inHundred(first.probability)}${next}.`;
}

/** Why one event moved the belief. seen: what this browser remembers of the event, if it sent it. */
export function reasonFor(entry, seen) {
  const of = seen?.title ? ` of “${seen.title}”` : "";
  const causes = {
    event: ACTIONS[seen?.name] ?? "what you did",
    category: seen?.category ? `category “${seen.category}”` : `the category${of}`,
    price_tier: seen?.tier ? `price tier “${seen.tier}”` : `the price${of}`,
    dwell: "how long you looked",
    gap: "the pace of the visit",
    novelty: "going back or going on",
  };
  const cause = causes[entry.factor] ?? entry.factor;
  const where = entry.nats >= 0 ? "towards" : "away from";
  return `${cause[0].toUpperCase()}${cause.slice(1)} moved you ${where} ${entry.persona.name}`;
}

export function show(profile, remembered) {
  const words = document.getElementById("belief-words");
  if (!words || (known && known.session_id === profile.session_id && known.version > profile.version)) return;
  known = profile;
  const said = sentence(profile);
  if (words.textContent !== said) words.textContent = said;
  const personas = inPlace(profile.belief);
  showBar(personas);
  showPersonas(personas, profile.active);
  showEvidence(profile, remembered);
  showClusters(profile);
}

/** In the order of the page's list, which is the merchandiser's; personas that the page didn't have come last. */
function inPlace(belief) {
  const rows = [...document.getElementById("personas").children].map((row) => row.dataset.id);
  const place = (persona) => (rows.includes(String(persona.id)) ? rows.indexOf(String(persona.id)) : rows.length);
  return [...belief].sort((a, b) => place(a) - place(b) || a.id - b.id);
}

function showBar(personas) {
  const bar = document.getElementById("belief-bar");
  const grey = bar.querySelector(".unsure");
  for (const persona of personas) {
    let part = bar.querySelector(`[data-id="${persona.id}"]`);
    if (!part) {
      part = el("span", { "data-id": persona.id });
      paint(part, persona.colour);
      grey.before(part);
      part.getBoundingClientRect();
    }
    part.style.width = `${(100 * standing(persona.probability, personas.length)).toFixed(2)}%`;
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
