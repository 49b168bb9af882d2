// The bag and the wishes, which the shop's server keeps for this visit; the system hears of what goes in, out and home,
// whichever form or page it came by. Open, the bag shows what goes with it.

import { el } from "./belief.js";
import { ofBrowser } from "./memory.js";

const SOON_MS = 300;
const MOST_ORDERS = 20;

/** Under which it is kept what of this visit's bag was told. */
export const keyOfBag = ({ shop, visit }) => `bag:${shop}:${visit}`;

export class Bag {
  /** tell(name, details): reports an event, null while nothing may be told. rail: {show(root, recommend), hide()}, or null where
      nothing is live. */
  constructor(settings, tell, rail) {
    this.settings = settings;
    this.tell = tell;
    this.rail = rail;
    this.key = keyOfBag(settings);
    this.bag = settings.bag;
    this.page = document.getElementById("bag-page");
    this.sheet = document.getElementById("bag-sheet");
    this.beside = this.page ? null : this.frame();
    this.box = document.getElementById("bag");
    this.box.addEventListener("toggle", () => this.suggest());
    addEventListener("click", ({ target }) => { if (!this.box.contains(target)) this.box.open = false; });
    this.box.addEventListener("keydown", ({ key }) => { if (key === "Escape" && this.box.open) { this.box.open = false; this.box.querySelector("summary").focus(); } });
    const add = document.getElementById("add-form");
    add?.addEventListener("submit", (event) => { event.preventDefault(); this.add(add); });
    if (this.page) this.enhance();
    this.told(settings);
    this.draw();
  }

  /** What the bag holds now is told as what changed since it was last told, by any page of this visit. came: wishes and order,
      which only a page that was just loaded knows; one that was left open while another went on does not. */
  told(came = {}) {
    const { lines } = this.bag;
    const before = ofBrowser.get(this.key) ?? {};
    const { wishes = before.wishes ?? [] } = came;
    const ordered = before.orders ?? [];
    const order = came.order && !ordered.includes(came.order.id) ? came.order : null;
    const now = { bag: Object.fromEntries(lines.map((line) => [line.item_id, line.quantity])), wishes, orders: [...ordered, ...(order ? [order.id] : [])].slice(-MOST_ORDERS) };
    const lasts = ofBrowser.set(this.key, now);
    if (!this.tell) return;
    // The order's own number is the event's: loaded again, or in another window, it still counts once.
    if (order) this.tell("purchase", { event_id: `order-${order.id}`, items: order.items });
    // Where nothing is remembered, what the page came with may have been told by the one before.
    if (!lasts && "wishes" in came) return;
    const had = order ? {} : before.bag ?? {};
    for (const { item_id, quantity, price } of lines) this.moved(item_id, quantity - (had[item_id] ?? 0), price);
    for (const [item_id, quantity] of Object.entries(had)) if (!(item_id in now.bag)) this.moved(item_id, -quantity);
    for (const item_id of wishes) if (!(before.wishes ?? []).includes(item_id)) this.tell("add_to_wishlist", { items: [{ item_id }] });
  }

  moved(item_id, pieces, price) {
    if (!pieces) return;
    const item = { item_id, quantity: Math.abs(pieces), ...(price === undefined ? {} : { price }) };
    this.tell(pieces > 0 ? "add_to_cart" : "remove_from_cart", { items: [item] });
  }

  /** Changes the bag at the shop's server. Resolves to whether it went well; words is told why not. */
  async change(fields, words) {
    const form = new URLSearchParams({ csrfmiddlewaretoken: document.querySelector("[name=csrfmiddlewaretoken]").value, ...fields });
    try {
      const answer = await fetch(`${this.settings.base}bag/change/`, { method: "POST", body: form, headers: { accept: "application/json" }, credentials: "same-origin" });
      const said = await answer.json();
      if (!answer.ok) throw new Error(said.detail);
      this.bag = said;
    } catch (error) {
      if (words) words.textContent = error instanceof TypeError || error instanceof SyntaxError ? "The shop can't be reached just now. Try again in a moment." : error.message;
      return false;
    }
    this.told();
    this.draw();
    return true;
  }

  async add(form) {
    const words = document.getElementById("add-said");
    const fields = Object.fromEntries(new FormData(form));
    if (!(await this.change({ item: fields.item, add: fields.add }, words))) return;
    const line = this.bag.lines.find((each) => each.item_id === fields.item);
    words.replaceChildren(`In your bag${line.quantity > 1 ? `: ${line.quantity}` : ""}. `, el("a", { href: `${this.settings.base}bag/` }, "See the bag"));
  }

  /** On the page of the bag its forms answer in place. */
  enhance() {
    this.page.addEventListener("submit", (event) => { event.preventDefault(); this.send(event.target); });
    this.page.addEventListener("change", ({ target }) => { if (target.name === "quantity" && target.reportValidity()) this.send(target.form); });
  }

  async send(form) {
    const focus = document.activeElement?.name === "quantity" ? form.querySelector("[name=item]").value : "";
    const undone = form.classList.contains("undo");
    try {
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin" });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const page = fresh.getElementById("bag-page");
      this.bag = JSON.parse(fresh.getElementById("panel-settings").textContent).bag;
      this.page.replaceChildren(...page.childNodes);
    } catch {
      form.submit();
      return;
    }
    this.told();
    this.draw();
    if (this.rail && this.bag.lines.length) this.rail.show(null, this.asked(12));
    const again = focus && this.page.querySelector(`[data-item="${CSS.escape(focus)}"] [name=quantity]`);
    (again || (undone ? null : document.getElementById("undo")) || document.getElementById("bag-title")).focus();
  }

  asked(count) {
    return { context: "cart", count, items: this.bag.lines.map((line) => line.item_id) };
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
    if (!this.rail || this.page) return;
    clearTimeout(this.soon);
    if (this.box.open && this.bag.lines.length) this.soon = setTimeout(() => this.rail.show(this.beside, this.asked(6)), SOON_MS / 3);
    else this.rail.hide();
  }

  draw() {
    const count = document.getElementById("bag-count");
    if (count.textContent !== String(this.bag.count)) count.textContent = this.bag.count;
    const to = (page, words, look) => el("a", { class: look, href: `${this.settings.base}${page}/` }, words);
    if (!this.bag.lines.length) {
      this.sheet.replaceChildren(el("p", { class: "quiet" }, "Nothing in the bag yet."), to("wishes", "See what you saved", "button"));
      this.suggest();
      return;
    }
    const rows = this.bag.lines.map((line) => {
      const remove = el("button", { class: "remove", "aria-label": `Take ${line.title} out` }, "Take out");
      remove.addEventListener("click", async () => {
        remove.disabled = true;
        await this.change({ item: line.item_id, quantity: 0 });
        (this.sheet.querySelector("button") ?? document.querySelector("#bag summary")).focus();
      });
      const pieces = line.quantity > 1 ? [" ", el("span", { class: "size" }, `× ${line.quantity}`)] : [];
      return el("li", {}, el("img", { src: line.picture, alt: "", width: 44, height: 55 }), el("span", {}, el("a", { href: line.url }, line.title), ...pieces), remove);
    });
    const total = this.bag.total ? [el("p", { class: "bag-sum" }, el("span", {}, "In all"), el("strong", {}, this.bag.total))] : [];
    this.sheet.replaceChildren(el("ul", {}, ...rows), ...total, to("checkout", "Check out", "button primary"), to("bag", "See the bag", "button"), ...(this.rail && this.beside ? [this.beside] : []));
    this.suggest();
  }
}
