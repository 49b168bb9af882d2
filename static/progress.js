// Tells how far a shop is on its way, and opens it when its shelves are full.

const PAUSE_MS = 3000;

async function look(told) {
  try {
    const answer = await fetch(told.dataset.progress);
    if (answer.ok) {
      const { ready, open, said, failed } = await answer.json();
      if (open && told.dataset.opens) {
        location.replace(told.dataset.opens);
        return;
      }
      if (told.textContent !== said) told.textContent = said;
      if (failed) return;
      if (ready) {
        if (told.closest(".panel")) told.append(" ", reload());
        return;
      }
    }
  } catch {
    // The next look tries again.
  }
  setTimeout(() => look(told), PAUSE_MS);
}

function reload() {
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = "See who is shopping";
  return link;
}

for (const told of document.querySelectorAll("[data-progress]")) setTimeout(() => look(told), PAUSE_MS);
