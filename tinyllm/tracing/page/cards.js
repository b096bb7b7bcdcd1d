// @ts-check
// Which arrays a step shows: what it receives, and what it makes or adds.

/**
 * key: how arithmetic.js points at it; result: its cells are what the step made; shared: on one scale with its row.
 * @typedef {{key: string, title: string, note: string, array: NdArray, axes: string[], kind: string, stats: any,
 *   range: string, least: number,
 *   result: boolean, shared: boolean, value?: Value, gradient?: boolean, masked?: (index: number[]) => boolean,
 *   namedRows: boolean, rowName: (row: number) => string | null,
 *   columnName: (column: number) => string | null}} Card
 * @typedef {{receives: (Card | string)[], makes: (Card | string)[], chips: string[], heading: string}} Cards
 */

/** @returns {Card} */
function cardOf(recording, key, title, array, axes, extra = {}) {
  const kind = array.data instanceof Int32Array ? "i4" : array.data instanceof Uint8Array ? "b1" : "f4";
  const n = array.shape.length;
  const rowName = (row) =>
    n > 1 ? placeName(recording, axes, [...array.shape.slice(0, -2).map(() => 0), row, 0], n - 2) : null;
  const columnName = (column) => placeName(recording, axes, [...array.shape.slice(0, -1).map(() => 0), column], n - 1);
  const stats = statistics(array);
  const namedRows = n > 1 && array.shape[n - 2] > 1 && rowName(0) !== null;
  const range = kind === "f4" && sizeOf(array.shape) > 1 ? `${format(stats.min, 2)} … ${format(stats.max, 2)}` : "";
  return {
    key,
    title,
    note: "",
    array,
    axes,
    kind,
    stats,
    range,
    least: leastWidth(title, range),
    result: false,
    shared: false,
    rowName,
    columnName,
    namedRows,
    ...extra,
  };
}

const valueCard = (recording, value, extra) =>
  cardOf(recording, `v${value.id}`, value.short, value.array, value.axes, { value, ...extra });

/** Attention weights of the future: no key stands there. */
function maskOf(call, name) {
  return call?.op === "causal_attention" && name === "P" ? ([, , i, j]) => j > i : undefined;
}

const tuple = (list) => `(${list.join(", ")}${list.length === 1 ? "," : ""})`;

/** A number, a shape or a text as a chip: "n = 16". */
function chip(name, x) {
  if (Array.isArray(x)) return `${name} = ${tuple(x)}`;
  return `${name} = ${typeof x === "number" ? format(x) : (x ?? "None")}`;
}

/** What an op saved: arrays as cards, numbers as chips. */
function savedOf(recording, call, known) {
  const [cards, chips] = [[], []];
  for (const [name, x] of Object.entries(call.saved)) {
    if (x?.id !== undefined) {
      const note = name === x.short ? "saved" : `saved as ${name}`;
      if (!known.includes(x)) cards.push(valueCard(recording, x, { note }));
    } else if (x?.array && sizeOf(x.array.shape) > 1) {
      const axes = savedAxes(call, name, x.array);
      cards.push(cardOf(recording, `s:${name}`, name, x.array, axes, { note: "saved", masked: maskOf(call, name) }));
    } else {
      chips.push(chip(name, x?.array ? x.array.data[0] : x));
    }
  }
  return { cards, chips };
}

const JOBS = {
  forward: forwardCards,
  loss: forwardCards,
  after: afterCards,
  seed: seedCards,
  backward: backwardCards,
  clip: clipCards,
  update: updateCards,
};

/** @returns {Cards} */
function cardsOf(recording, step) {
  return JOBS[step.phase](recording, step);
}

function forwardCards(recording, { call }) {
  const inputs = [...new Set(call.inputs.filter(Boolean))];
  const { cards, chips } = savedOf(recording, call, [...inputs, call.output]);
  const kept = cards.map((card) => ({ ...card, note: "kept" }));
  const options = Object.entries(call.options).map(([name, x]) => chip(name, x));
  return {
    receives: inputs.map((value) => valueCard(recording, value)),
    makes: [valueCard(recording, call.output, { result: true }), ...kept],
    chips: [...new Set([...options, ...chips])],
    heading: "makes",
  };
}

function seedCards(recording, step) {
  const title = gradientLabel(step.value.label);
  return {
    receives: [valueCard(recording, step.value)],
    makes: [cardOf(recording, `g${step.value.id}`, title, step.after, step.value.axes, { result: true })],
    chips: [],
    heading: "starts from",
  };
}

function backwardCards(recording, step) {
  const { call, value } = step;
  const dy = cardOf(recording, `g${call.output.id}`, gradientLabel(call.output.short), step.dy, call.output.axes,
    { note: "dy", value: call.output, gradient: true });
  const { cards, chips } = savedOf(recording, call, []);
  return { receives: [dy, ...cards], makes: sumCards(recording, step), chips, heading: headingOf(step) };
}

function headingOf(step) {
  const name = gradientLabel(step.value.short);
  return step.of > 1 ? `adds share ${step.nth} of ${step.of} to ${name}` : `makes ${name}`;
}

/** before + share = after; where there is only one share, that is the gradient. */
function sumCards(recording, step) {
  const { value } = step;
  const name = gradientLabel(value.short);
  const card = (key, title, array) =>
    cardOf(recording, key, title, array, value.axes, { result: true, shared: true, value, gradient: true });
  if (step.of === 1) return [{ ...card("share", name, step.share), note: "its only share" }];
  const before = step.before ? card("before", `${name} before`, step.before) : "nothing yet";
  return [before, "+", card("share", "this share", step.share), "=", card("after", `${name} after`, step.after)];
}

function clipCards(recording, step) {
  const squares = vector(recording.squares.map(({ number }) => number));
  return {
    receives: [cardOf(recording, "squares", "Σ g² of each parameter", squares, [""])],
    makes: [cardOf(recording, "scale", "scale", scalar(step.numbers.scale), [], { result: true })],
    chips: [chip("norm", step.numbers.norm), chip("max_norm", step.numbers.max_norm)],
    heading: "makes",
  };
}

function updateCards(recording, step) {
  const { value, numbers } = step;
  const data = step.after.data.map((x, i) => x - step.before.data[i]);
  const change = { shape: step.after.shape, data };
  const card = (key, title, array, extra) => cardOf(recording, key, title, array, value.axes, extra);
  const part = { result: true, shared: true, value };
  const gradient = recording.usedGradients.get(value);
  const clipped = recording.scale === 1 ? "" : "clipped";
  const states = Object.entries(numbers).filter(([, x]) => x?.array);
  const title = gradientLabel(value.short);
  return {
    receives: [
      ...(gradient ? [card(`g${value.id}`, title, gradient, { note: clipped, value, gradient: true })] : []),
      ...states.map(([name, x]) => card(`n:${name}`, name, x.array, { note: "of the optimizer" })),
    ],
    makes: [
      card("before", `${value.short} before`, step.before, part), "+",
      card("change", "change", change, part), "=",
      card("after", `${value.short} after`, step.after, part),
    ],
    chips: Object.entries(numbers).filter(([, x]) => !x?.array).map(([name, x]) => chip(name, x)),
    heading: `moves ${value.short}`,
  };
}

function afterCards(recording, step) {
  if (step.call) return forwardCards(recording, step);
  const card = (key, title, array) => cardOf(recording, key, title, array, [], { result: true });
  return {
    receives: [valueCard(recording, step.value, { title: "loss before" })],
    makes: [card("after", "loss after", step.after)],
    chips: [],
    heading: "gets",
  };
}
