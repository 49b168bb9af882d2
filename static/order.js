// A search's results by relevance, or with those that suit this visit before their equals. Nothing is added or left out.

import { ofTab } from "./memory.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Order {
  /** root: the switch, with a button for each order. rank(ids): resolves to the ids as they suit the visit, or null. */
  constructor(root, settings, rank) {
    this.root = root;
    this.rank = rank;
    this.grid = document.querySelector(".found .grid");
    this.cards = [...this.grid.children];
    this.said = root.querySelector("[role=status]");
    this.key = `order:${settings.shop}`;
    root.hidden = false;
    for (const button of root.querySelectorAll("button")) button.addEventListener("click", () => this.choose(button.value));
    if (ofTab.get(this.key) === "you") this.choose("you", { animate: false });
  }

  async choose(order, { animate = true } = {}) {
    ofTab.set(this.key, order);
    for (const button of this.root.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === order));
    this.chosen = order;
    if (order !== "you") {
      this.show(this.cards, animate);
      this.said.textContent = "By relevance";
      return;
    }
    this.said.textContent = "Looking what suits you";
    const ids = await this.rank(this.cards.map((card) => card.dataset.item)).catch(() => null);
    if (this.chosen !== "you") return;
    if (!ids) {
      this.said.textContent = "Can't be ordered for you just now";
      return;
    }
    const place = new Map(ids.map((id, i) => [id, i]));
    const at = (card) => place.get(card.dataset.item) ?? ids.length;
    this.show([...this.cards].sort((a, b) => at(a) - at(b)), animate);
    this.said.textContent = "Of equally relevant items, those that suit you first";
  }

  show(cards, animate) {
    const from = new Map(cards.map((card) => [card, card.getBoundingClientRect()]));
    const focused = document.activeElement;
    this.grid.append(...cards);
    if (this.grid.contains(focused)) focused.focus({ preventScroll: true });
    if (!animate || still.matches) return;
    for (const card of cards) {
      const before = from.get(card), now = card.getBoundingClientRect();
      const x = before.left - now.left, y = before.top - now.top;
      if (x || y) card.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], { duration: 180, easing: "ease-out" });
    }
  }
}
