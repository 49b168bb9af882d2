// The API's page is dark where the visitor's system is, also when that changes under it. Before the page is drawn, so that it doesn't flash.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
follow();
dark.addEventListener("change", follow);

// What Swagger leaves out for those who have the page read out to them, or who have no mouse: its language, headings of the second
// level (it goes from the title to the third), what a choice is of, a way to scroll what is longer than its box.
document.documentElement.lang = "en";
new MutationObserver(() => {
  for (const heading of document.querySelectorAll(".swagger-ui :is(h3, h4, h5, h6):not([aria-level])")) {
    heading.ariaLevel = Number(heading.localName[1]) - 1;
  }
  for (const choice of document.querySelectorAll(".swagger-ui .examples-select-element:not([aria-label])")) choice.ariaLabel = "Example";
  for (const lines of document.querySelectorAll(".swagger-ui pre.microlight:not([tabindex])")) lines.tabIndex = 0;
}).observe(document, { childList: true, subtree: true });
