// Lists of weights in the admin: a slider beside each number, what the weight means, rows added and removed, names suggested.
// Without this script the numbers are typed and the spare rows are there.
"use strict";

const WAIT_MS = 150;

function meaning(list, text) {
  const weight = Number(text);
  if (text === "" || !(weight >= Number(list.dataset.low) && weight <= Number(list.dataset.high))) return "";
  if (list.dataset.times) {
    const times = Number(list.dataset.times) ** weight;
    if (Math.abs(weight) < 0.005) return "as everybody";
    return times > 1 ? `${times.toFixed(times < 10 ? 1 : 0)} × as often` : `${(1 / times).toFixed(1 / times < 10 ? 1 : 0)} × more seldom`;
  }
  const numbers = [...list.querySelectorAll(".weights-number")].map((input) => Number(input.value) || 0);
  const sum = numbers.reduce((a, b) => a + b, 0);
  return sum > 0 ? `${Math.round((100 * weight) / sum)} % of the mix` : "";
}

// The slider's colour runs from nought, wherever that lies, to the weight. A position in percent counts in what the coloured
// part leaves free of the slider's width.
function paint(list, slider) {
  const low = Number(list.dataset.low);
  const part = (weight) => (Math.min(Math.max(weight, low), Number(list.dataset.high)) - low) / (list.dataset.high - low);
  const [a, b] = [part(0), part(Number(slider.value))].sort((x, y) => x - y);
  slider.style.setProperty("--span", `${100 * (b - a)}%`);
  slider.style.setProperty("--from", `${b - a < 1 ? (100 * a) / (1 - b + a) : 0}%`);
}

function tellAll(list) {
  for (const row of list.querySelectorAll(".weights-row")) {
    paint(list, row.querySelector(".weights-slider"));
    row.querySelector(".weights-meaning").textContent = meaning(list, row.querySelector(".weights-number").value);
  }
}

function wire(list, row) {
  const name = row.querySelector(".weights-name");
  const number = row.querySelector(".weights-number");
  const slider = row.querySelector(".weights-slider");
  const remove = row.querySelector(".weights-remove");
  slider.hidden = remove.hidden = false;
  slider.addEventListener("input", () => { number.value = slider.value; tellAll(list); });
  number.addEventListener("input", () => { slider.value = number.value || 0; tellAll(list); });
  name.addEventListener("change", () => {
    number.setAttribute("aria-label", `Weight of ${name.value || "this row"}, ${list.dataset.low} to ${list.dataset.high}`);
    slider.setAttribute("aria-label", `Slider of ${name.value || "this row"}`);
    remove.setAttribute("aria-label", `Remove ${name.value || "this row"}`);
  });
  remove.addEventListener("click", () => {
    const next = row.nextElementSibling || row.previousElementSibling;
    if (next) { row.remove(); next.querySelector(".weights-name").focus(); } else { name.value = number.value = ""; name.focus(); }
    tellAll(list);
  });
  if (list.dataset.suggest) suggestTo(list, name);
}

function suggestTo(list, name) {
  const options = list.querySelector("datalist");
  let timer = 0;
  const ask = async () => {
    const form = list.closest("form");
    const shop = list.dataset.shop || form?.querySelector("[name=shop]")?.value || "";
    if (!shop) return;
    const query = new URLSearchParams({ shop, q: name.value });
    const answer = await fetch(`${list.dataset.suggest}?${query}`, { headers: { accept: "application/json" } });
    if (!answer.ok) return;
    const { suggestions } = await answer.json();
    options.replaceChildren(...suggestions.map(({ name: value, items }) => {
      const option = document.createElement("option");
      option.value = value;
      option.label = `${value}, ${items} ${items === 1 ? "item" : "items"}`;
      return option;
    }));
  };
  const later = () => { clearTimeout(timer); timer = setTimeout(() => ask().catch(() => {}), WAIT_MS); };
  name.addEventListener("input", later);
  name.addEventListener("focus", later);
}

function start(list) {
  const rows = list.querySelector(".weights-rows");
  for (const row of rows.children) wire(list, row);
  const blank = rows.lastElementChild.cloneNode(true);
  const add = list.querySelector(".weights-add");
  add.hidden = false;
  add.addEventListener("click", () => {
    const row = blank.cloneNode(true);
    const number = rows.children.length;
    for (const input of row.querySelectorAll("input")) input.value = input.type === "range" ? 0 : "";
    row.querySelector(".weights-name").id = `${list.id}_name_${number}_${Date.now()}`;
    rows.append(row);
    wire(list, row);
    tellAll(list);
    row.querySelector(".weights-name").focus();
  });
  tellAll(list);
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".weights").forEach(start));
