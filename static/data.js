// Files are handed in piece by piece, so that one of gigabytes passes every bound on a body, and a line that breaks costs one piece.
// Without this script the form sends small files in one go.
"use strict";
(() => {
  const PIECE = 4_000_000, TRIES = 4;
  const form = document.querySelector("form[data-begin]");
  if (!form) return;
  const told = form.querySelector("[data-told]");
  form.elements.file.hasChangeListener = true; // the theme looks for a box of its own beside each file field, and breaks without one
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;

  const post = async (address, body) => {
    for (let tried = 1; ; tried += 1) {
      try {
        const answer = await fetch(address, { method: "POST", body, headers: { "X-CSRFToken": token }, credentials: "same-origin" });
        const said = await answer.json().catch(() => ({}));
        if (answer.ok) return said;
        throw Object.assign(new Error(said.error ?? `The server answered ${answer.status}.`), { final: answer.status < 500 });
      } catch (error) {
        if (error.final || tried === TRIES) throw error;
        await new Promise((done) => setTimeout(done, 500 * 2 ** tried));
      }
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const file = form.elements.file.files[0], button = form.querySelector("[type=submit]");
    if (!file || button.disabled) return;
    button.disabled = true;
    const about = new FormData();
    for (const name of ["shop", "kind"]) about.set(name, new FormData(form).get(name));
    if (form.elements.check.checked) about.set("check", "1");
    about.set("name", file.name);
    about.set("size", String(file.size));
    try {
      const { piece } = await post(form.dataset.begin, about);
      for (let at = 0; at < file.size; at += PIECE) {
        told.textContent = `Sending: ${Math.floor((100 * at) / file.size)} %.`;
        const part = file.slice(at, at + PIECE, "application/octet-stream");
        await post(`${piece}?offset=${at}`, new Blob([part], { type: "application/octet-stream" }));
      }
      location.assign(`?shop=${encodeURIComponent(form.elements.shop.value)}`);
    } catch (error) {
      told.textContent = `It was not handed in: ${error.message} Try again.`;
      told.setAttribute("role", "alert");
      button.disabled = false;
    }
  });
})();
