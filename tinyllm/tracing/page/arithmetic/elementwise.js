// @ts-check
// One number in, one number out; two arrays are broadcast against each other.

const UNARY = {
  // name: [how it is written, the function, the factors of its slope]
  exp: [(x) => `e^${x}`, Math.exp, (x, y) => [y]],
  log: [(x) => `log ${x}`, Math.log, (x) => [over(x)]],
  sqrt: [(x) => `√${x}`, Math.sqrt, (x, y) => [over(constant("2", 2)), over(y)]],
  abs: [(x) => `|${x}|`, Math.abs, (x) => [constant(`sign ${x.text}`, Math.sign(x.number))]],
  tanh: [(x) => `tanh ${x}`, Math.tanh, (x, y) => [constant(`1 − ${y.text}²`, 1 - y.number ** 2)]],
  sigmoid: [(x) => `1/(1 + e^−${x})`, sigmoid, (x, y) => [y, constant(`1 − ${y.text}`, 1 - y.number)]],
  relu: [(x) => `max(${x}, 0)`, (x) => Math.max(x, 0), (x, y) => [constant(`[${y.text} > 0]`, Number(y.number > 0))]],
  negative: [(x) => `−${x}`, (x) => -x, () => [constant("−1", -1)]],
};

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

for (const [name, [written, f, slope]] of Object.entries(UNARY)) {
  ARITHMETIC[name] = {
    forward(call, index) {
      const x = ofValue(call.inputs[0], index);
      return [equation("", written(x.text), [term({ ...x, text: written(x.text), number: f(x.number) })])];
    },

    backward(step, index) {
      const { inputs, output } = step.call;
      const factors = slope(ofValue(inputs[0], index), ofValue(output, index));
      return [equation("", "dy · slope", [term(ofGradient(step, index), ...factors)])];
    },
  };
}

const BINARY = {
  // name: [the terms of y, the term of da at one cell of y, that of db]; each gets dy there, a, b and y
  add: [(a, b) => [term(a), term(b)], (dy) => term(dy), (dy) => term(dy)],
  subtract: [(a, b) => [term(a), minus(b)], (dy) => term(dy), (dy) => minus(dy)],
  multiply: [(a, b) => [term(a, b)], (dy, a, b) => term(dy, b), (dy, a) => term(dy, a)],
  divide: [(a, b) => [term(a, over(b))], (dy, a, b) => term(dy, over(b)), (dy, a, b, y) => minus(dy, y, over(b))],
  power: [(a, b) => [term(powerOf(a, b))], slopeOfBase, slopeOfExponent],
  maximum: [(a, b) => [term(a.number >= b.number ? a : b)], (dy, a, b) => larger(dy, a, b), (dy, a, b) => larger(dy, b, a)],
};

const powerOf = (a, b) => constant(`${a.text}^${b.text}`, a.number ** b.number);

/** dy · b · aᵇ⁻¹; at b = 0 the power is 1 whatever a is. */
function slopeOfBase(dy, a, b) {
  const less = constant(`(${b.text} − 1)`, b.number === 0 ? 0 : b.number - 1);
  return term(dy, b, powerOf(a, less));
}

/** dy · aᵇ · log a; at a = 0 it is 0, unless b is negative. */
function slopeOfExponent(dy, a, b, y) {
  const flat = a.number === 0 && b.number >= 0;
  return term(dy, y, constant(`log ${a.text}`, flat ? 0 : Math.log(a.number)));
}

/** dy where this one is the larger one, half of it at a tie. */
function larger(dy, mine, other) {
  if (mine.number === other.number) return term(dy, constant("½, for a tie", 0.5));
  return term(dy, constant(`[${mine.text} > ${other.text}]`, Number(mine.number > other.number)));
}

const sumOfUses = (uses) => (uses.length > 1 ? `Σ over the ${uses.length} cells it was repeated to` : "");

for (const [name, [forward, ...slopes]] of Object.entries(BINARY)) {
  ARITHMETIC[name] = {
    forward: (call, index) => [equation("", RULES[name] ?? "", forward(...call.inputs.map((x) => ofBroadcast(x, index))))],

    backward(step, index) {
      const { inputs, output } = step.call;
      const [a, b] = inputs;
      const uses = repeats(inputs[step.wrt].array.shape, output.array.shape, index);
      const terms = uses.map((i) =>
        slopes[step.wrt](ofGradient(step, i), ofBroadcast(a, i), ofBroadcast(b, i), ofValue(output, i)));
      return [equation("", sumOfUses(uses), terms)];
    },
  };
}

const RULES = { power: "a^b", maximum: "the larger of the two" };

ARITHMETIC.where = {
  forward(call, index) {
    const [condition, a, b] = call.inputs;
    const holds = ofBroadcast(condition, index);
    const rule = `${holds.text} ${holds.number ? "holds" : "does not hold"}`;
    return [equation("", rule, [term(ofBroadcast(holds.number ? a : b, index))])];
  },

  backward(step, index) {
    const { inputs, output } = step.call;
    const taken = (i) => Boolean(ofBroadcast(inputs[0], i).number) === (step.wrt === 1);
    const uses = repeats(inputs[step.wrt].array.shape, output.array.shape, index).filter(taken);
    const note = uses.length ? "" : "The other one was taken, so nothing arrives.";
    return [equation("", sumOfUses(uses), uses.map((i) => term(ofGradient(step, i))), note)];
  },
};

ARITHMETIC.clip = {
  forward(call, index) {
    const [x, y] = [ofValue(call.inputs[0], index), at(call.output.array, index)];
    if (x.number === y) return [equation("", "within the bounds", [term(x)])];
    const bound = y > x.number ? "min" : "max";
    return [equation("", `${x.text} = ${format(x.number)} is cut off at ${bound}`, [term(constant(bound, y))])];
  },

  backward(step, index) {
    const inside = ofSaved(step.call, "inside", index);
    return [equation("", "dy where x was within the bounds", [term(ofGradient(step, index), inside)])];
  },
};

ARITHMETIC.dropout = {
  forward(call, index) {
    const [x, keep] = call.inputs;
    return [equation("", "x · keep / (1 − p)", [term(ofValue(x, index), ofValue(keep, index), shareKept(call))])];
  },

  backward(step, index) {
    const keep = ofValue(step.call.inputs[1], index);
    return [equation("", "dy · keep / (1 − p)", [term(ofGradient(step, index), keep, shareKept(step.call))])];
  },
};

/** What is kept is divided by 1 − p, so that the mean stays. */
const shareKept = (call) => over(constant("(1 − p)", 1 - call.options.p));
