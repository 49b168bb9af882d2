export type EventName =
  | "view_item" | "select_item" | "view_item_list" | "search" | "add_to_cart" | "remove_from_cart" | "add_to_wishlist"
  | "purchase" | "refund" | "user_engagement";
export type Context = "home" | "similar" | "complementary" | "cart" | "search";

export interface EventItem { item_id: string; index?: number; price?: number; quantity?: number }

/** `event_id` and the time are filled in where they are left out. timestamp: seconds since 1970. */
export interface Event {
  name: EventName;
  event_id?: string;
  timestamp?: number;
  timestamp_micros?: number;
  items?: EventItem[];
  search_term?: string;
  engagement_time_msec?: number;
  recommendation_id?: string;
}

/** status: "kept" where the event waits here for a system that is away. */
export interface Result {
  event_id: string;
  status: "accepted" | "duplicate" | "rejected" | "kept";
  field?: string;
  reason?: string;
  notes?: string[];
}

export interface SlateItem {
  item_id: string;
  slot: number;
  title?: string;
  price?: number | null;
  propensity?: number;
  persona?: { id: number; key: string; name: string } | null;
  cluster?: { id: number; name: string } | null;
  /** Where `reasons` were asked for. */
  reason?: string;
  because?: string | null;
  [more: string]: unknown;
}

/** stale: the last one that could be had, the system being away. */
export interface Slate {
  recommendation_id: string;
  items: SlateItem[];
  version?: number;
  notes?: string[];
  stale?: boolean;
  [more: string]: unknown;
}

export interface Ask {
  count?: number;
  item_id?: string;
  items?: string[];
  query?: string;
  filters?: Record<string, string[] | number>;
  diversity?: number;
  exclude?: string[];
  allow_seen?: boolean;
  allow_current?: boolean;
  allow_out_of_stock?: boolean;
  /** Have each item told why it is there, which takes as long again; the items are the same without. */
  reasons?: boolean;
}

export interface Told { results: Result[]; kept: boolean; version?: number; release?: string; slate?: Slate }
export interface Persona { id: number; key: string; name: string; probability: number }
export interface Profile {
  belief: Persona[];
  version: number;
  unsure?: boolean;
  several?: boolean;
  clusters?: Record<string, unknown>[];
  [more: string]: unknown;
}
export interface Offer { price?: number | null; regular_price?: number | null; cost?: number | null; in_stock?: boolean | number }
export interface Item extends Offer { item_id: string; title?: string; category?: string; tags?: string[]; [more: string]: unknown }
export interface ItemsWritten {
  added: number;
  updated: number;
  rejected: number;
  results: { index: number; item_id: string; status: "added" | "updated" | "rejected"; field?: string; reason?: string }[];
}

/** Where events that can't be sent are kept beyond the process. */
export interface Outbox {
  load(): unknown[] | Promise<unknown[]>;
  save(requests: unknown[]): void | Promise<void>;
}

export interface Options {
  /** Milliseconds of one attempt; 5000. */
  timeout?: number;
  /** Attempts after the first; 3. */
  retries?: number;
  /** Milliseconds that `recommend` waits; 500. */
  patience?: number;
  outbox?: Outbox | null;
  fetch?: typeof globalThis.fetch;
}

export class Client {
  constructor(base: string, key: string, options?: Options);
  events(
    session: string,
    events: Event[],
    more?: { shopperId?: string; context?: Record<string, string | number | boolean>; consent?: boolean; recommend?: Ask & { context?: Context } },
  ): Promise<Told>;
  flush(): Promise<number>;
  recommend(session: string, context?: Context, options?: Ask): Promise<Slate | null>;
  profile(session: string): Promise<Profile>;
  sessionToken(session: string, more?: { shopperId?: string; ttl?: number }): Promise<{ token: string; session_id: string; websocket: string }>;
  readonly items: {
    upsert(items: Item[]): Promise<ItemsWritten>;
    patch(id: string, offer: Offer): Promise<Record<string, unknown>>;
    delete(id: string): Promise<unknown>;
  };
  readonly shoppers: {
    get(id: string): Promise<Record<string, unknown>>;
    consent(id: string, demographics: boolean): Promise<Record<string, unknown>>;
    demographics(id: string, values: Record<string, string>): Promise<Record<string, unknown>>;
    merge(id: string, guest: string): Promise<Record<string, unknown>>;
    export(id: string): Promise<Record<string, unknown>>;
    erase(id: string): Promise<Record<string, unknown>>;
  };
}

/** code: stable. status: 0 where nobody answered. retryAfter: seconds, if the server said so. */
export class PersonaError extends Error {
  readonly code: string;
  readonly detail: string;
  readonly status: number;
  readonly field: string;
  readonly retryAfter: number | null;
}
export class Invalid extends PersonaError {}
export class Unauthorised extends PersonaError {}
export class Forbidden extends PersonaError {}
export class NotFound extends PersonaError {}
export class Conflict extends PersonaError {}
export class RateLimited extends PersonaError {}
export class Unavailable extends PersonaError {}
export class Unreachable extends PersonaError {}
