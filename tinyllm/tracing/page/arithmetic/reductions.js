// @ts-check
// Many numbers in, one out: along an axis, several axes, or all.

ARITHMETIC.sum = {
  forward: (call, index) => [equation("", "Σ x", reducedFrom(call, index).map((i) => term(ofValue(call.inputs[0], i))))],
  backward: (step, index) => [equation("", "dy", [term(ofGradient(step, reducedTo(step.call, index)))])],
};

ARITHMETIC.mean = {
  forward(call, index) {
    const from = reducedFrom(call, index);
    const n = over(constant("N", from.length));
    return [equation("", "Σ x / N", from.map((i) => term(ofValue(call.inputs[0], i), n)))];
  },

  backward(step, index) {
    const { inputs, output } = step.call;
    const n = over(constant("N", sizeOf(inputs[0].array.shape) / sizeOf(output.array.shape)));
    return [equation("", "dy / N", [term(ofGradient(step, reducedTo(step.call, index)), n)])];
  },
};

ARITHMETIC.max = {
  forward(call, index) {
    const [from, here] = largestOf(call, index);
    return [equation("", `the largest of ${from.length}`, [term(ofValue(call.inputs[0], here[0]))], tied(here))];
  },

  backward(step, index) {
    const to = reducedTo(step.call, index);
    const [, here] = largestOf(step.call, to);
    const mine = here.some((there) => String(there) === String(index));
    const factors = mine ? [over(constant("k", here.length))] : [constant("0: not the largest", 0)];
    return [equation("", mine ? "dy / k" : "dy · 0", [term(ofGradient(step, to), ...factors)], mine ? tied(here) : "")];
  },
};

/** The cells that a cell of max was chosen from, and those of them that are it. */
function largestOf(call, index) {
  const from = reducedFrom(call, index);
  const top = at(call.output.array, index);
  return [from, from.filter((there) => at(call.inputs[0].array, there) === top)];
}

const tied = (cells) => (cells.length > 1 ? `${cells.length} are equally large.` : "");

ARITHMETIC.var = {
  forward(call, index) {
    const [x] = call.inputs;
    const from = reducedFrom(call, index);
    const centred = from.map((i) => ofSaved(call, "centred", i));
    const n = over(constant("N", from.length));
    const mean = equation("mean x", "Σ x / N", from.map((i) => term(ofValue(x, i), n)));
    return [
      equation("", "Σ (x − mean x)² / (N − c)", centred.map((d) => term(d, d, over(ofNumber(call, "n"))))),
      equation(centred[0].text, "x − mean x", [term(ofValue(x, from[0])), minus(result(mean))]),
      mean,
    ];
  },

  backward(step, index) {
    const [centred, n] = [ofSaved(step.call, "centred", index), over(ofNumber(step.call, "n"))];
    const dy = ofGradient(step, reducedTo(step.call, index));
    return [equation("", "2 · dy · (x − mean x) / (N − c)", [term(constant("2", 2), dy, centred, n)])];
  },
};
