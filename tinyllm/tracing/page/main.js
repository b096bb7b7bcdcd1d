// @ts-check
// The state of the page, and what moves it: keys, buttons, the address, time.

const source = byId("recording");
const recording = new Recording(JSON.parse(source.textContent));
source.remove(); // nothing that is still to be foretold stands in the page

const state = {
  step: 0,
  shown: false, // whether a step has been drawn
  pinned: /** @type {number[] | null} */ (null),
  hovered: /** @type {{card: Card, index: number[]} | null} */ (null),
  token: /** @type {number | null} */ (null),
  scale: "one",
  theme: "auto",
  all: false, // show all terms of a sum
  playing: 0, // the timers of playing, and of writing the address
  address: 0,
  known: "", // the address as it was last read or written
};

const THEMES = ["auto", "light", "dark", "contrast"];
const media = (query) => window.matchMedia?.(query).matches;

function themeShown() {
  if (state.theme !== "auto") return state.theme;
  if (media("(prefers-contrast: more)")) return "contrast";
  return media("(prefers-color-scheme: dark)") ? "dark" : "light";
}

const colours = () => COLOURS[themeShown()];
const step = () => recording.steps[state.step];

const cards = new CardsView(hover, pin);
const map = new MapView(recording, (index) => go(index));
const timeline = new Timeline(recording, (index) => go(index));
const predictions = new Predictions(recording, () => render());
const tour = new TourView(recording, go, () => render());

// going --------------------------------------------------------------------------------------------------------------

/** Show a step; a cell that is pinned stays pinned where the step's result has such a cell. */
function go(index, cell = undefined) {
  state.step = Math.min(recording.steps.length - 1, Math.max(0, index));
  const shape = resultShape(step());
  if (cell !== undefined) state.pinned = fitted(cell, shape);
  else if (state.pinned && !inside(state.pinned, shape)) state.pinned = null;
  state.hovered = null;
  state.all = false;
  render();
}

const resultShape = (step) => step.after?.shape ?? [];
const inside = (index, shape) => index.length === shape.length && index.every((i, axis) => i >= 0 && i < shape[axis]);

/** An index with zeros in front where it is short; null where it does not fit. */
function fitted(index, shape) {
  if (!index) return null;
  const whole = [...Array(Math.max(0, shape.length - index.length)).fill(0), ...index];
  return inside(whole, shape) ? whole : null;
}

/** What a step belongs to, for stepping over: its module, or its phase. */
const scopeOf = (step) => (step.call ? `${step.phase === "backward"}/${step.call.scope}` : step.phase);

function goOverScope(direction) {
  let index = state.step;
  const here = scopeOf(step());
  while (recording.steps[index] && scopeOf(recording.steps[index]) === here) index += direction;
  if (!recording.steps[index]) return go(direction > 0 ? recording.steps.length - 1 : 0);
  const there = scopeOf(recording.steps[index]);
  while (direction < 0 && recording.steps[index - 1] && scopeOf(recording.steps[index - 1]) === there) index--;
  go(index);
}

/** The same op in the other direction. */
function goToPair() {
  const { call, phase, value } = step();
  if (phase === "update" || phase === "clip")
    return value && go(recording.gradientStep(value, Infinity)?.index ?? state.step);
  if (!call) return;
  if (phase === "backward") return go(call.step);
  const back = recording.steps.find((other) => other.phase === "backward" && other.call === call);
  if (back) go(back.index);
}

/** The steps that write to what the step is about: its value, its gradient, its update. */
function goToWrite(direction) {
  const { value } = step();
  const writes = recording.steps.filter((other) => value && other.value === value).map((other) => other.index);
  const next = direction > 0 ? writes.find((i) => i > state.step) : writes.filter((i) => i < state.step).at(-1);
  if (next !== undefined) go(next);
}

/** From a term to the step that made its number. */
function follow(term) {
  const known = term?.factors.filter((factor) => factor.value) ?? [];
  const factor = known.find((factor) => factor.gradient) ?? known.find((factor) => factor.value.maker) ?? known[0];
  if (!factor) return;
  const made = factor.gradient
    ? recording.gradientStep(factor.value, state.step)
    : recording.steps[factor.value.maker?.step];
  if (made) go(made.index, factor.index);
  else say(`${factor.value.name} was there from the beginning: the trail ends here`);
}

