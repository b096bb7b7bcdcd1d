// @ts-check
// What the arithmetic of a cell is written in. All numbers in it were recorded, or are made of those that were.

/**
 * A factor knows where it stands: on which card (see cards.js), and which value or gradient it is, so that it can be
 * followed to where it was made. A term is the product of its factors, divided by those with `divide`.
 * @typedef {{text: string, number: number, divide?: boolean, card?: string, cell?: number[], value?: Value,
 *   index?: number[], gradient?: boolean}} Factor
 * @typedef {{sign: number, factors: Factor[], number: number}} Term
 * @typedef {{name: string, rule?: string, number: number, terms: Term[], note?: string}} Equation
 */

/**
 * Each op's arithmetic, forward and backward side by side as in tinyllm/ops: how a cell of its output was made, and how
 * a cell of what it adds to an input's gradient is made. First the cell itself, then what stands in it.
 * @type {Object<string, {forward: (call: Call, index: number[]) => Equation[],
 *   backward: (step: Step, index: number[]) => Equation[]}>}
 */
const ARITHMETIC = {};

const place = (name, index) => (index.length ? `${name}[${index.join(", ")}]` : name);

/** @returns {Factor} */
function ofValue(value, index) {
  const number = at(value.array, index);
  return { text: place(value.short, index), number, card: `v${value.id}`, cell: index, value, index };
}

/** An input at an index of the array that it was broadcast to. */
const ofBroadcast = (value, index) => ofValue(value, broadcastIndex(value.array.shape, index));

/** What the backward received: dy at an index. @returns {Factor} */
function ofGradient(step, index) {
  const { output } = step.call;
  const text = place(gradientLabel(output.short), index);
  return { text, number: at(step.dy, index), card: `g${output.id}`, cell: index, value: output, index, gradient: true };
}

/** Something the forward saved, by its name. @returns {Factor} */
function ofSaved(call, name, index, source) {
  const saved = call.saved[name];
  if (saved?.id !== undefined) return ofValue(saved, index);
  if (!saved?.array) return constant(name, Number(saved)); // of an array without axes its only number was kept
  const { array } = saved;
  return { text: place(name, index), number: at(array, index), card: `s:${name}`, cell: index, ...source };
}

/** A number an op saved, as an array without axes or plainly. */
const ofNumber = (call, name) => ofSaved(call, name, []);

/** @returns {Factor} */
const constant = (text, number) => ({ text, number });

/** @returns {Factor} */
const over = (factor) => ({ ...factor, divide: true });

/** An equation's result, as a factor of another one. */
const result = ({ name, number }) => constant(name, number);

/** @returns {Term} */
function term(...factors) {
  return signed(1, factors);
}

/** @returns {Term} */
function minus(...factors) {
  return signed(-1, factors);
}

function signed(sign, factors) {
  const number = factors.reduce((product, { number, divide }) => (divide ? product / number : product * number), sign);
  return { sign, factors, number };
}

const total = (terms) => terms.reduce((sum, term) => sum + term.number, 0);
const largest = (terms) =>
  terms.reduce((best, term) => (Math.abs(term.number) > Math.abs(best.number) ? term : best), terms[0] ?? null);

/** @returns {Equation} */
function equation(name, rule, terms, note) {
  return { name, rule, terms, number: total(terms), note };
}
