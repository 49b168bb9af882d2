// The API's page is dark where the visitor's system is, also when that changes under it. Before the page is drawn, so that it doesn't flash.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
follow();
dark.addEventListener("change", follow);
