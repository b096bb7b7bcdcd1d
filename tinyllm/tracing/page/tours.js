// @ts-check
// Eight short tours: each a few steps of this very recording, with a sentence or two at each.

/** @typedef {{step: number, cell?: number[], text: string}} Stop */
/** @typedef {{title: string, stops: Stop[]}} Tour */

const TOURS = {
  "Residuals add gradients": residualStops,
  "The tied embedding gets two": tiedStops,
  "Repeated tokens": repeatedStops,
  "Layer norm's three terms": layerNormStops,
  "p − y": errorStops,
  "The mask's exact zeros": maskStops,
  "Broadcast means sum": broadcastStops,
  "1/√D, both ways": rootStops,
};

/** The tours that this recording has steps for. @returns {Tour[]} */
function toursOf(recording) {
  const tours = Object.entries(TOURS).map(([title, stops]) => ({ title, stops: stops(recording) }));
  return tours.filter(({ stops }) => stops.length);
}

/** @returns {Stop} */
const stopAt = (step, cell, ...sentences) => ({ step: step.index ?? step.step, cell, text: sentences.join(" ") });

/** An op's first call that has a backward step for an input, and that step. */
function found(recording, op, wrt) {
  const call = recording.calls.find((call) => call.op === op && call.inputs[wrt]);
  const step = recording.steps.find((step) => step.phase === "backward" && step.call === call && step.wrt === wrt);
  return step ? [call, step] : [];
}

const sharedGradients = (recording) => [...recording.written].filter(([, steps]) => steps.length > 1);
const firstCell = (call) => call.output.array.shape.map(() => 0);

function residualStops(recording) {
  const isResidual = ([value, steps]) => value.maker && steps.some((step) => step.call.op === "add");
  const [value, steps] = sharedGradients(recording).find(isResidual) ?? [];
  if (!value) return [];
  const [first, second] = steps;
  const add = steps.find((step) => step.call.op === "add").call;
  return [
    stopAt(add, undefined, `${value.label} goes two ways: past the sublayer, straight into this sum, and through it.`,
      "So it has two paths to the loss."),
    stopAt(first, largestCell(first.after), "Backward, the sum passes its gradient on unchanged:",
      `share 1 of ${steps.length} of ${gradientLabel(value.label)} arrives at once, with nothing lost.`),
    stopAt(second, largestCell(second.after), "Later the way through the sublayer brings share 2.",
      "The two are added: that is why deep stacks with residuals still learn."),
  ];
}

function tiedStops(recording) {
  const [value, steps] = sharedGradients(recording).find(([value]) => value.role === "parameter") ?? [];
  if (!value) return [];
  const uses = value.users.length;
  return [
    stopAt(value.users[0], undefined, `${value.name} is used ${uses} times: here to turn tokens into vectors …`),
    stopAt(value.users.at(-1), undefined, "… and here, transposed, to turn vectors into a score for every token."),
    ...steps.map((step, i) => stopAt(step, largestCell(step.after), i
      ? `Share ${i + 1}, from ${step.call.op}, is added to what is there. A parameter learns from all that it does.`
      : `Share 1, from ${step.call.op}: every row of the table gets some, for every token got a score.`)),
  ];
}

function repeatedStops(recording) {
  const [call, step] = found(recording, "embedding", 1);
  if (!call) return [];
  const counts = new Map();
  for (const id of call.inputs[0].array.data) counts.set(id, (counts.get(id) ?? 0) + 1);
  const [id, count] = [...counts].sort((a, b) => b[1] - a[1])[0];
  if (count < 2) return [];
  const channels = step.share.shape[1];
  const row = { shape: [channels], data: step.share.data.slice(id * channels, (id + 1) * channels) };
  const { text } = recording.tokens.named(id);
  return [
    stopAt(call, undefined, `The token ${text} occurs ${count} times. Each time its one row of the table is copied.`),
    stopAt(
      step,
      [id, ...largestCell(row)],
      `So its row gets ${count} gradients, and they are summed, one term a place.`,
      "dweight[ids] += dy would keep only the last: hence add.at.",
    ),
  ];
}

