// On every page of the admin: how many changes are unpublished, in a corner; and who else has the same thing open, where a page
// says what it edits (`data-presence`). Without it, all of this is told on the page of unpublished changes and upon saving.
{
  const BEAT_MS = 10_000;
  const root = () => location.pathname.replace(/\/admin\/.*$/, "/admin/");

  const count = async () => {
    const base = `${root()}recommendations/draftedit/`;
    if (location.pathname.startsWith(base) || location.pathname.endsWith("/login/")) return;
    try {
      const answer = await fetch(`${base}count/`, { credentials: "same-origin", redirect: "error" });
      if (answer.status !== 200) return;
      const corner = document.createElement("aside");
      corner.className = "drafts-corner";
      corner.setAttribute("aria-label", "Unpublished changes");
      corner.innerHTML = await answer.text();
      document.body.append(corner);
    } catch {
      // The next page asks again.
    }
  };

  const beat = async (told) => {
    try {
      const answer = await fetch(told.dataset.presence, { credentials: "same-origin", redirect: "error" });
      if (answer.ok) {
        const { said } = await answer.json();
        const words = said && `${told.dataset.about ?? ""}${said}`;
        if (told.textContent !== words) told.textContent = words;
        told.hidden = !words;
      }
    } catch {
      // The next beat asks again.
    }
    setTimeout(beat, BEAT_MS, told);
  };

  addEventListener("DOMContentLoaded", () => {
    count();
    for (const told of document.querySelectorAll("[data-presence]")) beat(told);
  });
}
