// @ts-check
// Keys and buttons.

const ACTIONS = {
  first: () => go(0),
  last: () => go(recording.steps.length - 1),
  back: () => go(state.step - 1),
  next: () => go(state.step + 1),
  over: () => goOverScope(1),
  overBack: () => goOverScope(-1),
  seed: () => go(recording.steps.find((step) => step.phase === "seed")?.index ?? state.step),
  pair: goToPair,
  nextWrite: () => goToWrite(1),
  previousWrite: () => goToWrite(-1),
  follow: followLargest,
  play,
  copy: () => openSnippet(recording, step()),
  find: () => openFind(recording, go),
  predict: () => predictions.toggle(),
  tours: () => openTours(recording, tour),
  help: openHelp,
  theme: () => {
    setTheme(THEMES[(THEMES.indexOf(state.theme) + 1) % THEMES.length]);
    render();
  },
  map: () => document.body.classList.toggle("map-open"),
  let_go: () => {
    if (document.body.classList.contains("map-open")) return ACTIONS.map();
    if (document.activeElement?.classList.contains("marks")) /** @type {HTMLElement} */ (document.activeElement).blur();
    else pin(null);
  },
};

const KEYS = {
  ArrowRight: "next",
  ArrowLeft: "back",
  ArrowDown: "over",
  ArrowUp: "overBack",
  Home: "first",
  End: "last",
  " ": "play",
  b: "seed",
  p: "pair",
  "]": "nextWrite",
  "[": "previousWrite",
  Enter: "follow",
  c: "copy",
  "/": "find",
  q: "predict",
  t: "tours",
  "?": "help",
  d: "theme",
  m: "map",
  Escape: "let_go",
};

const MOVES = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

/** With the focus on a heatmap the arrows move the cell, and Enter pins it where it is not. */
function moveCell(key) {
  const shape = resultShape(step());
  const moved = (state.pinned ?? exampleCell() ?? []).slice();
  if (key === "Enter" && state.pinned) return false;
  if (key !== "Enter" && !MOVES[key]) return false;
  const [down, right] = MOVES[key] ?? [0, 0];
  moved[moved.length - 1] += right;
  if (moved.length > 1) moved[moved.length - 2] += down;
  if (inside(moved, shape)) pin(moved);
  return true;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.matches?.("input:not([type=range]), select, textarea")) return;
  if (target.matches?.("button, a") && (event.key === "Enter" || event.key === " ")) return;
  if (target.matches?.("input[type=range]") && /Arrow|Home|End/.test(event.key)) return;
  const onCells = target.classList?.contains("marks") && !event.shiftKey;
  if (onCells && moveCell(event.key)) return event.preventDefault();
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  ACTIONS[action]();
}

document.addEventListener("keydown", onKey);
for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", () => ACTIONS[button.getAttribute("data-do")]());
}
byId("scale").addEventListener("change", (event) => {
  state.scale = /** @type {HTMLSelectElement} */ (event.target).value;
  render();
});
window.addEventListener("hashchange", readAddress);
window.addEventListener("resize", () => render());
for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
  window.matchMedia?.(query).addEventListener("change", () => {
    setTheme(state.theme);
    render();
  });
}
