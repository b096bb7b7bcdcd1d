// @ts-check
// The state of the page, and how a step is shown.

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

setTheme("auto");
drawTokens();
drawBadges();
readAddress();
