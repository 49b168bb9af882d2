// Clusters: a tile dragged onto another leads to the page where the two are merged; how many are ticked is told.
const tiles = document.getElementById("tiles");
if (tiles) {
  const chosen = document.getElementById("chosen");
  const tell = () => {
    const ticked = tiles.querySelectorAll("[name=cluster]:checked").length;
    if (chosen) chosen.textContent = ticked ? `${ticked} chosen` : "None chosen";
    for (const box of tiles.querySelectorAll("[name=cluster]")) box.closest(".grid-tile").classList.toggle("grid-ticked", box.checked);
  };
  tiles.addEventListener("change", tell);
  tiles.addEventListener("submit", (event) => {
    const ticked = tiles.querySelectorAll("[name=cluster]:checked").length;
    const least = event.submitter && event.submitter.hasAttribute("formaction") ? 1 : 2;
    if (ticked < least) {
      event.preventDefault();
      chosen.textContent = least === 1 ? "Tick at least one" : "Tick at least two to merge";
    }
  });
  tell();
  let dragged = null;
  tiles.addEventListener("dragstart", (event) => {
    dragged = event.target.closest && event.target.closest(".grid-tile[draggable]");
    if (!dragged) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.name);
    dragged.classList.add("grid-dragged");
  });
  const onto = (event) => {
    const tile = dragged && event.target.closest(".grid-tile[draggable]");
    return tile && tile !== dragged ? tile : null;
  };
  tiles.addEventListener("dragover", (event) => {
    const tile = onto(event);
    for (const other of tiles.querySelectorAll(".grid-onto")) if (other !== tile) other.classList.remove("grid-onto");
    if (!tile) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "move";
    tile.classList.add("grid-onto");
    if (chosen) chosen.textContent = `Merge “${dragged.dataset.name}” into “${tile.dataset.name}”`;
  });
  tiles.addEventListener("drop", (event) => {
    const tile = onto(event);
    if (!tile) return;
    event.preventDefault();
    location.assign(`${tiles.action}?cluster=${tile.dataset.cluster}&cluster=${dragged.dataset.cluster}`);
  });
  tiles.addEventListener("dragend", () => {
    if (dragged) dragged.classList.remove("grid-dragged");
    for (const other of tiles.querySelectorAll(".grid-onto")) other.classList.remove("grid-onto");
    dragged = null;
    tell();
  });
}
