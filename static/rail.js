// A rail of recommendations: changes in place, leaves what the pointer or the focus is on, reports what was really seen.

import { calm, el, face, readable } from "./belief.js";

const SLOTS = 12;
const SEEN_AFTER_MS = 1000;
const EAGER = 6; // cards whose pictures don't wait until one scrolls to them
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Why an item is shown, in a dialog: the words that its card has no room for, whom it is for and where it comes from. */
function explain(item, base) {
  let dialog = document.getElementById("why");
  if (!dialog) {
    dialog = el("dialog", { id: "why", "aria-labelledby": "why-title" },
      el("h2", { id: "why-title" }, "Why am I seeing this?"), el("p", { class: "why-item" }), el("p", { class: "why-words" }), el("dl", { class: "why-facts" }),
      el("p", { class: "why-note" }, "What is shown here follows what you do on this visit. You can pause that in the panel."),
      el("form", { method: "dialog" }, el("button", { class: "button" }, "Close")));
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    document.body.append(dialog);
  }
  dialog.querySelector(".why-item").textContent = readable(item.title);
  dialog.querySelector(".why-words").textContent = calm(item.reason);
  const facts = [];
  if (item.persona) facts.push(["For", el("span", { class: "why-persona" }, face(item.persona), item.persona.name)]);
  if (item.because) facts.push(["Because of", el("a", { href: addressOf(base, item.because) }, "an item of this visit")]);
  if (item.cluster) facts.push(["From the group", calm(item.cluster.name)]);
  dialog.querySelector(".why-facts").replaceChildren(...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  dialog.showModal();
}

const addressOf = (base, id) => `${base}item/${id.split("/").map(encodeURIComponent).join("/")}/`;

export class Rail {
  /** root: the rail's section. report(recommendationId, [{item_id, index}]) is called once for each item seen since the
      shopper last did something. */
  constructor(root, settings, report) {
    this.root = root;
    this.settings = settings;
    this.report = report;
    this.list = root.querySelector(".rail-items");
    this.note = root.querySelector(".rail-note");
    this.waiting = null;
    this.filled = false;
    this.visible = new Set();
    this.reported = new Set();
    this.money = new Intl.NumberFormat("en-GB", { style: "currency", currency: settings.currency, currencyDisplay: "narrowSymbol" });
    this.observer = new IntersectionObserver((entries) => this.watch(entries), { threshold: 0.5 });
    for (const leave of ["pointerleave", "focusout"]) this.list.addEventListener(leave, () => setTimeout(() => this.catchUp()));
  }

  /** The card under the pointer or holding the focus, if any: an update never takes it. */
  held() {
    return this.list.querySelector(".rail-card:hover") ?? this.list.querySelector(".rail-card:focus-within");
  }

  catchUp() {
    if (this.waiting && !this.held()) this.show(this.waiting);
  }

  show(slate, { animate = true } = {}) {
    const held = this.held();
    this.waiting = held ? slate : null;
    this.filled = true;
    const old = new Map(Array.from(this.list.children, (card) => [card.dataset.item, card]));
    const from = new Map(Array.from(this.list.children, (card) => [card, card.getBoundingClientRect()]));
    const wanted = slate.items.filter((item) => item.item_id !== held?.dataset.item).slice(0, held ? SLOTS - 1 : SLOTS);
    const cards = wanted.map((item) => this.fill(old.get(item.item_id) ?? this.card(item), item, slate));
    const place = held ? Math.min([...this.list.children].indexOf(held), cards.length) : cards.length;
    const scrolled = this.list.scrollLeft;
    const kept = new Set(cards);
    // What was in view before isn't known to be now: the observer says it anew of each card.
    this.visible.clear();
    clearTimeout(this.timer);
    for (const card of [...this.list.children]) if (card !== held && !kept.has(card)) { this.observer.unobserve(card); card.remove(); }
    cards.forEach((card, i) => (i < place ? this.list.insertBefore(card, held) : this.list.append(card)));
    this.list.scrollLeft = scrolled;
    for (const card of this.list.children) this.observer.unobserve(card);
    if (animate && !still.matches) for (const card of cards) this.move(card, from.get(card));
    this.arrived();
    if (!held) this.note.textContent = this.said(slate);
    this.root.classList.toggle("nothing", !slate.items.length);
  }

  /** What the rail is, in a few words: where the shop could not say what was asked, that. */
  said(slate) {
    const notes = new Set(slate.notes);
    if (!slate.items.length) return "Nothing to show here yet";
    if (notes.has("no_anchors")) return "Too new to know: what else suits you";
    if (notes.has("no_companions")) return "Nothing known yet: popular things of other kinds";
    return this.root.dataset.note;
  }

  /** What is in view is asked for when nothing moves: a card that crosses the screen on its way out was not looked at. */
  async arrived() {
    const moves = [...this.list.children].flatMap((card) => card.getAnimations().map((move) => move.finished));
    await Promise.allSettled(moves);
    for (const card of this.list.children) this.observer.observe(card);
  }

  move(card, before) {
    const timing = { duration: 180, easing: "ease-out" };
    if (!before) card.animate([{ opacity: 0 }, { opacity: 1 }], timing);
    else {
      const shift = before.left - card.getBoundingClientRect().left;
      if (shift) card.animate([{ transform: `translateX(${shift}px)` }, { transform: "none" }], timing);
    }
  }

  card(item) {
    const at = addressOf(this.settings.base, item.item_id);
    const image = el("img", { src: `${at}picture.svg`, alt: "", width: 240, height: 300, decoding: "async", loading: item.slot < EAGER ? null : "lazy" });
    return el("li", { class: "rail-card", "data-item": item.item_id },
      el("a", { href: at }, el("span", { class: "shot" }, image), el("span", { class: "title" }), el("span", { class: "price" }), el("span", { class: "for" }), el("span", { class: "why" })));
  }

  fill(card, item, slate) {
    card.dataset.slot = item.slot;
    card.dataset.recommendation = slate.recommendation_id;
    card.dataset.category = item.category ?? "";
    card.querySelector(".title").textContent = readable(item.title);
    card.querySelector(".price").textContent = item.price === null ? "" : this.money.format(item.price);
    const why = card.querySelector(".why");
    why.textContent = calm(item.reason);
    why.title = why.textContent;
    const whom = item.persona ? [face(item.persona), el("span", {}, el("span", { class: "unseen" }, "For "), item.persona.name)] : [];
    card.querySelector(".for").replaceChildren(...whom);
    const ask = card.querySelector(".ask") ?? el("button", { type: "button", class: "ask", "aria-haspopup": "dialog" }, "?");
    ask.setAttribute("aria-label", `Why am I seeing this? ${readable(item.title)}`);
    ask.onclick = () => explain(item, this.settings.base);
    card.append(ask);
    return card;
  }

  /** The shopper did something: what is on show from now on counts as seen anew. */
  turn() {
    this.reported.clear();
    this.visible.clear();
    for (const card of this.list.children) { this.observer.unobserve(card); this.observer.observe(card); }
  }

  watch(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.visible.add(target);
      else this.visible.delete(target);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tell(), SEEN_AFTER_MS);
  }

  tell() {
    if (document.hidden) return;
    const seen = new Map();
    for (const card of this.visible) {
      const { item, slot, recommendation } = card.dataset;
      if (!recommendation || !card.isConnected || this.reported.has(item)) continue;
      this.reported.add(item);
      seen.set(recommendation, [...(seen.get(recommendation) ?? []), { item_id: item, index: Number(slot) }]);
    }
    for (const [recommendation, items] of seen) this.report(recommendation, items);
  }
}
