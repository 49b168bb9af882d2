// The bag lives in this browser; the shop only hears of what goes in, out and home. Open, it shows what goes with it.

import { el } from "./belief.js";

export class Bag {
  /** rail: {show(root, recommend), hide()}, or null where nothing is live. */
  constructor(settings, tell, rail) {
    this.settings = settings;
    this.tell = tell;
    this.rail = rail;
    this.key = `bag:${settings.shop}:${settings.session}`;
    this.items = JSON.parse(localStorage.getItem(this.key) ?? "[]");
    this.sheet = document.getElementById("bag-sheet");
    this.beside = this.frame();
    this.bag = document.getElementById("bag");
    this.bag.hidden = false;
    this.bag.addEventListener("toggle", () => this.suggest());
    this.button = document.getElementById("add");
    if (this.button) {
      this.button.hidden = false;
      this.button.addEventListener("click", () => this.toggle(this.button.dataset));
    }
    this.draw();
  }

  toggle({ item, title, price }) {
    if (this.items.some((i) => i.item === item)) {
      this.items = this.items.filter((i) => i.item !== item);
      this.tell("remove_from_cart", { items: [{ item_id: item }] });
    } else {
      this.items.push({ item, title, price });
      this.tell("add_to_cart", { items: [{ item_id: item, quantity: 1, ...(this.settings.item === item && this.settings.price !== null ? { price: this.settings.price } : {}) }] });
    }
    this.keep();
  }

  buy() {
    this.tell("purchase", { items: this.items.map((i) => ({ item_id: i.item, quantity: 1 })) });
    this.items = [];
    this.keep();
    this.bag.open = false;
    this.bag.querySelector("summary").focus(); // the button that had the focus is gone
  }

  keep() {
    localStorage.setItem(this.key, JSON.stringify(this.items));
    this.draw();
  }

  /** The place of what goes with the bag, as high empty as full. */
  frame() {
    const blank = () => el("li", { class: "rail-card waiting", "aria-hidden": "true" }, ...["shot", "title", "price", "for", "why"].map((part) => el("span", { class: part })));
    return el("section", { class: "rail beside", "aria-labelledby": "rail-title-cart", "data-note": "" },
      el("div", { class: "rail-head" }, el("h2", { id: "rail-title-cart" }, "Goes with your bag"), el("p", { class: "rail-note" })),
      el("ol", { class: "rail-items", tabindex: 0, "aria-label": "Goes with your bag" }, ...Array.from({ length: 3 }, blank)));
  }

  /** What goes with the bag is asked for only while somebody may see it. */
  suggest() {
    if (!this.rail) return;
    if (this.bag.open && this.items.length) this.rail.show(this.beside, { context: "cart", count: 6, items: this.items.map((i) => i.item) });
    else this.rail.hide();
  }

  draw() {
    document.getElementById("bag-count").textContent = this.items.length;
    if (this.button) {
      const inside = this.items.some((i) => i.item === this.button.dataset.item);
      this.button.textContent = inside ? "In your bag · take out" : "Add to bag";
      this.button.classList.toggle("chosen", inside);
    }
    if (!this.items.length) {
      this.sheet.replaceChildren(el("p", { class: "quiet" }, "Nothing in the bag yet."));
      this.suggest();
      return;
    }
    const rows = this.items.map((i) => {
      const at = `${this.settings.base}item/${i.item.split("/").map(encodeURIComponent).join("/")}/`;
      const remove = el("button", { class: "remove", "aria-label": `Take ${i.title} out` }, "Take out");
      remove.addEventListener("click", () => {
        this.toggle(i);
        (this.sheet.querySelector("button") ?? document.querySelector("#bag summary")).focus();
      });
      return el("li", {}, el("img", { src: `${at}picture.svg`, alt: "", width: 44, height: 55 }), el("a", { href: at }, i.title), remove);
    });
    const buy = el("button", { class: "button" }, "Buy (nothing is charged)");
    buy.addEventListener("click", () => this.buy());
    this.sheet.replaceChildren(el("ul", {}, ...rows), buy, ...(this.rail ? [this.beside] : []));
    this.suggest();
  }
}
