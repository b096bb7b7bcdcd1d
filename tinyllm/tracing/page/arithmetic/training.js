// @ts-check
// The steps that are no ops: where the backward starts, the clip, the update; and the entry to all arithmetic.

function clipOf({ numbers }, squares) {
  const { norm, max_norm, scale } = numbers;
  const length = constant("(norm + 0.000001)", norm + 1e-6);
  const terms = squares.map(({ value, number }) => term(constant(`Σ (${gradientLabel(value.short)})²`, number)));
  const made = scale < 1 ? term(constant("max_norm", max_norm), over(length)) : term(constant("1", 1));
  const note = scale < 1 ? "" : "They are short enough already: nothing is changed.";
  return [
    equation("scale", "min(1, max_norm / norm)", [made], note),
    equation("norm", "√norm²", [term(constant("√norm²", Math.sqrt(total(terms))))]),
    equation("norm²", "Σ over all gradients", terms),
  ];
}

function updateOf(step, index) {
  const { lr, betas, eps, weight_decay, step: t } = step.numbers;
  const before = { ...ofValue(step.value, index), text: place("before", index), card: "before" };
  const cell = (name) => ({
    ...constant(place(name, index), at(step.numbers[name].array, index)), card: `n:${name}`, cell: index,
  });
  const rate = constant("lr", lr);
  if (step.numbers.velocity)
    return [equation("", "before − lr · velocity", [term(before), minus(rate, cell("velocity"))])];
  const hat = (name, beta) => equation(`${name}̂`, `${name} / (1 − βᵗ), t = ${t}`, [
    term(cell(name), over(constant("(1 − βᵗ)", 1 - beta ** t))),
  ]);
  const [m, v] = [hat("m", betas[0]), hat("v", betas[1])];
  const root = constant("(√v̂ + ε)", Math.sqrt(v.number) + eps);
  const decay = weight_decay ? [minus(rate, constant("λ", weight_decay), before)] : [];
  return [
    equation("", "before − lr · λ · before − lr · m̂ / (√v̂ + ε)",
      [term(before), ...decay, minus(rate, result(m), over(root))]),
    m, v,
  ];
}

const forwardOf = (call, index) => ARITHMETIC[call.op]?.forward(call, index) ?? [];
const backwardOf = (step, index) => ARITHMETIC[step.call.op]?.backward(step, index) ?? [];

/** The equations with a name for the first of them. */
const named = (list, name) => list.map((line, i) => (i ? line : { ...line, name: line.name || name }));

function seedOf(step, index) {
  const one = constant("1", at(step.after, index));
  return [equation(gradientLabel(step.value.label), "where the backward starts", [term(one)])];
}

function lossAfter(step, index) {
  const change = constant("change", step.after.data[0] - step.before.data[0]);
  return [equation("loss after", "", [term(ofValue(step.value, index)), term(change)])];
}

/** What an op adds to a gradient, below the sum that it is added in. */
function addedOf(step, index) {
  const name = place(gradientLabel(step.value.short), index);
  if (!step.before) return named(backwardOf(step, index), name);
  const cell = (name) => ({ ...constant(name, at(step[name], index)), card: name, cell: index });
  const sum = equation(name, "before + share", [term(cell("before")), term(cell("share"))]);
  return [sum, ...named(backwardOf(step, index), "share")];
}

/** How a cell of a step's result came about: first the cell itself, then what stands in it. @returns {Equation[]} */
function equations(recording, step, index) {
  if (step.phase === "clip") return clipOf(step, recording.squares);
  if (step.phase === "seed") return seedOf(step, index);
  if (step.phase === "update") return named(updateOf(step, index), place(step.value.short, index));
  if (step.phase === "backward") return addedOf(step, index);
  return step.call ? named(forwardOf(step.call, index), place(step.value.label, index)) : lossAfter(step, index);
}