function layerNormStops(recording) {
  const [call, step] = found(recording, "layer_norm", 0);
  if (!call) return [];
  return [
    stopAt(call, firstCell(call), "Forward, each vector is centred by its mean and divided by its spread.",
      "Both depend on every number of the vector."),
    stopAt(step, largestCell(step.share), "Backward there are three terms: the gradient itself, minus its mean,",
      "minus its part along x̂. Only what the normalisation cannot undo is left."),
  ];
}

function errorStops(recording) {
  const [call, step] = found(recording, "cross_entropy", 0);
  if (!call || step.share.shape.length !== 2) return [];
  const answer = call.saved.answers.array.data[0];
  return [
    stopAt(call, undefined, "The loss is the mean of −log p of the right tokens: how surprised the model is by them."),
    stopAt(step, [0, answer], "The gradient of a score is p − 1 for the right token:",
      "it is pushed up by the probability it lacked …"),
    stopAt(step, [0, answer === 0 ? 1 : 0], "… and p − 0 for a wrong one: pushed down by the probability it got.",
      "Each row adds up to 0."),
  ];
}

function maskStops(recording) {
  const [call, step] = found(recording, "causal_attention", 0);
  if (!call) return [];
  const [, T, C] = call.output.array.shape;
  const position = Math.min(2, T - 1);
  return [
    stopAt(
      call,
      [0, position, 0],
      "A score of −∞ in the future becomes a weight of e^−∞, which is 0 exactly (hatched).",
      `Position ${position} is a mean over the positions up to itself.`,
    ),
    stopAt(
      step,
      [0, T - 1, 3 * C - 1],
      "Backward no line speaks of the mask: dS = P · (…) is 0 where P is 0.",
      "The last position is seen by itself alone, so its v gets one term.",
    ),
  ];
}

function broadcastStops(recording) {
  const [call, step] = found(recording, "linear", 2);
  if (!call) return [];
  const rows = sizeOf(call.output.array.shape.slice(0, -1));
  return [
    stopAt(call, firstCell(call), `Forward, the one bias ${call.inputs[2].short} is added to all ${rows} rows:`,
      "it is broadcast."),
    stopAt(step, largestCell(step.share), `Backward, its gradient is the sum over these ${rows} rows.`,
      "Whatever is repeated forward is summed backward, everywhere."),
  ];
}

function rootStops(recording) {
  const [call, step] = found(recording, "causal_attention", 0);
  if (!call) return [];
  const { D, T } = sizesOf(call);
  return [
    stopAt(call, [0, T - 1, 0], `q · k is a sum of D = ${D} products, so it grows like √D.`,
      `Divided by √${D} = ${format(Math.sqrt(D))} the softmax stays soft (third line below).`),
    stopAt(step, [0, T - 1, 0], "Backward the same factor stands in dS:",
      "a constant factor of the forward is a constant factor of the backward."),
  ];
}

/** The bar above a step while a tour goes on. */
class TourView {
  constructor(recording, onGo, onEnd) {
    this.tours = toursOf(recording);
    this.onGo = onGo;
    this.onEnd = onEnd;
    this.tour = null;
    this.stop = 0;
  }

  start(tour) {
    this.tour = tour;
    this.at(0);
    this.focus("next");
  }

  at(stop) {
    this.stop = stop;
    if (stop >= this.tour.stops.length) this.tour = null;
    if (!this.tour) return this.onEnd();
    const { step, cell } = this.tour.stops[stop];
    this.onGo(step, cell ?? null);
  }

  draw(step) {
    const box = byId("tour");
    box.hidden = !this.tour;
    if (!this.tour) return;
    const { stops, title } = this.tour;
    const { text, step: there } = stops[this.stop];
    const last = this.stop === stops.length - 1;
    const button = (name, label, stop, hidden) => element("button",
      { type: "button", "data-tour": name, hidden, onclick: () => this.move(name, stop) }, label);
    box.replaceChildren(
      element(
        "p",
        {},
        element("b", {}, `${title} ${this.stop + 1}/${stops.length}: `),
        there === step ? text : "You left the tour's step.",
      ),
      button("back", "back", this.stop - 1, this.stop === 0),
      button("next", last ? "done" : "next", this.stop + 1, false),
      button("end", "end", stops.length, last));
  }

  move(name, stop) {
    this.at(stop);
    this.focus(name);
  }

  focus(name) {
    /** @type {HTMLElement | null} */ (byId("tour").querySelector(`[data-tour=${name}]:not([hidden])`))?.focus();
  }
}
