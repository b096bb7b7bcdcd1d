// @ts-check
// Find, the list of tours, and help.

function openFind(recording, onGo) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("find-dialog"));
  const input = /** @type {HTMLInputElement} */ (byId("find-input"));
  const leave = () => {
    input.blur(); // a browser takes the focus from a closed dialog at its next frame: keys until then would be lost
    dialog.close();
  };
  const show = () => {
    const found = matches(recording, input.value).slice(0, 40);
    byId("found").replaceChildren(
      ...found.map((step) =>
        element(
          "li",
          {},
          element(
            "button",
            {
              type: "button",
              onclick: () => (leave(), onGo(step.index)),
            },
            `${step.index}  ${titleOf(step)}`,
            element("small", {}, `${PHASES[step.phase]} · ${subtitleOf(recording, step)}`),
          ),
        ),
      ),
    );
  };
  input.oninput = show;
  input.onkeydown = (event) => {
    const first = byId("found").querySelector("button");
    if (event.key === "Enter") first?.click();
    if (event.key === "ArrowDown") first?.focus();
  };
  byId("found").onkeydown = (event) => {
    const item = document.activeElement?.parentElement;
    const next =
      event.key === "ArrowDown"
        ? item?.nextElementSibling
        : event.key === "ArrowUp"
          ? item?.previousElementSibling
          : null;
    if (next) /** @type {HTMLElement} */ (next.firstElementChild).focus();
  };
  input.value = "";
  show();
  dialog.showModal();
  input.focus();
}

/** The steps in whose title, module, op or array every word occurs. */
function matches(recording, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return recording.steps.filter((step) => {
    const said = [titleOf(step), subtitleOf(recording, step), step.phase, step.value?.name, `step ${step.index}`];
    const text = said.join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function openTours(recording, tour) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("tours-dialog"));
  byId("tour-list").replaceChildren(...tour.tours.map((one) => element("li", {}, element("button", {
    type: "button", onclick: () => (dialog.close(), tour.start(one)),
  }, one.title, element("small", {}, `${one.stops.length} stops`)))));
  dialog.showModal();
}

const KEY_HELP = [
  ["← →", "one step back, one step on"],
  ["↑ ↓", "step over a module"],
  ["Home End", "first, last step"],
  ["B", "the seed, where the backward begins"],
  ["P", "the same op forward ⇄ backward"],
  ["[ ]", "previous, next write to this array: who added to its gradient?"],
  ["Space", "play"],
  ["click", "pin a cell; on a heatmap the arrows move it, Esc lets it go"],
  ["Enter", "follow the largest term to where it came from"],
  ["C", "this step as Python that repeats it"],
  ["/", "find an op, an array, a module"],
  ["Q", "predict before you see"],
  ["T", "tours"],
  ["D", "light, dark, high contrast"],
  ["M", "the map, on a small screen"],
  ["?", "this"],
];

function openHelp() {
  const parts = KEY_HELP.flatMap(([keys, text]) => [
    element("dt", {}, ...keys.split(" ").map((key) => element("kbd", {}, key))),
    element("dd", {}, text),
  ]);
  byId("keys").replaceChildren(...parts);
  byId("about").textContent =
    "Every number was recorded from the library as it ran; dx is the gradient of the loss by x. " +
    "Orange is above 0, blue below; hatched cells are masked, magenta ones are NaN (×), ∞ (+) or −∞ (−).";
  /** @type {HTMLDialogElement} */ (byId("help-dialog")).showModal();
}

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
