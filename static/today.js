// Keeps the desk's first page up to date: the same page is asked for again, and taken over where it changed.
const desk = document.getElementById("today");

async function renew() {
  // What somebody reads, points at or tabs through is never taken from under them.
  if (document.hidden || desk.matches(":hover") || desk.contains(document.activeElement) || String(getSelection())) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("today");
    if (fresh && fresh.innerHTML !== desk.innerHTML) desk.replaceChildren(...fresh.childNodes);
  } catch {
    // The next time may do better; what is shown says how old it is.
  }
}

if (desk) setInterval(renew, 1000 * Number(desk.dataset.every));
