// Suggestions while somebody types: a combobox with a list (ARIA authoring practices). Without it the form searches as ever.

const WAIT_MS = 120;

const form = document.getElementById("search");
const input = document.getElementById("q");
const list = document.createElement("div");
const said = document.createElement("p");
let waiting = 0;
let asked = null;
let active = null;

list.id = "search-options";
list.className = "search-options";
list.hidden = true;
list.setAttribute("role", "listbox");
list.setAttribute("aria-label", "Suggestions");
said.className = "unseen";
said.setAttribute("role", "status");
form.append(list, said);
input.type = "text"; // a combobox may not be a search field
input.inputMode = "search";
input.enterKeyHint = "search";
for (const [name, value] of Object.entries({
  role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
})) input.setAttribute(name, value);

const options = () => [...list.querySelectorAll("[role=option]")];

function close() {
  clearTimeout(waiting);
  asked?.abort();
  activate(null);
  list.hidden = true;
  input.setAttribute("aria-expanded", "false");
  said.textContent = "";
}

function activate(option) {
  active?.setAttribute("aria-selected", "false");
  active = option;
  if (option) {
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", option.id);
  } else {
    input.removeAttribute("aria-activedescendant");
  }
}

/** The option after (1) or before (-1) the active one; between the last and the first is the field itself, null. */
function next(all, step) {
  const places = [null, ...all];
  return places.at((places.indexOf(active) + step) % places.length);
}

function follow(option) {
  const to = option.dataset.url;
  close();
  location.assign(to);
}

function drawn(found, id) {
  const option = document.createElement("div");
  option.id = id;
  option.className = "option";
  option.dataset.url = found.url;
  option.setAttribute("role", "option");
  option.setAttribute("aria-selected", "false");
  if (found.picture) {
    const picture = document.createElement("img");
    Object.assign(picture, { src: found.picture, alt: "", width: 32, height: 40 });
    option.append(picture);
  }
  const text = document.createElement("span");
  text.textContent = found.text;
  option.append(text);
  if (found.note) {
    const note = document.createElement("span");
    note.className = "size";
    note.textContent = found.note;
    option.append(note);
  }
  return option;
}

function show(groups) {
  let count = 0;
  activate(null);
  list.replaceChildren(...groups.map((group, g) => {
    const box = document.createElement("div");
    const label = document.createElement("div");
    label.id = `search-group-${g}`;
    label.className = "group-label";
    label.setAttribute("role", "presentation");
    label.textContent = group.label;
    box.setAttribute("role", "group");
    box.setAttribute("aria-labelledby", label.id);
    box.append(label, ...group.options.map((found) => drawn(found, `search-option-${count++}`)));
    return box;
  }));
  list.hidden = count === 0;
  input.setAttribute("aria-expanded", String(count > 0));
  said.textContent = count === 0 ? "No suggestions" : `${count} suggestion${count === 1 ? "" : "s"}`;
}

async function ask() {
  asked?.abort();
  const words = input.value;
  if (!words.trim()) return close();
  asked = new AbortController();
  try {
    const answer = await fetch(`${form.dataset.suggest}?${new URLSearchParams({ q: words })}`, { signal: asked.signal });
    if (!answer.ok) throw new Error(String(answer.status));
    const { groups } = await answer.json();
    if (document.activeElement === input && input.value === words) show(groups);
  } catch (error) {
    if (error.name !== "AbortError") close(); // suggestions are a help; without them the search works
  }
}

input.addEventListener("input", () => {
  clearTimeout(waiting);
  asked?.abort();
  if (input.value.trim()) waiting = setTimeout(ask, WAIT_MS);
  else close();
});

input.addEventListener("keydown", (key) => {
  if (key.isComposing || key.altKey || key.ctrlKey || key.metaKey) return;
  const all = options();
  const open = !list.hidden && all.length > 0;
  if (key.key === "ArrowDown" || key.key === "ArrowUp") {
    key.preventDefault();
    if (open) activate(next(all, key.key === "ArrowDown" ? 1 : -1));
    else ask();
  } else if (key.key === "Enter" && open && active) {
    key.preventDefault();
    follow(active);
  } else if (key.key === "Escape") {
    if (open) close();
    else input.value = "";
    key.preventDefault();
  } else if (key.key === "Tab") {
    close();
  }
});

form.addEventListener("submit", close);
input.addEventListener("blur", close);
addEventListener("pageshow", close);
list.addEventListener("pointerdown", (press) => press.preventDefault()); // the field keeps the focus
list.addEventListener("click", (click) => {
  const option = click.target.closest("[role=option]");
  if (option) follow(option);
});
