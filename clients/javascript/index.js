// Client of a Persona Clusters installation. README.md shows its use; index.d.ts has the types.

const MOST_EVENTS = 500, MOST_ITEMS = 500, MOST_REQUESTS = 10000, MOST_SLATES = 1000;
const AWAY_MS = 1000, LONGEST_BACKOFF_MS = 5000, LONGEST_WAIT_MS = 30000;
const BUSY = [408, 425, 429, 500, 502, 503, 504];
const FOR_EVER = [400, 409, 413, 415, 422];

export class PersonaError extends Error {
  constructor(code, detail, { status = 0, field = "", retryAfter = null, cause } = {}) {
    super(`${code}: ${detail}`, { cause });
    Object.assign(this, { name: new.target.name, code, detail, status, field, retryAfter });
  }
}
export class Invalid extends PersonaError {}
export class Unauthorised extends PersonaError {}
export class Forbidden extends PersonaError {}
export class NotFound extends PersonaError {}
export class Conflict extends PersonaError {}
export class RateLimited extends PersonaError {}
export class Unavailable extends PersonaError {}
export class Unreachable extends PersonaError {}

const KINDS = { 401: Unauthorised, 403: Forbidden, 404: NotFound, 409: Conflict, 412: Conflict, 429: RateLimited };
const isAway = (error) => error instanceof RateLimited || error instanceof Unavailable || error instanceof Unreachable;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const given = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== null));
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

function parts(list, most) {
  return Array.from({ length: Math.ceil(list.length / most) }, (_, i) => list.slice(i * most, (i + 1) * most));
}

async function errorOf(response) {
  const told = await response.json().catch(() => null);
  const Kind = KINDS[response.status] ?? (response.status >= 500 ? Unavailable : Invalid);
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  return new Kind(told?.code ?? `http_${response.status}`, told?.detail ?? response.statusText, {
    status: response.status, field: told?.field ?? "", retryAfter: Number.isFinite(seconds) ? seconds : null,
  });
}

export class Client {
  #base; #key; #timeout; #retries; #patience; #fetch; #store;
  #outbox = null;
  #slates = new Map();
  #awayUntil = 0;

  /** base: the installation's address. key: an API key, or a session token. The rest: index.d.ts. */
  constructor(base, key, { timeout = 5000, retries = 3, patience = 500, outbox = null, fetch = globalThis.fetch } = {}) {
    this.#base = base.replace(/\/$/, "");
    this.#key = key;
    this.#timeout = timeout;
    this.#retries = retries;
    this.#patience = patience;
    this.#store = outbox;
    this.#fetch = (...how) => fetch(...how);
    const send = (...how) => this.#run(...how);
    const shopper = (method, id, what = "", body) => send(method, `/api/v1/shoppers/${encodeURIComponent(id)}${what}`, body);
    const item = (id) => `/api/v1/items/${encodeURIComponent(id)}/`;
    this.items = {
      async upsert(items) {
        const whole = { added: 0, updated: 0, rejected: 0, results: [] };
        for (const [place, part] of parts(items, MOST_ITEMS).entries()) {
          const answer = await send("POST", "/api/v1/items/", { items: part });
          for (const name of ["added", "updated", "rejected"]) whole[name] += answer[name];
          whole.results.push(...answer.results.map((result) => ({ ...result, index: place * MOST_ITEMS + result.index })));
        }
        return whole;
      },
      patch: (id, offer) => send("PATCH", item(id), offer),
      delete: (id) => send("DELETE", item(id)),
    };
    this.shoppers = {
      get: (id) => shopper("GET", id),
      consent: (id, demographics) => shopper("PUT", id, "/consent", { demographics }),
      demographics: (id, values) => shopper("PUT", id, "/demographics", values),
      merge: (id, guest) => shopper("POST", id, "/merge", { from: guest }),
      export: (id) => shopper("GET", id, "/export"),
      erase: (id) => shopper("DELETE", id),
    };
  }