function followLargest() {
  const list = equationsShown();
  const made = step().phase === "backward" && step().before ? list[1] : list[0];
  follow(made && largest(made.terms));
}

// showing ------------------------------------------------------------------------------------------------------------

function render() {
  const current = step();
  state.shown = true;
  document.body.dataset.phase = current.phase;
  const asked = predictions.asks(current);
  byId("title").textContent = titleOf(current);
  byId("subtitle").textContent = subtitleOf(recording, current);
  byId("phase").textContent = badgeOf(current);
  byId("phase").dataset.phase = current.phase;
  tour.draw(state.step);
  const shown = cardsOf(recording, current);
  byId("chips").textContent = asked ? "" : shown.chips.join("   ");
  byId("makes-name").textContent = asked ? "what comes out?" : shown.heading;
  drawLegend(asked ? [] : shown.makes);
  predictions.draw(current);
  cards.draw(shown, { scale: state.scale, colours: colours() }, asked);
  drawFormula(recording, current);
  drawShapes(recording, current, asked);
  drawChecks(recording, current, asked || current.phase !== "backward");
  drawSource(recording, current);
  map.draw(current);
  byId("counter").textContent = `step ${state.step} of ${recording.steps.length - 1}`;
  timeline.draw(current);
  drawCell();
  keepAddress();
  say(`step ${state.step}, ${PHASES[current.phase]}: ${titleOf(current)}`);
}

function badgeOf({ phase }) {
  const name = PHASES[phase].toUpperCase();
  const known = recording.loss && recording.loss.maker.step <= state.step && !predictions.asks(step());
  if (!known) return name;
  const after = phase === "after" && step().before ? ` → ${format(step().after.data[0])}` : "";
  return `${name} · loss ${format(recording.loss.array.data[0])}${after}`;
}

function drawLegend(list) {
  const size = state.scale === "own" ? 0 : sharedScale(list);
  const several = list.filter((card) => card.shared).length > 1;
  byId("legend").replaceChildren(
    ...(several && size ? [`one scale: −${format(size, 3)}`, element("i"), format(size, 3)] : []),
  );
}

/** The cell in question: the one under the pointer, else the pinned one, else that of what was made farthest from 0. */
function cellIndex() {
  if (state.hovered?.card.result) return state.hovered.index;
  return state.pinned ?? exampleCell();
}

function exampleCell() {
  const made = step().share ?? step().after;
  return !made ? [] : made.data.length ? largestCell(made) : null;
}

function equationsShown() {
  const index = cellIndex();
  return index && !predictions.asks(step()) ? equations(recording, step(), index) : [];
}

function drawCell() {
  const list = equationsShown();
  const index = cellIndex();
  const asked = predictions.asks(step());
  const other = state.hovered && !state.hovered.card.result ? state.hovered : null;
  const isExample = index?.length && !state.pinned && !state.hovered;
  byId("made-at").textContent = other ? cellText(other)
    : asked || !index ? "" : `${isExample ? "the largest, until you point at one · " : ""}${placeText(index)}`;
  const box = byId("arithmetic");
  if (list.length) box.replaceChildren(...arithmeticView(list, { all: state.all, showAll }, follow));
  else box.replaceChildren(element("p", { class: "note" }, hintOf(index, asked)));
  cards.mark(asked ? null : index, list, state.token, recording, colours());
}

function hintOf(index, asked) {
  if (asked) return "Its arithmetic is shown when you have answered.";
  if (index && step().phase === "update") return "The options of the optimizer were not recorded.";
  if (index)
    return `How ${step().call?.op ?? "this"} makes a cell is not spelled out here: see its formula and its source.`;
  return "There is no cell in it.";
}

function cellText({ card, index }) {
  const number = at(card.array, index);
  return `${place(card.title, index)} = ${card.masked?.(index) ? "masked" : format(number, 6)}`;
}

