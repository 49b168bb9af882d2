// A cluster split by hand: items in columns, dragged, or moved with the arrow keys or the buttons. Without it, ticks do.
const form = document.getElementById("split");
if (form) {
  const board = form.querySelector(".split-board");
  const said = form.querySelector(".split-said");
  const stays = board.querySelector("[data-column='0']");
  const columns = () => [...board.querySelectorAll("[data-column]")];
  const list = (column) => column.querySelector("ul");
  const items = (column) => [...list(column).children];
  const field = (n) => (n === 1 ? "item" : `item${n}`);

  function count() {
    for (const column of columns()) column.querySelector(".split-count").textContent = items(column).length;
    for (const [n, column] of columns().entries()) {
      for (const item of items(column)) {
        item.querySelector("input").name = n ? field(n) : "stays";
        item.querySelector(".split-left").disabled = n === 0;
        item.querySelector(".split-right").disabled = n === columns().length - 1;
      }
    }
  }

  function changed() {
    count();
    form.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function place(item, column) {
    list(column).append(item);
    const n = columns().indexOf(column);
    const name = n ? column.querySelector("[data-name]").value || `new cluster ${n}` : "what stays";
    said.textContent = `${item.dataset.title} is now in ${name}, ${items(column).length} items.`;
    changed();
  }

  function focus(item) {
    for (const other of board.querySelectorAll("li[tabindex='0']")) other.tabIndex = -1;
    if (!item) return;
    item.tabIndex = 0;
    item.focus();
  }

  function move(item, by) {
    const all = columns(), here = item.closest("[data-column]");
    const to = all[all.indexOf(here) + by];
    if (!to) return;
    const rest = items(here), next = rest[rest.indexOf(item) + 1] || rest[rest.indexOf(item) - 1];
    place(item, to);
    return next;
  }

  function ready(item) {
    item.draggable = true;
    item.tabIndex = -1;
    const box = item.querySelector("input");
    const ticked = box.checked;
    box.type = "hidden";
    const buttons = document.createElement("span");
    buttons.className = "split-buttons";
    for (const [by, sign, words] of [[-1, "←", "to the column before"], [1, "→", "to the next column"]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = -1;
      button.className = by < 0 ? "split-left" : "split-right";
      button.textContent = sign;
      button.setAttribute("aria-label", `${item.dataset.title} ${words}`);
      button.addEventListener("click", () => { move(item, by); focus(item); });
      buttons.append(button);
    }
    item.append(buttons);
    return ticked;
  }

  board.addEventListener("keydown", (event) => {
    const item = event.target.closest("li");
    if (!item || event.target.tagName === "INPUT") return;
    const all = items(item.closest("[data-column]"));
    const at = all.indexOf(item);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      focus(all[at + (event.key === "ArrowDown" ? 1 : -1)] || item);
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      event.preventDefault();
      const next = move(item, event.key === "ArrowRight" ? 1 : -1);
      focus(next || item);
    }
  });

  let dragged = null;
  board.addEventListener("dragstart", (event) => {
    dragged = event.target.closest("li");
    if (!dragged) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.title);
    dragged.classList.add("grid-dragged");
  });
  board.addEventListener("dragover", (event) => {
    const column = dragged && event.target.closest("[data-column]");
    for (const other of columns()) other.classList.toggle("grid-onto", other === column && column !== dragged.closest("[data-column]"));
    if (column) event.preventDefault();
  });
  board.addEventListener("drop", (event) => {
    const column = dragged && event.target.closest("[data-column]");
    if (!column) return;
    event.preventDefault();
    if (column !== dragged.closest("[data-column]")) place(dragged, column);
  });
  board.addEventListener("dragend", () => {
    if (dragged) dragged.classList.remove("grid-dragged");
    for (const column of columns()) column.classList.remove("grid-onto");
    dragged = null;
  });

  function column(n) {
    const made = form.querySelector("template").content.firstElementChild.cloneNode(true);
    made.dataset.column = n;
    const name = made.querySelector("[data-name]");
    name.name = n === 1 ? "name" : `name${n}`;
    name.id = `split-name-${n}`;
    made.querySelector("label").htmlFor = name.id;
    made.querySelector("ul").setAttribute("aria-label", `New cluster ${n}`);
    board.append(made);
    return made;
  }

  const old = form.querySelector(".split-name");
  const first = column(1);
  first.querySelector("[data-name]").value = old.querySelector("input").value;
  old.remove();
  board.classList.add("split-live");
  const ticked = items(stays).filter(ready);
  for (const item of ticked) list(first).append(item);
  const more = form.querySelector(".split-more");
  more.hidden = false;
  more.addEventListener("click", () => {
    column(columns().length).querySelector("[data-name]").focus();
    count();
    more.hidden = columns().length > 6;
  });
  count();
  const start = items(stays)[0];
  if (start) start.tabIndex = 0;
}
