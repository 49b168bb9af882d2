// The page's side of the public doors: events out over REST, profile and slates in over the websocket,
// and over REST again while the socket is down.

const POLL_MS = 4000;
const LONGEST_WAIT_MS = 15000;

// The close code of a token that has ended: a fresh one is asked for before the page comes back.
const UNAUTHORISED = 4401;

export function newId() {
  // crypto.randomUUID exists on secure pages only; a demo may be looked at over plain http.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

export class Live {
  /** settings: as the page gives them. on: {profile, slate(rail, slate), state} callbacks; state is live, down, or trouble with what it is. */
  constructor(settings, on) {
    this.settings = settings;
    this.on = on;
    this.token = settings.token;
    this.queue = [];
    this.posting = null;
    this.attempts = 0;
    this.opened = false;
    this.events = -1;
    this.poller = 0;
    this.leaving = false;
    this.asks = new Map();
    this.version = null;
    this.shown = new Set();
  }

  /** What a rail shows from now on, at once and whenever the session moves; null for nothing any more. */
  ask(rail, recommend) {
    this.shown.delete(rail);
    if (recommend) this.asks.set(rail, recommend);
    else this.asks.delete(rail);
    if (this.open) this.subscribe(rail, recommend);
    else if (recommend && this.poller) this.fetch(rail, recommend);
  }

  subscribe(rail, recommend) {
    // A slate that the page shows already comes again only if the session has moved since.
    const version = this.shown.has(rail) ? this.version : null;
    this.socket.send(JSON.stringify({ type: "recommend", rail, recommend, version }));
  }

  /** A slate over REST. Resolves to null where none can be had. */
  async slate(recommend) {
    const body = JSON.stringify({ session_id: this.settings.session, recommend });
    const answer = await this.call("/api/v1/recommendations", { method: "POST", body });
    return answer.ok ? answer.json() : null;
  }

  async fetch(rail, recommend) {
    try {
      const slate = await this.slate(recommend);
      if (slate && this.asks.has(rail)) this.on.slate(rail, slate);
    } catch {
      // The next poll tries again.
    }
  }

  start() {
    addEventListener("pagehide", () => { this.leaving = true; this.socket?.close(); });
    addEventListener("pageshow", (event) => { if (event.persisted) { this.leaving = false; this.connect(); } });
    addEventListener("online", () => this.connect());
    this.connect();
  }

  /** Sends events in order. Resolves to the session's version after them, or null if they must wait for the network. */
  send(events, { last = false } = {}) {
    this.queue.push(...events);
    if (last) return this.post(true);
    this.posting = (this.posting ?? Promise.resolve()).then(() => this.post(false));
    return this.posting;
  }

  async post(keepalive) {
    const batch = this.queue.splice(0, 100);
    if (!batch.length) return null;
    const device = matchMedia("(pointer: coarse)").matches ? "mobile" : "desktop";
    // `settings.context` holds circumstances that the visitor tries on; they go before what is so.
    const body = { session_id: this.settings.session, context: { device, ...this.settings.context }, events: batch };
    try {
      const answer = await this.call("/api/v1/events", { method: "POST", body: JSON.stringify(body), keepalive });
      if (answer.ok) {
        const { version } = await answer.json();
        if (!this.open) this.poll();
        return version;
      }
      // What was refused stays refused; what met a busy or sleeping server is sent again, and counts once by its id.
      if (answer.status >= 500 || answer.status === 429) this.queue.unshift(...batch);
    } catch {
      this.queue.unshift(...batch);
    }
    return null;
  }

  async call(path, options = {}, retry = true) {
    const headers = { authorization: `Bearer ${this.token}`, "content-type": "application/json" };
    const answer = await fetch(path, { ...options, headers });
    if (answer.status === 401 && retry && (await this.renew())) return this.call(path, options, false);
    return answer;
  }

  async renew() {
    try {
      const answer = await fetch(`${this.settings.base}token/`, { credentials: "same-origin" });
      if (!answer.ok) return false;
      const fresh = await answer.json();
      if (fresh.session_id !== this.settings.session) return false;
      this.token = fresh.token;
      return true;
    } catch {
      return false;
    }
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    if (this.leaving || (this.socket && this.socket.readyState <= WebSocket.OPEN)) return;
    clearTimeout(this.again);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const since = this.version === null ? "" : `&version=${this.version}`;
    const socket = new WebSocket(`${scheme}://${location.host}/ws/v1/session?token=${encodeURIComponent(this.token)}${since}`);
    this.socket = socket;
    this.opened = false;
    socket.onopen = () => {
      this.opened = true;
      this.attempts = 0;
      clearInterval(this.poller);
      this.poller = 0;
      this.on.state("live");
      for (const [rail, recommend] of this.asks) this.subscribe(rail, recommend);
      if (this.queue.length) this.send([]);
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "profile" || message.type === "slate") this.version = message.version;
      if (message.type === "ping") socket.send('{"type":"pong"}');
      else if (message.type === "profile") this.took(message.profile);
      else if (message.type === "slate" && this.asks.has(message.rail)) {
        this.shown.add(message.rail);
        this.on.slate(message.rail, message.slate);
      } else if (message.type === "error") this.on.state("trouble", message.detail);
    };
    socket.onclose = ({ code }) => {
      if (code === UNAUTHORISED) this.opened = false;
      if (socket === this.socket) this.lost();
    };
  }

  lost() {
    if (this.leaving) return;
    this.on.state("down");
    if (!this.poller) this.poller = setInterval(() => this.poll(), POLL_MS);
    if (!this.opened) this.poll();
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** this.attempts) * (0.75 + Math.random() / 2);
    this.attempts += 1;
    const refused = !this.opened;
    this.again = setTimeout(async () => {
      if (refused) await this.renew();
      this.connect();
    }, wait);
  }

  took(profile) {
    this.events = profile.events;
    if (this.open) this.on.state("live");
    this.on.profile(profile);
  }

  async poll() {
    if (this.leaving || this.open || document.hidden) return;
    const session = encodeURIComponent(this.settings.session);
    try {
      if (this.queue.length) await this.send([]);
      const answer = await this.call(`/api/v1/sessions/${session}/profile`);
      if (!answer.ok) return;
      const profile = await answer.json();
      if (profile.events === this.events) return;
      this.took(profile);
      for (const [rail, recommend] of this.asks) await this.fetch(rail, recommend);
    } catch {
      // The next poll tries again; the panel already says that live updates are off.
    }
  }
}
