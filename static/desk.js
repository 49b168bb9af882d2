// The live page: counters, visits and decisions over the merchandisers' websocket, which is opened again when it is lost.

const LONGEST_WAIT_MS = 30000;
const KEPT_DECISIONS = 60;
const FINAL = new Map([
  [4401, "You are logged out. Log in again to go on."],
  [4403, "You may no longer see visits. Ask whoever gives rights here."],
  [4404, "This shop is not there any more."],
]);

const DOES = {
  view_item: "looked at an item",
  select_item: "picked from a list",
  view_item_list: "looked over a list",
  search: "searched",
  add_to_cart: "added to the bag",
  remove_from_cart: "took out of the bag",
  add_to_wishlist: "added to the wish list",
  purchase: "bought",
  refund: "gave back",
  user_engagement: "stayed on the page",
};

const page = document.querySelector(".live-page[data-shop]");
const state = document.getElementById("live-state");
const rows = document.getElementById("live-sessions");
const feed = document.getElementById("live-decisions");
let attempts = 0;

function tell(text, kind) {
  // Said once: a screen reader reads what changes.
  if (state.textContent !== text) state.textContent = text;
  state.dataset.state = kind;
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function clock(at) {
  const made = element("time", new Date(at * 1000).toLocaleTimeString("en-GB", { timeZone: "UTC" }));
  made.dateTime = new Date(at * 1000).toISOString();
  return made;
}

/** A visit's name, which leads to its time line. */
function visit(name) {
  const link = element("a", name);
  link.href = `${page.dataset.named}?${new URLSearchParams({ shop: page.dataset.shop, name, follow: "1" })}`;
  return link;
}

function showCounters({ today, ...counters }) {
  for (const [name, value] of Object.entries({ ...counters, ...today })) {
    const place = document.querySelector(`[data-counter="${name}"]`);
    if (place) place.textContent = value.toLocaleString();
  }
}

function showSessions(sessions) {
  // What somebody points at or reads by keyboard is not taken from under them; the next message brings all of it again.
  if (rows.matches(":hover") || rows.parentElement.parentElement.contains(document.activeElement)) return false;
  rows.replaceChildren(...sessions.map((session) => {
    const row = document.createElement("tr");
    const whom = document.createElement("td");
    const dot = element("span", "", "live-dot");
    if (session.persona) dot.style.background = session.persona.colour;
    whom.append(dot, session.persona ? `${session.persona.name}, ${Math.round(100 * session.probability)} %` : "not known");
    const name = element("th", "");
    name.scope = "row";
    name.append(visit(session.session), session.origin === "simulated" ? ", simulated" : "");
    const when = document.createElement("td");
    when.append(clock(session.at));
    row.append(name, whom, element("td", DOES[session.event] ?? "–"), element("td", session.events, "live-n"), when);
    return row;
  }));
  document.getElementById("live-nobody").hidden = sessions.length > 0;
  return true;
}

function words(decision) {
  const bounds = JSON.parse(document.getElementById("live-bounds").textContent);
  const cluster = decision.cluster ? `“${decision.cluster.name}”` : "a cluster that is gone";
  const towards = decision.towards ? ` towards “${decision.towards.name}”` : "";
  if (decision.blocked) {
    return `would have ${decision.action === "expand" ? "widened" : "narrowed"} ${cluster}; stopped: ${bounds[decision.blocked] ?? decision.blocked}`;
  }
  return `${decision.action === "expand" ? "widened" : "narrowed"} ${cluster}${towards}`;
}

function showDecisions({ decisions, left_out: leftOut }) {
  for (const decision of decisions) {
    const entry = element("li", "", decision.blocked ? "live-stopped" : "");
    entry.append(clock(decision.at), " ", visit(decision.session), ` ${words(decision)}`);
    feed.prepend(entry);
  }
  if (leftOut) feed.prepend(element("li", `${leftOut} more went by`));
  while (feed.children.length > KEPT_DECISIONS) feed.lastChild.remove();
  document.getElementById("live-nothing").hidden = feed.children.length > 0;
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws/v1/desk?shop=${encodeURIComponent(page.dataset.shop)}`);
  let waiting = null;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "hello") {
      attempts = 0;
      tell("Live.", "live");
    } else if (message.type === "ping") socket.send('{"type":"pong"}');
    else if (message.type === "counters") {
      showCounters(message.counters);
      if (waiting && showSessions(waiting)) waiting = null;
    } else if (message.type === "sessions") waiting = showSessions(message.sessions) ? null : message.sessions;
    else if (message.type === "adaptation") showDecisions(message);
  };
  socket.onclose = ({ code }) => {
    if (FINAL.has(code)) {
      tell(FINAL.get(code), "down");
      return;
    }
    tell("Not live: the connection was lost. What is shown is as it was; trying again.", "down");
    setTimeout(connect, Math.min(LONGEST_WAIT_MS, 1000 * 2 ** attempts) * (0.75 + Math.random() / 2));
    attempts += 1;
  };
}

if (page) connect();
