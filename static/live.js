// The storefront's side of tracker.js, which any shop's page loads: events out, profile and slates in. While the socket is
// down the profile is asked for every few seconds, since the panel shows it.

import "./tracker.js";

const POLL_MS = 4000;
const { persona } = window;

export function newId() {
  // crypto.randomUUID exists on secure pages only; a demo may be looked at over plain http.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

export class Live {
  /** settings: as the page gives them. on: {profile, slate(rail, slate), state, made(event)} callbacks; state is live, down,
      or trouble with what it is; made is told of every event, also of those that tracker.js makes by itself. */
  constructor(settings, on) {
    this.settings = settings;
    this.on = on;
    this.asks = new Map();
    this.open = false;
    this.started = false;
    this.events = -1;
    this.poller = 0;
    this.sent = { version: -1, reports: 0 };
  }

  /** What a rail shows from now on, at once and whenever the session moves; null for nothing any more. */
  ask(rail, recommend) {
    if (recommend) this.asks.set(rail, recommend);
    else this.asks.delete(rail);
    // A slate of before is no news, and where there is none the rail stays as it is.
    persona.recommend(rail, recommend && { ...recommend, reasons: true }, (slate, { stale }) => { if (slate && !stale) this.on.slate(rail, slate); });
  }

  /** A slate. Resolves to null where none can be had. Of a page that isn't followed nothing else is sent or kept. */
  async slate(recommend) {
    const { session, token } = this.settings;
    recommend = { ...recommend, reasons: true };
    if (this.started) return persona.slate(recommend);
    const answer = await fetch("/api/v1/recommendations", { method: "POST", body: JSON.stringify({ token, session_id: session, recommend }) });
    return answer.ok ? answer.json() : null;
  }

  start() {
    const { base, context, session, shop, token } = this.settings;
    this.started = true;
    persona.on("made", (event) => this.on.made(event));
    persona.on("sent", (events, version) => { this.sent = { version, reports: events.every(({ name }) => name === "view_item_list") ? events.length : 0 }; });
    persona.on("profile", (profile) => this.took(profile));
    persona.on("state", (state, detail) => {
      this.open = state !== "down";
      clearInterval(this.poller);
      if (!this.open) {
        this.poller = setInterval(() => this.poll(), POLL_MS);
        this.poll();
      }
      this.on.state(state, detail);
    });
    persona.init({ endpoint: location.origin, shop, session, token, tokenAddress: `${base}token/`, context });
    if (navigator.globalPrivacyControl || navigator.doNotTrack === "1") this.on.state("off", "Your browser asks not to be followed: nothing is sent");
  }

  /** Tells events. Resolves to the session's version after them, or to null if they must wait for the network. */
  async send(events) {
    const versions = await Promise.all(events.map(({ name, ...params }) => persona.track(name, params)));
    return versions.includes(null) ? null : Math.max(...versions);
  }

  /** How many reports of what was seen led to this version; 0 if anything else did, too. */
  reports(version) {
    return version === this.sent.version ? this.sent.reports : 0;
  }

  /** Circumstances that hold from now on. Resolves to whether they were taken. */
  async place(context) {
    const answer = await persona.call("/api/v1/events", { session_id: this.settings.session, context, events: [] });
    if (!answer?.ok) return false;
    this.settings.context = { ...this.settings.context, ...context };
    persona.init({ context: this.settings.context });
    if (!this.open) this.poll();
    return true;
  }

  took(profile) {
    this.events = profile.events;
    if (this.open) this.on.state("live");
    this.on.profile(profile);
  }

  async poll() {
    if (this.open || document.hidden) return;
    const profile = await persona.profile();
    if (!profile || this.open || profile.events === this.events) return;
    this.took(profile);
    for (const [rail, recommend] of this.asks) this.ask(rail, recommend);
  }
}
