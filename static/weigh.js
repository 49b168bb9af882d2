// Weights of a persona as sliders: whatever is moved is tried on real visits, and what would change is shown beside.
// Without this script the numbers can be typed and saved.
"use strict";

{ // its names are its own: `weights.js` is on the page too

const WAIT_MS = 250;
const LATE_MS = 15000;

function start(form) {
  const here = form.querySelector("#tried-here");
  const state = form.querySelector(".weigh-state");
  const echo = form.querySelector(".weigh-echo"); // where what changes lies below the sliders, they tell it too
  let timer = 0;
  let under = null;

  // When all went well the line is for those who can't see what changed below it.
  const tell = (text, busy, seen = true) => {
    state.textContent = text;
    state.classList.toggle("persona-unseen", !seen);
    here.setAttribute("aria-busy", busy ? "true" : "false");
    if (!busy) { echo.textContent = text; echo.hidden = !text; }
  };

  const reckon = async () => {
    if (under) under.abort();
    const mine = new AbortController();
    under = mine;
    const late = setTimeout(() => mine.abort("late"), LATE_MS);
    tell("Reckoning…", true);
    try {
      const answer = await fetch(form.dataset.try, { method: "POST", body: new FormData(form), signal: mine.signal });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const text = await answer.text();
      if (under !== mine) return;
      here.innerHTML = text; // of our own server, escaped there
      tell(here.querySelector(".weigh-sum")?.dataset.said ?? "", false, false);
    } catch (error) {
      if (under !== mine) return;
      const why = mine.signal.aborted ? "it took too long" : navigator.onLine === false ? "there is no connection" : "the server did not answer";
      tell(`Not reckoned: ${why}. Move a slider to try again; what you set is kept.`, false);
    } finally {
      clearTimeout(late);
    }
  };

  const later = () => { clearTimeout(timer); timer = setTimeout(reckon, WAIT_MS); };
  form.addEventListener("input", later);
  form.addEventListener("change", later);
  form.addEventListener("click", (event) => { if (event.target.closest(".weights-remove")) later(); });
  reckon();
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("form.weigh").forEach(start));

}