  /** Sends events of one session; where the system is away they are kept, and go out later. */
  async events(session, events, { shopperId, context, consent, recommend } = {}) {
    const now = Date.now() * 1000;
    const whole = events.map((event) => ({ event_id: newId(), ...(event.timestamp === undefined && { timestamp_micros: now }), ...event }));
    const told = { results: [], kept: false };
    const bodies = parts(whole, MOST_EVENTS).map((part) => ({ session_id: session, ...given({ shopper_id: shopperId, context, consent }), events: part }));
    if (!bodies.length) bodies.push({ session_id: session, ...given({ shopper_id: shopperId, context, consent }), events: [] });
    for (const [i, body] of bodies.entries()) {
      try {
        const { results, ...rest } = await this.#run("POST", "/api/v1/events", i === bodies.length - 1 ? { ...body, ...given({ recommend }) } : body);
        Object.assign(told, rest);
        told.results.push(...results);
      } catch (error) {
        if (!isAway(error)) throw error;
        const kept = await this.#kept();
        kept.push(body);
        kept.splice(0, kept.length - MOST_REQUESTS);
        await this.#store?.save(kept);
        told.kept = true;
        told.results.push(...body.events.map(({ event_id }) => ({ event_id, status: "kept" })));
      }
    }
    if (!told.kept && (await this.#kept()).length) await this.flush();
    return told;
  }

  /** Sends what was kept, oldest first, until the system is away again. Resolves to the number of requests that went. */
  async flush() {
    const kept = await this.#kept();
    let went = 0;
    while (kept.length) {
      const [body] = kept;
      try {
        await this.#run("POST", "/api/v1/events", body);
      } catch (error) {
        if (isAway(error)) break;
        if (!FOR_EVER.includes(error.status)) throw error;
        console.warn(`kept events were refused, and dropped: ${error.message}`);
      }
      if (kept[0] === body) kept.shift(); // or another flush was quicker
      went += 1;
      await this.#store?.save(kept);
    }
    return went;
  }

  /** A slate; the last one of the same ask (stale), or null, where the system is away. */
  async recommend(session, context = "home", options = {}) {
    const body = { session_id: session, recommend: { context, ...given(options) } };
    const key = JSON.stringify(body);
    if (Date.now() >= this.#awayUntil) {
      try {
        const slate = await this.#run("POST", "/api/v1/recommendations", body, { timeout: this.#patience, retries: 0 });
        this.#slates.delete(key);
        this.#slates.set(key, slate);
        if (this.#slates.size > MOST_SLATES) this.#slates.delete(this.#slates.keys().next().value);
        return slate;
      } catch (error) {
        if (!isAway(error)) throw error;
        this.#awayUntil = Date.now() + AWAY_MS;
      }
    }
    const last = this.#slates.get(key);
    return last ? { ...last, stale: true } : null;
  }

  profile(session) {
    return this.#run("GET", `/api/v1/sessions/${encodeURIComponent(session)}/profile`);
  }

  /** A token for the page of this session. shopperId: who is logged in. ttl: seconds that it holds. */
  sessionToken(session, { shopperId, ttl } = {}) {
    return this.#run("POST", "/api/v1/session-tokens", { session_id: session, ...given({ shopper_id: shopperId, ttl_s: ttl }) });
  }

  async #kept() {
    return (this.#outbox ??= (await this.#store?.load()) ?? []);
  }

  async #run(method, path, body, { timeout = this.#timeout, retries = this.#retries } = {}) {
    for (let attempt = 0; ; attempt += 1) {
      let error;
      try {
        const response = await this.#fetch(this.#base + path, {
          method, signal: AbortSignal.timeout(timeout), body: body === undefined ? undefined : JSON.stringify(body),
          headers: { authorization: `Bearer ${this.#key}`, ...(body !== undefined && { "content-type": "application/json" }) },
        });
        if (response.ok) return response.status === 204 ? null : await response.json();
        if (attempt && method === "DELETE" && response.status === 404) return null; // the attempt before did it
        error = await errorOf(response);
      } catch (cause) {
        error = new Unreachable("unreachable", String(cause?.cause ?? cause), { cause });
      }
      const asked = 1000 * (error.retryAfter ?? 0);
      const wait = Math.max(Math.min(LONGEST_BACKOFF_MS, 200 * 2 ** attempt) * (0.5 + Math.random() / 2), asked);
      if (attempt >= retries || asked > LONGEST_WAIT_MS || (error.status && !BUSY.includes(error.status))) throw error;
      await sleep(wait);
    }
  }
}
