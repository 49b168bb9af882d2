// Tells what a shopper does, brings what suits them: docs/integrators.md.
(() => {
  if (window.persona) return;
  const SEEN_MS = 1000, SHORTEST_DWELL_MS = 500;
  const SOON_MS = 10, LATER_MS = 800, TIMEOUT_MS = 10000, RENDER_MS = 1500, LONGEST_WAIT_MS = 60000;
  const BATCH = 100, BATCH_CHARS = 50000, MOST_KEPT = 1000, MOST_SLATES = 20;
  const IDLE_MS = 1800e3, OLDEST_MS = 86400e3;
  const EVENTS = "/api/v1/events";
  const POISON = [400, 409, 413, 415, 422];
  const own = document.currentScript?.src;

  const quiet = (work) => { try { return work(); } catch { return undefined; } };
  const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
  const clock = () => performance.now();
  const settings = { shop: "" };
  const hearers = {}, tokens = {}, asked = {};
  const waiting = new Map(); // row -> who waits for it
  const asks = new Map();
  const half = new Map(); // cards half in view: since when
  const seen = new Set();
  let begun = false, refused = false, leaving = false;
  let stamp = 0, timer = 0, due = 0, sending = false, attempts = 0, notBefore = 0, told = 0;
  let viewed = null, since = null, spent = 0, looking = 0;
  let socket = null, opened = false, lost = 0, again = 0, version = "", joined = "";

  // What storage refuses stays here.
  function shelf(kind) {
    const spare = new Map();
    const full = (key) => `pc:${settings.shop}:${key}`;
    return {
      get: (key) => spare.get(full(key)) ?? quiet(() => window[kind].getItem(full(key))) ?? null,
      set(key, value) {
        spare.set(full(key), value);
        quiet(() => {
          window[kind].setItem(full(key), value);
          spare.delete(full(key));
        });
      },
      drop(key) { spare.delete(full(key)); quiet(() => window[kind].removeItem(full(key))); },
      keys(start) {
        const all = [...(quiet(() => Object.keys(window[kind])) ?? []), ...spare.keys()];
        return all.filter((key) => key.startsWith(full(start))).map((key) => key.slice(full("").length)).sort();
      },
    };
  }
  const kept = shelf("localStorage"), slates = shelf("sessionStorage");

  function allowed() {
    if (refused || navigator.globalPrivacyControl || navigator.doNotTrack === "1") return false;
    return settings.consent !== "required" || kept.get("consent") === "1";
  }
  const on = () => begun && allowed();

  const call = (hear, ...told) => { try { hear?.(...told); } catch (error) { console.error(error); } };
  const emit = (kind, ...told) => hearers[kind]?.forEach((hear) => call(hear, ...told));

  /** The visit: as the page names it, else our own until half an hour of nothing. */
  function session() {
    if (settings.session) return settings.session;
    const [id, at] = (kept.get("visit") ?? "").split(" ");
    const current = id && Date.now() - at < IDLE_MS ? id : newId();
    if (allowed()) kept.set("visit", `${current} ${Date.now()}`);
    return current;
  }

  // Each event is a row until the server answers; its tab sends it, others much later. Twice is once.

  const tab = () => slates.get("tab") ?? slates.set("tab", newId()) ?? tab();
  const rowsOf = (visit) => `e:${encodeURIComponent(visit)}:`;
  function track(name, params = {}) {
    if (name === "view_item") {
      lookAway();
      look();
      viewed = params;
    }
    if (!on()) return null;
    const visit = session();
    if (visit !== joined) socket?.close();
    stamp = Math.max(stamp + 1, Date.now());
    const event = { event_id: newId(), timestamp_micros: stamp * 1000, name, ...params }, row = rowsOf(visit) + stamp.toString(36) + tab() + event.event_id;
    kept.set(row, JSON.stringify(event));
    emit("made", event);
    if (tokens[visit]) kept.set(`t:${visit}`, tokens[visit]);
    const rows = kept.keys("e:");
    rows.sort((a, b) => a.split(":")[2] > b.split(":")[2] || -1).slice(0, -MOST_KEPT).forEach(kept.drop);
    plan(rows.length >= BATCH ? 0 : /_list|_engagement/.test(name) ? LATER_MS : SOON_MS);
    const answer = new Promise((resolve) => waiting.set(row, resolve));
    if (leaving) leave();
    return answer;
  }

  function plan(ms) {
    const at = Math.max(Date.now() + ms, notBefore, told);
    if (timer && due <= at) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(flush, at - Date.now());
  }

  async function flush() {
    clearTimeout(timer);
    timer = 0;
    if (sending || leaving || !on()) return;
    sending = true;
    const now = session();
    try {
      // One tab at a time; over plain http there are no locks, but ids.
      await (navigator.locks ? navigator.locks.request(`pc:${settings.shop}`, sendAll) : sendAll());
    } catch { /* tried again */ }
    sending = false;
    settle();
    if (kept.keys(rowsOf(now)).length) plan(LATER_MS);
  }

  async function sendAll() {
    const now = session();
    for (const visit of new Set([now, ...kept.keys("e:").map((key) => decodeURIComponent(key.split(":")[1]))])) {
      let rows, went = true;
      while (went && (rows = batch(visit)).length) went = await send(visit, rows);
      if (!kept.keys(rowsOf(visit)).length) kept.drop(`t:${visit}`);
      if (!went && visit === now) return;
    }
  }

  function settle() { for (const row of waiting.keys()) if (!kept.get(row)) answered(row, null); }

  function answered(row, at) {
    waiting.get(row)?.(at);
    waiting.delete(row);
  }

  function batch(visit) {
    const start = rowsOf(visit);
    let chars = 0;
    const rows = kept.keys(start).filter((row) => {
      const age = Date.now() - parseInt(row.substr(start.length, 8), 36);
      return age < OLDEST_MS ? waiting.has(row) || age > (row.includes(tab()) ? LATER_MS : TIMEOUT_MS) : kept.drop(row);
    });
    return rows.slice(0, BATCH).filter((row, i) => (chars += kept.get(row)?.length) < BATCH_CHARS || !i);
  }

  function bodyOf(visit, rows) {
    const events = rows.map((row) => quiet(() => JSON.parse(kept.get(row)))).filter(Boolean);
    const device = matchMedia("(pointer: coarse)").matches ? "mobile" : "desktop";
    return { session_id: visit, context: { device, ...settings.context }, events };
  }

  /** False where rows must wait. What is refused is halved until the bad one is alone, and goes. */
  async function send(visit, rows) {
    const body = bodyOf(visit, rows), current = visit === session();
    const answer = await ask(EVENTS, body, visit), bad = POISON.includes(answer?.status);
    if (bad && rows.length > 1) {
      const middle = rows.length >> 1;
      return (await send(visit, rows.slice(0, middle))) && send(visit, rows.slice(middle));
    }
    const at = answer?.ok && current ? (answer.body.version ?? null) : null;
    if (answer?.ok || bad) {
      attempts = 0;
      rows.forEach(kept.drop);
    } else if (current) {
      notBefore = Date.now() + Math.min(LONGEST_WAIT_MS, 1000 * 2 ** attempts++) * (0.5 + Math.random() / 2);
      told = Date.now() + (answer?.wait || 0);
    }
    for (const row of rows) answered(row, at);
    if (bad) emit("refused", body.events[0], answer.body);
    if (at !== null) {
      emit("sent", body.events, at);
      if (!open()) refresh();
    }
    return answer?.ok || bad;
  }

  /** Nobody hears the answer: the next page sends again. */
  function leave() {
    const visit = session(), rows = batch(visit), token = tokens[visit];
    if (token && rows.length) navigator.sendBeacon(settings.endpoint + EVENTS, JSON.stringify({ token, ...bodyOf(visit, rows) }));
  }

  /** An answer, or null. With its token in the body, a request needs no preflight. */
  async function ask(path, body, visit = session(), fresh = false) {
    try {
      const token = await tokenOf(visit, fresh);
      if (!token || !on()) return null;
      const how = body ? { method: "POST", body: JSON.stringify({ token, ...body }) } : { headers: { authorization: `Bearer ${token}` } };
      const answer = await fetch(settings.endpoint + path, { ...how, ...patience(), credentials: "omit", keepalive: document.hidden });
      if ([401, 403].includes(answer.status) && !fresh) return ask(path, body, visit, true);
      const { ok, status, headers } = answer;
      return { ok, status, wait: 1000 * headers.get("retry-after"), body: await answer.json().catch(() => ({})) };
    } catch {
      return null;
    }
  }

  const patience = () => ({ signal: AbortSignal.timeout?.(TIMEOUT_MS) });

  async function tokenOf(visit, fresh) {
    if (!fresh && (tokens[visit] ??= kept.get(`t:${visit}`))) return tokens[visit];
    const given = await (asked[visit] ??= give(visit).finally(() => delete asked[visit]));
    return (tokens[visit] = (given?.session_id ?? visit) === visit ? (given?.token ?? given) : null);
  }

  async function give(visit) {
    const { token, tokenAddress } = settings;
    if (typeof token === "function") return token(visit);
    if (!tokenAddress) return null;
    const address = new URL(tokenAddress, location.href);
    address.searchParams.set("session_id", visit);
    const answer = await fetch(address, patience());
    return answer.ok ? answer.json() : null;
  }

  function look() { if (!document.hidden) since ??= clock(); }

  function lookAway() {
    if (since !== null) spent += clock() - since;
    since = null;
    if (spent < SHORTEST_DWELL_MS) return;
    const items = viewed?.items?.map(({ item_id }) => ({ item_id }));
    track("user_engagement", { engagement_time_msec: Math.round(spent), ...(items && { items }) });
    spent = 0;
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? half.set(target, {}) : half.delete(target);
    count();
  }, { threshold: 0.5 });

  function count() {
    clearTimeout(looking);
    if (document.hidden || !on()) return;
    const lists = new Map();
    let next = Infinity;
    for (const [card, mark] of half) {
      const { pcSlate, pcItem } = card.dataset, id = `${pcSlate} ${pcItem}`;
      if (mark.id !== id) Object.assign(mark, { id, from: clock() });
      const left = mark.from + SEEN_MS - clock();
      if (!card.isConnected) half.delete(card);
      else if (!pcSlate || !pcItem || seen.has(id)) continue;
      else if (left > 0) next = Math.min(next, left);
      else {
        seen.add(id);
        lists.set(pcSlate, [...(lists.get(pcSlate) ?? []), ...itemsOf(card).items]);
      }
    }
    for (const [recommendation_id, items] of lists) track("view_item_list", { recommendation_id, items });
    if (next < Infinity) looking = setTimeout(count, next + 5);
  }

  function scan() {
    for (const card of document.querySelectorAll("[data-pc-slate]")) watcher.observe(card);
    count();
  }

  function itemsOf({ dataset: { pcItem, pcItems, pcPrice, pcQuantity, pcSlot } }) {
    const number = (name, text) => text && { [name]: Number(text) };
    if (pcItems) return { items: JSON.parse(pcItems) };
    return pcItem ? { items: [{ item_id: pcItem, ...number("price", pcPrice), ...number("quantity", pcQuantity), ...number("index", pcSlot) }] } : {};
  }

  function acted({ type, target }) {
    const told = target.closest?.("[data-pc-event]"), card = type === "click" && target.closest?.("a")?.closest("[data-pc-slate]");
    if (told && (told.tagName === "FORM") === (type === "submit")) {
      const { pcEvent, pcTerm } = told.dataset;
      track(pcEvent, pcEvent === "search" ? { search_term: new FormData(told).get(pcTerm ?? "q") } : itemsOf(told));
    }
    if (card) track("select_item", { recommendation_id: card.dataset.pcSlate, ...itemsOf(card) });
  }

  // Slates: pushed, or asked for; the last one where nothing answers.

  const open = () => socket?.readyState === 1;
  const say = (message) => socket.send(JSON.stringify(message));
  const place = (rail, recommend) => `s:${rail}:${JSON.stringify(recommend)}`;

  const got = (answer) => (answer?.ok ? answer.body : null);

  async function slate(recommend = {}) {
    return on() ? got(await ask("/api/v1/recommendations", { session_id: session(), recommend })) : null;
  }

  function show(rail, found, stale = false) {
    const asked = asks.get(rail);
    if (!asked) return;
    asked.version = stale ? null : found.version;
    if (!stale && on()) {
      const old = slates.keys("s:");
      if (old.length >= MOST_SLATES) old.forEach(slates.drop);
      slates.set(place(rail, asked.recommend), JSON.stringify(found));
    }
    call(asked.render, found, { stale });
  }

  function recommend(rail, recommend, render) {
    if (open()) say({ type: "recommend", rail, recommend });
    if (!recommend) return asks.delete(rail);
    const asked = { recommend, render: render ?? asks.get(rail)?.render };
    asks.set(rail, asked);
    if (!on()) return show(rail, null, true);
    if (!open()) settings.live === false || lost ? refresh(rail) : connect();
    setTimeout(() => {
      if (asks.get(rail) !== asked || "version" in asked) return;
      show(rail, quiet(() => JSON.parse(slates.get(place(rail, recommend)))) ?? null, true);
      if (!open()) refresh(rail);
    }, RENDER_MS);
  }

  async function refresh(only) {
    for (const [rail, asked] of [...asks]) {
      if (only !== undefined && rail !== only) continue;
      const found = await slate(asked.recommend);
      if (found && asks.get(rail) === asked && !open()) show(rail, found);
    }
  }

  async function connect() {
    if (!on() || leaving || settings.live === false || socket?.readyState < 2) return;
    clearTimeout(again);
    const visit = session(), token = await tokenOf(visit, lost && !opened).catch(() => null);
    if (leaving || !on() || socket?.readyState < 2) return;
    if (!token) return fell();
    opened = false;
    if (visit !== joined) version = "";
    joined = visit;
    const made = (socket = new WebSocket(`${settings.endpoint.replace(/^http/, "ws")}/ws/v1/session?token=${encodeURIComponent(token)}${version}`));
    made.onopen = () => {
      opened = true;
      emit("state", "live");
      for (const [rail, { recommend, version }] of asks) say({ type: "recommend", rail, recommend, version });
      plan(0);
    };
    made.onmessage = ({ data }) => {
      const { type, ...told } = quiet(() => JSON.parse(data)) ?? {};
      lost = 0;
      if (told[type] && "version" in told) version = `&version=${told.version}`;
      if (type === "slate") show(told.rail, told.slate);
      else if (type === "error") emit("state", "trouble", told.detail);
      else if (type === "ping") say({ type: "pong" });
      else emit(type, told[type]);
    };
    made.onclose = ({ code }) => {
      opened &&= code !== 4401;
      if (made === socket) fell();
    };
  }

  function fell() {
    if (leaving || !begun) return;
    emit("state", "down");
    if (!lost) refresh();
    clearTimeout(again);
    again = setTimeout(connect, Math.min(LONGEST_WAIT_MS / 4, 500 * 2 ** lost++) * (0.75 + Math.random() / 2));
  }

  function begin() {
    if (!allowed()) return;
    if (typeof settings.token === "string") [tokens[session()], settings.token] = [settings.token];
    if (begun) return;
    begun = true;
    spent = 0;
    since = null;
    look();
    const shown = document.querySelector("[data-pc-view]");
    if (shown) viewed = itemsOf(shown);
    if (viewed) track("view_item", viewed);
    scan();
    for (const [rail, { recommend: asked }] of [...asks]) recommend(rail, asked);
    plan(0);
  }

  function wake() {
    leaving = false;
    notBefore = 0;
    look();
    if (asks.size) connect();
    plan(0);
  }

  for (const type of ["click", "submit"]) document.addEventListener(type, (event) => quiet(() => acted(event)), true);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      lookAway();
      if (Date.now() > told) flush();
    } else {
      for (const mark of half.values()) mark.id = "";
      wake();
      count();
    }
  });
  addEventListener("pagehide", () => {
    lookAway();
    if (on()) quiet(leave);
    leaving = true;
    if (opened) socket?.close();
  });
  addEventListener("pageshow", ({ persisted }) => persisted && wake());
  addEventListener("online", wake);
  new MutationObserver(scan).observe(document, { childList: true, subtree: true, attributeFilter: ["data-pc-slate"] });

  window.persona = {
    init(given = {}) {
      Object.assign(settings, given);
      settings.endpoint = (settings.endpoint ?? quiet(() => new URL(own).origin) ?? location.origin).replace(/\/$/, "");
      begin();
    },
    /** Resolves to the session's version after it, or null. */
    track: async (name, params) => quiet(() => track(name, params)) ?? null,
    /** render(slate or null, {stale}), now and whenever the session moves. An ask of null ends it. */
    recommend: (rail, asked, render) => { quiet(() => recommend(rail, asked, render)); },
    slate,
    call: ask,
    profile: async () => (on() ? got(await ask(`/api/v1/sessions/${encodeURIComponent(session())}/profile`)) : null),
    consent(given) {
      refused = !given;
      if (given && settings.consent === "required") kept.set("consent", "1");
      if (given) return begin();
      begun = false;
      clearTimeout(again);
      socket?.close();
      for (const each of [kept, slates]) each.keys("").forEach(each.drop);
      settle();
    },
    on(kind, hear) { (hearers[kind] ??= []).push(hear); },
  };
})();
