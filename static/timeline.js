// The belief over the visit as a small stacked area: one column a step, colour for a persona, grey for "not sure yet".

import { el, standing } from "./belief.js";

const SPACE = "http://www.w3.org/2000/svg";
const MOST = 60;
const WIDTH = 300;
const HEIGHT = 56;
const TOLD = 8;

/** The course of the visit with this profile added; null if it tells nothing new. course: [{events, shares: {id: 0..1}}]. */
export function extended(course, profile) {
  const count = profile.belief.length;
  const shares = Object.fromEntries(profile.belief.map((p) => [p.id, Math.round(1000 * standing(p.probability, count)) / 1000]));
  const last = course.at(-1);
  if (last && JSON.stringify(last.shares) === JSON.stringify(shares)) return null;
  return [...course, { events: profile.events, shares }].slice(-MOST);
}

/** Where each persona's area lies: {id: [[low, high], ...]}, from the bottom, 0 to 1. */
export function stacked(course, ids) {
  const areas = Object.fromEntries(ids.map((id) => [id, []]));
  for (const { shares } of course) {
    let low = 0;
    for (const id of ids) {
      const high = Math.min(1, low + (shares[id] ?? 0));
      areas[id].push([low, high]);
      low = high;
    }
  }
  return areas;
}

/** Who led when, in one sentence. */
export function words(course, names) {
  const leaders = [];
  for (const { events, shares } of course) {
    const [id, share] = Object.entries(shares).reduce((best, each) => (each[1] > best[1] ? each : best), ["", 0.15]);
    if (leaders.at(-1)?.id !== id) leaders.push({ id, events, share });
  }
  const told = leaders.slice(-3).map(({ id, events }, i) => `${i ? "then " : ""}${names[id] ?? "not sure"}${events ? ` from step ${events}` : " before the first step"}`);
  return `${told.join(", ")}.`.replace(/^./, (first) => first.toUpperCase());
}

/** Draws the course into the panel's figure. personas: [{id, name, colour}] in the panel's order. */
export function drawCourse(course, personas) {
  const figure = document.getElementById("course");
  if (!figure) return;
  const svg = figure.querySelector("svg");
  if (course.length < 2) return;
  const areas = stacked(course, personas.map((p) => p.id));
  const x = (i) => (WIDTH * i / (course.length - 1)).toFixed(1);
  const y = (share) => (HEIGHT * (1 - share)).toFixed(1);
  svg.replaceChildren(...personas.map((persona) => {
    const edge = areas[persona.id];
    const path = document.createElementNS(SPACE, "path");
    const over = edge.map(([, high], i) => `${x(i)},${y(high)}`);
    const under = edge.map(([low], i) => `${x(i)},${y(low)}`).reverse();
    path.setAttribute("d", `M${over.join("L")}L${under.join("L")}Z`);
    path.setAttribute("fill", persona.colour);
    return path;
  }));
  const names = Object.fromEntries(personas.map((p) => [p.id, p.name]));
  figure.querySelector("figcaption").textContent = words(course, names);
  const shown = course.slice(-TOLD);
  const rows = shown.map(({ events, shares }) => {
    const [id, share] = Object.entries(shares).reduce((best, each) => (each[1] > best[1] ? each : best), ["", 0]);
    return el("tr", {}, el("td", {}, String(events)), el("td", {}, names[id] ?? "Nobody yet"), el("td", {}, `${Math.round(100 * share)} %`));
  });
  figure.querySelector("tbody").replaceChildren(...rows);
}
