// The page's side of the public doors, for any shop: tells what a shopper does, brings back what suits them.
// docs/integrators.md shows its use. No dependency, no cookie. Whatever the network or the server does, no call throws.
(() => {
  "use strict";

  const SEEN_MS = 1000, SHORTEST_DWELL_MS = 500;
  const SOON_MS = 60, LATER_MS = 1500, TIMEOUT_MS = 10000, RENDER_MS = 1500, LONGEST_WAIT_MS = 60000;
  const BATCH = 100, BATCH_CHARS = 50000, MOST_KEPT = 1000, MOST_SLATES = 20;
  const IDLE_MS = 30 * 60e3, OLDEST_MS = 24 * 3600e3;
  const PASSIVE = ["view_item_list", "user_engagement"];
  const POISON = [400, 413, 415, 422]; // no retry will make it better, half of it may be
  const own = document.currentScript?.src;

  const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
  const quiet = (work) => { try { return work(); } catch { return undefined; } };
  const tab = newId();
  const settings = {};
  const hearers = {};
  const waiting = new Map(); // row -> who waits to hear what became of it
  const asks = new Map(); // rail -> {ask, render, shown}
  const tokens = {};
  const seen = new Set();
  let begun = false, refused = false, leaving = false, sequence = 0, version = -1;
  let timer = 0, due = 0, sending = false, attempts = 0, notBefore = 0;
  let viewed = null, since = null, spent = 0; // the item on view, and the time that it was

  /** A browser's storage; what it refuses (private windows, full) is kept for this page only. */
  function shelf(kind) {
    const spare = new Map();
    const full = (key) => `pc:${settings.shop ?? ""}:${key}`;
    return {
      get: (key) => spare.get(full(key)) ?? quiet(() => window[kind].getItem(full(key))) ?? null,
      set(key, value) { try { window[kind].setItem(full(key), value); } catch { spare.set(full(key), value); } },
      drop(key) { spare.delete(full(key)); quiet(() => window[kind].removeItem(full(key))); },
      keys(start) {
        const all = [...(quiet(() => Object.keys(window[kind])) ?? []), ...spare.keys()];
        return all.filter((key) => key.startsWith(full(start))).map((key) => key.slice(full("").length)).sort();
      },
    };
  }
  const kept = shelf("localStorage"), slates = shelf("sessionStorage");

  /** Whether anything may be sent or stored. */
  function allowed() {
    if (refused || navigator.globalPrivacyControl || navigator.doNotTrack === "1") return false;
    return settings.consent !== "required" || kept.get("consent") === "1";
  }

  function emit(kind, ...told) {
    for (const hear of hearers[kind] ?? []) try { hear(...told); } catch (error) { console.error(error); }
  }

  /** The visit: as the page names it, else our own, until nothing happened for half an hour. */
  function session() {
    if (settings.session) return settings.session;
    const [id, at] = (kept.get("visit") ?? "").split(" ");
    const current = id && Date.now() - at < IDLE_MS ? id : newId();
    kept.set("visit", `${current} ${Date.now()}`);
    return current;
  }

  // Sending. Every event is a row of its own in the storage, so that tabs don't overwrite each other's, and stays there
  // until the server has answered for it; what is sent twice counts once, by its id.

  const rowsOf = (visit) => `e:${encodeURIComponent(visit)}:`;

  function track(name, params = {}) {
    if (name === "view_item") {
      lookAway();
      look();
      viewed = params;
    }
    if (!begun || !allowed()) return Promise.resolve(null);
    const event = { event_id: newId(), name, timestamp_micros: Date.now() * 1000, ...params };
    const visit = session();
    const order = Date.now().toString(36).padStart(9, "0") + (sequence++).toString(36).padStart(4, "0");
    const row = `${rowsOf(visit)}${order}${tab}`;
    kept.set(row, JSON.stringify(event));
    if (tokens[visit]) kept.set(`t:${visit}`, tokens[visit]);
    const rows = kept.keys("e:");
    if (rows.length > MOST_KEPT) rows.slice(0, rows.length - MOST_KEPT).forEach(kept.drop);
    plan(rows.length >= BATCH ? 0 : PASSIVE.includes(name) ? LATER_MS : SOON_MS);
    return new Promise((resolve) => waiting.set(row, resolve));
  }

  function plan(ms) {
    const at = Math.max(Date.now() + ms, notBefore);
    if (timer && due <= at) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(flush, at - Date.now());
  }

  async function flush() {
    clearTimeout(timer);
    timer = 0;
    if (sending || !allowed()) return;
    sending = true;
    const now = session();
    try {
      await alone(async () => {
        const visits = new Set([now, ...kept.keys("e:").map((key) => decodeURIComponent(key.split(":")[1]))]);
        for (const visit of visits) {
          for (let rows; (rows = batch(visit)).length;) if (!(await send(visit, rows))) { if (visit === now) return; break; }
          if (!kept.keys(rowsOf(visit)).length) kept.drop(`t:${visit}`);
        }
      });
    } catch { /* what is left is tried again */ }
    sending = false;
    for (const row of waiting.keys()) if (!kept.get(row)) hear(row, null); // another tab sent it
    if (kept.keys(rowsOf(now)).length) plan(LATER_MS);
  }

  function hear(row, at) {
    waiting.get(row)?.(at);
    waiting.delete(row);
  }

  /** One tab at a time. Without locks (pages over plain http) a lease in the storage does nearly as well. */
  async function alone(work) {
    const name = `pc:${settings.shop ?? ""}`;
    if (navigator.locks) return navigator.locks.request(name, work);
    const [holder, until] = (kept.get("lease") ?? "").split(" ");
    if (holder && holder !== tab && until > Date.now()) return undefined;
    kept.set("lease", `${tab} ${Date.now() + TIMEOUT_MS}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (!kept.get("lease")?.startsWith(tab)) return undefined;
    try { return await work(); } finally { kept.drop("lease"); }
  }

  /** The oldest rows of a visit that go into one request. */
  function batch(visit) {
    let chars = 0;
    const rows = kept.keys(rowsOf(visit)).filter((key) => {
      const old = Date.now() - parseInt(key.slice(rowsOf(visit).length, rowsOf(visit).length + 9), 36) > OLDEST_MS;
      if (old) kept.drop(key);
      return !old;
    });
    return rows.slice(0, BATCH).filter((key, i) => (chars += kept.get(key)?.length ?? 0) < BATCH_CHARS || i === 0);
  }

  function bodyOf(visit, rows) {
    const events = rows.map((key) => quiet(() => JSON.parse(kept.get(key)))).filter(Boolean);
    const device = matchMedia("(pointer: coarse)").matches ? "mobile" : "desktop";
    return { session_id: visit, context: { device, ...settings.context }, events };
  }

  /** Sends rows; false where they must wait. What can't be taken as a whole is halved until the bad one is alone, and goes. */
  async function send(visit, rows) {
    const body = bodyOf(visit, rows);
    const answer = body.events.length ? await call("/api/v1/events", body, visit) : { ok: true, body: {} };
    const done = answer?.ok || (POISON.includes(answer?.status) && rows.length === 1);
    if (done) {
      attempts = 0;
      rows.forEach(kept.drop);
      if (!answer.ok) emit("refused", body.events[0], answer.body);
    }
    const at = answer?.ok && visit === session() ? (answer.body.version ?? null) : null;
    for (const row of rows) hear(row, at);
    if (at !== null) {
      emit("sent", body.events, at);
      if (!open()) refresh();
    }
    if (done) return true;
    if (POISON.includes(answer?.status)) {
      const half = rows.length >> 1;
      return (await send(visit, rows.slice(0, half))) && send(visit, rows.slice(half));
    }
    if (visit === session()) {
      const wait = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** attempts++) * (0.5 + Math.random() / 2);
      notBefore = Date.now() + Math.max(wait, answer?.wait ?? 0);
    }
    return false;
  }

  /** On the way out nobody hears the answer, so that rows stay: the next page sends them again, and they count once. */
  function leave() {
    const visit = session(), rows = batch(visit), token = tokens[visit];
    if (!rows.length || !token) return;
    const url = `${settings.endpoint}/api/v1/events`, text = JSON.stringify({ token, ...bodyOf(visit, rows) });
    if (!quiet(() => navigator.sendBeacon(url, text))) fetch(url, { method: "POST", body: text, keepalive: true }).catch(() => {});
  }

  /** An answer as {ok, status, wait, body}, or null. The token goes in the body: a request without headers needs no preflight. */
  async function call(path, body, visit = session(), fresh = false) {
    try {
      const token = await tokenOf(visit, fresh);
      if (!token || !allowed()) return null;
      const how = body ? { method: "POST", body: JSON.stringify({ token, ...body }) } : { headers: { authorization: `Bearer ${token}` } };
      const answer = await fetch(settings.endpoint + path, { ...how, credentials: "omit", keepalive: document.hidden, signal: AbortSignal.timeout?.(TIMEOUT_MS) });
      if ((answer.status === 401 || answer.status === 403) && !fresh) return call(path, body, visit, true);
      const wait = 1000 * Number(answer.headers.get("retry-after")) || 0;
      return { ok: answer.ok, status: answer.status, wait, body: await answer.json().catch(() => ({})) };
    } catch {
      return null;
    }
  }

  async function tokenOf(visit, fresh) {
    if (!fresh && (tokens[visit] ??= kept.get(`t:${visit}`) ?? undefined)) return tokens[visit];
    let given = null;
    if (typeof settings.token === "function") given = await settings.token(visit);
    else if (settings.tokenAddress) {
      const mark = settings.tokenAddress.includes("?") ? "&" : "?";
      const answer = await fetch(`${settings.tokenAddress}${mark}session_id=${encodeURIComponent(visit)}`, { credentials: "same-origin", signal: AbortSignal.timeout?.(TIMEOUT_MS) });
      if (answer.ok) given = await answer.json();
    }
    if (given?.session_id && given.session_id !== visit) given = null;
    return (tokens[visit] = given?.token ?? given ?? undefined);
  }

  // What was looked at, and for how long.

  const clock = () => performance.now();

  function look() { if (!document.hidden) since ??= clock(); }

  function lookAway() {
    if (since !== null) spent += clock() - since;
    since = null;
    if (spent < SHORTEST_DWELL_MS) return;
    track("user_engagement", { engagement_time_msec: Math.round(spent), ...(viewed?.items && { items: viewed.items.map(({ item_id }) => ({ item_id })) }) });
    spent = 0;
  }

  const half = new Map(); // cards half in view -> since when
  let looking = 0;
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? half.set(target, clock()) : half.delete(target);
    count();
  }, { threshold: 0.5 });

  function count() {
    clearTimeout(looking);
    if (document.hidden) return;
    const lists = new Map();
    let next = Infinity;
    for (const [card, from] of half) {
      const { pcSlate, pcItem, pcSlot } = card.dataset, id = `${pcSlate} ${pcItem}`;
      if (!card.isConnected) half.delete(card);
      else if (pcSlate && pcItem && !seen.has(id)) {
        const left = from + SEEN_MS - clock();
        if (left > 0) { next = Math.min(next, left); continue; }
        seen.add(id);
        lists.set(pcSlate, [...(lists.get(pcSlate) ?? []), { item_id: pcItem, index: Number(pcSlot) }]);
      }
    }
    for (const [recommendation_id, items] of lists) track("view_item_list", { recommendation_id, items });
    if (next < Infinity) looking = setTimeout(count, next + 5);
  }

  function scan() {
    for (const card of document.querySelectorAll("[data-pc-slate]")) watcher.observe(card);
    count();
  }

  function itemsOf({ dataset: { pcItem, pcItems, pcPrice, pcQuantity } }) {
    if (pcItems) return { items: quiet(() => JSON.parse(pcItems)) ?? [] };
    return pcItem ? { items: [{ item_id: pcItem, ...(pcPrice && { price: Number(pcPrice) }), ...(pcQuantity && { quantity: Number(pcQuantity) }) }] } : {};
  }

  function clicked({ target }) {
    const told = target.closest?.("[data-pc-event]"), card = target.closest?.("a")?.closest("[data-pc-slate]");
    if (told && told.tagName !== "FORM") track(told.dataset.pcEvent, itemsOf(told));
    if (card) track("select_item", { recommendation_id: card.dataset.pcSlate, items: [{ item_id: card.dataset.pcItem, index: Number(card.dataset.pcSlot) }] });
  }

  function submitted({ target }) {
    const { pcEvent, pcTerm } = target.dataset;
    if (pcEvent === "search") track(pcEvent, { search_term: String(new FormData(target).get(pcTerm ?? "q") ?? "") });
    else if (pcEvent) track(pcEvent, itemsOf(target));
  }

  // Slates: pushed over a socket where there is one, asked for where there is none; the last one kept where nothing answers.

  let socket = null, opened = false, lost = 0, again = 0;
  const open = () => socket?.readyState === 1;

  async function slate(ask) {
    const answer = await call("/api/v1/recommendations", { session_id: session(), recommend: ask ?? {} });
    return answer?.ok ? answer.body : null;
  }

  const place = (rail, ask) => `s:${rail}:${JSON.stringify(ask)}`;

  function show(rail, found, stale = false) {
    const asked = asks.get(rail);
    if (!asked) return;
    asked.shown = true;
    if (found && !stale) {
      const old = slates.keys("s:");
      if (old.length >= MOST_SLATES) old.forEach(slates.drop);
      slates.set(place(rail, asked.ask), JSON.stringify(found));
    }
    try { asked.render(found, { stale }); } catch (error) { console.error(error); }
  }

  /** What a rail shows from now on, at once and whenever the session moves; an ask of null ends it. render(slate | null, {stale}). */
  function recommend(rail, ask, render) {
    if (!ask) {
      asks.delete(rail);
      if (open()) socket.send(JSON.stringify({ type: "recommend", rail, recommend: null }));
      return;
    }
    const asked = { ask, render: render ?? asks.get(rail)?.render ?? (() => {}), shown: false };
    asks.set(rail, asked);
    if (!begun || !allowed()) return void show(rail, null, true);
    if (open()) socket.send(JSON.stringify({ type: "recommend", rail, recommend: ask }));
    else if (settings.live === false || lost) refresh(rail);
    else connect();
    setTimeout(() => {
      if (asks.get(rail) !== asked || asked.shown) return;
      show(rail, quiet(() => JSON.parse(slates.get(place(rail, ask)))) ?? null, true);
      if (!open()) refresh(rail);
    }, RENDER_MS);
  }

  async function refresh(only) {
    for (const [rail, asked] of only === undefined ? [...asks] : [[only, asks.get(only)]]) {
      const found = await slate(asked.ask);
      if (found && asks.get(rail) === asked && !open()) show(rail, found);
    }
  }

  async function connect() {
    if (!begun || leaving || settings.live === false || !window.WebSocket || socket?.readyState < 2 || !allowed()) return;
    clearTimeout(again);
    const token = await tokenOf(session(), lost > 0 && !opened).catch(() => null);
    if (!token) return fell();
    if (leaving || socket?.readyState < 2) return;
    opened = false;
    const made = (socket = new WebSocket(`${settings.endpoint.replace(/^http/, "ws")}/ws/v1/session?token=${encodeURIComponent(token)}`));
    made.onopen = () => {
      opened = true;
      lost = 0;
      emit("state", "live");
      // The rail without a name is pushed from the start.
      for (const [rail, { ask }] of asks) if (rail) made.send(JSON.stringify({ type: "recommend", rail, recommend: ask }));
      plan(0);
    };
    made.onmessage = ({ data }) => {
      const message = quiet(() => JSON.parse(data)) ?? {};
      if (message.type === "slate") show(message.rail, message.slate);
      else if (message.type === "error") emit("state", "trouble", message.detail);
      else if (message.type === "ping") made.send('{"type":"pong"}');
      else if (message.type) emit(message.type, message[message.type]);
    };
    made.onclose = () => { if (made === socket) fell(); };
  }

  function fell() {
    if (leaving || !begun) return;
    emit("state", "down");
    if (!lost) refresh();
    again = setTimeout(connect, Math.min(LONGEST_WAIT_MS / 4, 500 * 2 ** lost++) * (0.75 + Math.random() / 2));
  }

  function begin() {
    if (begun || !allowed()) return;
    begun = true;
    look();
    const shown = document.querySelector("[data-pc-view]");
    if (shown) viewed = { items: [{ item_id: shown.dataset.pcView, ...(shown.dataset.pcPrice && { price: Number(shown.dataset.pcPrice) }) }] };
    if (viewed) track("view_item", viewed);
    scan();
    for (const [rail, { ask, render }] of [...asks]) recommend(rail, ask, render);
    plan(0);
  }

  let listening = false;
  function listen() {
    if (listening) return;
    listening = true;
    document.addEventListener("click", (event) => quiet(() => clicked(event)), true);
    document.addEventListener("submit", (event) => quiet(() => submitted(event)), true);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { lookAway(); flush(); } else { look(); half.forEach((_, card) => half.set(card, clock())); count(); plan(0); }
    });
    addEventListener("pagehide", () => { lookAway(); if (begun && allowed()) leave(); leaving = true; socket?.close(); });
    addEventListener("pageshow", ({ persisted }) => { if (persisted) { leaving = false; look(); if (asks.size) connect(); plan(0); } });
    addEventListener("online", () => { notBefore = 0; plan(0); if (asks.size) connect(); });
    new MutationObserver(scan).observe(document, { childList: true, subtree: true, attributeFilter: ["data-pc-slate"] });
  }

  window.persona = {
    /** settings: endpoint, shop, session, token, tokenAddress, consent, context, live. */
    init(given = {}) {
      Object.assign(settings, given);
      settings.endpoint = (settings.endpoint ?? quiet(() => new URL(own).origin) ?? location.origin).replace(/\/$/, "");
      if (typeof given.token === "string") tokens[session()] = given.token;
      listen();
      begin();
    },
    /** Resolves to the session's version after the event, or to null where it waits for the network or isn't told. */
    track: (name, params) => quiet(() => track(name, params)) ?? Promise.resolve(null),
    recommend: (rail, ask, render) => quiet(() => recommend(rail, ask, render)),
    slate,
    profile: async () => (await call(`/api/v1/sessions/${encodeURIComponent(session())}/profile`))?.body ?? null,
    consent(given) {
      refused = !given;
      if (given && settings.consent === "required") kept.set("consent", "1");
      if (given) return begin();
      begun = false;
      clearTimeout(again);
      socket?.close();
      for (const shelf of [kept, slates]) shelf.keys("").forEach(shelf.drop);
    },
    on(kind, hear) { (hearers[kind] ??= []).push(hear); },
    get session() { return allowed() ? session() : null; },
  };
})();
