// The bag lives in this browser; the shop only hears of what goes in, out and home.

import { el } from "./belief.js";

export class Bag {
  constructor(settings, tell) {
    this.settings = settings;
    this.tell = tell;
    this.key = `bag:${settings.shop}:${settings.session}`;
    this.items = JSON.parse(localStorage.getItem(this.key) ?? "[]");
    this.sheet = document.getElementById("bag-sheet");
    document.getElementById("bag").hidden = false;
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
    const bag = document.getElementById("bag");
    bag.open = false;
    bag.querySelector("summary").focus(); // the button that had the focus is gone
  }

  keep() {
    localStorage.setItem(this.key, JSON.stringify(this.items));
    this.draw();
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
    this.sheet.replaceChildren(el("ul", {}, ...rows), buy);
  }
}
