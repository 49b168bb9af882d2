// One visit, step by step: steps are changed in place, by links, forms and the arrow keys; a visit that goes on is followed.
// Without this script every one of them is a page of its own.

const LOOK_MS = 2000;
const TYPED_MS = 200;
const READS_KEYS = "input, select, textarea, [contenteditable], .visits-scroll";

let asked = 0;
let typing = 0;

const part = () => document.getElementById("visit");

function put(text, told) {
  const made = new DOMParser().parseFromString(text, "text/html").getElementById("visit");
  if (!made) return false;
  const focus = document.activeElement?.id;
  const open = [...part().querySelectorAll("details")].map((each) => each.open);
  const scrolled = part().querySelector(".visit-all-steps")?.scrollTop ?? 0;
  part().replaceWith(made);
  made.querySelectorAll("details").forEach((each, i) => { if (open[i] && open.length === made.querySelectorAll("details").length) each.open = true; });
  const list = made.querySelector(".visit-all-steps");
  if (list) list.scrollTop = scrolled;
  show();
  document.title = document.title.replace(/^.*?(?= \||$)/, made.dataset.title);
  if (focus) (document.getElementById(focus) ?? document.getElementById("step-heading"))?.focus({ preventScroll: true });
  if (told) document.getElementById("visit-live").textContent = made.dataset.said;
  return true;
}

/** The current step's row is in sight within the list, without moving the page. */
function show() {
  const list = part()?.querySelector(".visit-all-steps");
  const here = list?.querySelector("[aria-current]")?.parentElement;
  if (!here) return;
  const top = here.offsetTop;
  if (top < list.scrollTop || top + here.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 3;
}

async function go(url, { push = true } = {}) {
  const mine = ++asked;
  part().setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(url, { headers: { "x-part": "1" }, credentials: "same-origin" });
    const text = await answer.text();
    if (mine !== asked) return; // somebody went on meanwhile
    if (!answer.ok || !put(text, true)) throw new Error(String(answer.status));
    if (push) history.pushState({}, "", answer.url);
  } catch {
    if (mine === asked) location.assign(url); // the browser says what is wrong
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("#visit a[data-go]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(link.href);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("#visit form[data-go]");
  if (!form) return;
  event.preventDefault();
  go(`${location.pathname}?${new URLSearchParams(new FormData(form))}`);
});

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest?.(READS_KEYS)) return;
  const way = { ArrowLeft: "way-back", ArrowRight: "way-on" }[event.key];
  const link = way && document.getElementById(way);
  if (!link) return;
  event.preventDefault();
  go(link.href);
});

document.addEventListener("input", (event) => {
  const field = event.target.closest?.("#visit input[list=visit-items]");
  if (!field) return;
  clearTimeout(typing);
  typing = setTimeout(async () => {
    if (field.value.trim().length < 2) return;
    try {
      const answer = await fetch(`${part().dataset.items}?q=${encodeURIComponent(field.value)}`, { credentials: "same-origin" });
      if (!answer.ok) return;
      const { items } = await answer.json();
      document.getElementById("visit-items").replaceChildren(...items.map(({ id, title }) => {
        const option = document.createElement("option");
        option.value = id;
        option.label = title;
        return option;
      }));
    } catch { /* nothing is offered; what was typed is taken as it is */ }
  }, TYPED_MS);
});

addEventListener("popstate", () => go(location.href, { push: false }));

setInterval(async () => {
  const poll = part()?.dataset.poll;
  if (!poll || document.hidden || part().getAttribute("aria-busy") === "true" || part().contains(document.activeElement?.closest("form"))) return;
  const mine = asked;
  try {
    const answer = await fetch(poll, { headers: { "x-part": "1" }, credentials: "same-origin" });
    if (answer.status === 200 && mine === asked) put(await answer.text(), true);
  } catch { /* the next look may be luckier */ }
}, LOOK_MS);

show();