/** "token ␣ at 3, channel 2" */
function placeText(index) {
  const axes = step().value?.axes ?? [];
  return index.map((i, axis) => {
    if (!axes[axis] || (axes[axis] === "batch" && recording.tokens.shape[0] === 1)) return "";
    const name = placeName(recording, axes, index, axis);
    return name === null ? `${axes[axis]} ${i}` : `${axes[axis]} ${i}: ${name}`;
  }).filter(Boolean).join(" · ");
}

function showAll() {
  state.all = true;
  drawCell();
}

function hover(card, index) {
  if (state.hovered?.card === card && String(state.hovered?.index) === String(index)) return;
  state.hovered = card && index ? { card, index } : null;
  state.all = false;
  drawCell();
}

function pin(index) {
  state.pinned = index;
  state.all = false;
  keepAddress();
  drawCell();
}

function say(text) {
  byId("spoken").textContent = text;
}

// the address --------------------------------------------------------------------------------------------------------

/** The address follows when the reader pauses: browsers slow down a page that changes it all the time. */
function keepAddress() {
  clearTimeout(state.address);
  state.address = window.setTimeout(() => {
    if (location.hash !== state.known) return; // a link was followed, and is about to be read
    const cell = state.pinned ? `&cell=${state.pinned.join(",")}` : "";
    try {
      history.replaceState(null, "", `#step=${state.step}${cell}`);
      state.known = location.hash;
    } catch {
      // a page in an iframe without an address of its own
    }
  }, 120);
}

function readAddress() {
  state.known = location.hash;
  const values = new URLSearchParams(location.hash.slice(1));
  const cell = values.get("cell")?.split(",").map(Number) ?? null;
  const { focus } = recording.meta;
  if (focus && !values.has("step")) return go(focus.step, focus.cell ?? null);
  const index = Number(values.get("step")) || 0;
  if (index === state.step && state.shown) pin(fitted(cell, resultShape(step()))); // the step itself stays
  else go(index, cell);
}

// what is on top -----------------------------------------------------------------------------------------------------

function drawTokens() {
  const { list, targets } = recording.tokens;
  byId("tokens").replaceChildren(
    ...list.map((token, i) =>
      element(
        "li",
        {},
        element(
          "button",
          {
            type: "button",
            "aria-pressed": "false",
            "data-token": i,
            title: `position ${i}: ${token.text} (id ${token.id})${targets[i] ? `, then ${targets[i].text}` : ""}`,
            onclick: () => followToken(i),
          },
          element("bdi", {}, clipped(token.text, 10)),
          element("small", {}, targets[i] ? element("bdi", {}, `→${clipped(targets[i].text, 10)}`) : ""),
        ),
      ),
    ),
  );
}

function followToken(i) {
  state.token = state.token === i ? null : i;
  for (const button of byId("tokens").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.token) === state.token));
  }
  drawCell();
}

function drawBadges() {
  const first = recording.steps.find((step) => isWrong(recording, step));
  const badge = byId("wrong");
  badge.hidden = !first;
  if (first) {
    badge.textContent = `✗ first wrong step: ${first.index}, ${first.call.op}`;
    badge.setAttribute("href", `#step=${first.index}`);
    badge.addEventListener("click", (event) => {
      event.preventDefault();
      go(first.index);
    });
  }
  const arrays = [
    ...recording.values.map((value) => value.array),
    ...recording.steps.map((step) => step.share).filter(Boolean),
  ];
  const odd = arrays.map(statistics).reduce((sum, { nan, infinite }) => sum + nan + infinite, 0);
  byId("odd").hidden = !odd;
  byId("odd").textContent = `${odd} cells are NaN or infinite`;
}

function setTheme(theme) {
  state.theme = theme;
  document.documentElement.dataset.theme = themeShown();
  say(`colours: ${theme}`);
}

function play() {
  if (state.playing) clearInterval(state.playing);
  const start = !state.playing && state.step < recording.steps.length - 1;
  state.playing = start ? window.setInterval(() => {
    go(state.step + 1);
    if (state.step === recording.steps.length - 1) play();
  }, 900) : 0;
  byId("play-icon").setAttribute("href", start ? "#i-pause" : "#i-play");
  document.querySelector('[data-do="play"]').setAttribute("aria-pressed", String(start));
}

// keys and buttons ---------------------------------------------------------------------------------------------------

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

setTheme("auto");
drawTokens();
drawBadges();
readAddress();
