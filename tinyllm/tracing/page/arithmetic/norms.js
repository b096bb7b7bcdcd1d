// @ts-check
// What looks at a whole vector: layer norm, softmax and its logarithm.

ARITHMETIC.layer_norm = {
  forward(call, index) {
    const [x, weight, bias] = call.inputs;
    const [row, c] = [index.slice(0, -1), index.at(-1)];
    const [x_hat, rstd] = [ofSaved(call, "x_hat", index), ofSaved(call, "rstd", [...row, 0])];
    const terms = [weight ? term(x_hat, ofValue(weight, [c])) : term(x_hat)];
    if (bias) terms.push(term(ofValue(bias, [c])));
    const C = x.array.shape.at(-1);
    const mean = equation("μ", `mean of ${place(x.short, [...row, "·"])}`,
      range(C).map((i) => term(ofValue(x, [...row, i]), over(constant("C", C)))));
    return [
      equation("", `x̂${weight ? " · weight" : ""}${bias ? " + bias" : ""}`, terms),
      equation(x_hat.text, "(x − μ) / √(σ² + ε)", [term(ofValue(x, index), rstd), minus(result(mean), rstd)]),
      mean,
    ];
  },

  backward(step, index) {
    const { call } = step;
    const rows = rowsOf(call.output.array.shape);
    const dy = (row, c) => ofGradient(step, [...row, c]);
    const x_hat = (row, c) => ofSaved(call, "x_hat", [...row, c]);
    if (step.wrt === 2) return [equation("", `Σₜ dy[t, ${index[0]}]`, rows.map((row) => term(dy(row, index[0]))))];
    if (step.wrt === 1) {
      const terms = rows.map((row) => term(dy(row, index[0]), x_hat(row, index[0])));
      return [equation("", `Σₜ dy[t, ${index[0]}] · x̂[t, ${index[0]}]`, terms)];
    }
    const [row, c] = [index.slice(0, -1), index.at(-1)];
    const weight = call.inputs[1];
    const scaled = (i) => (weight ? [dy(row, i), ofValue(weight, [i])] : [dy(row, i)]);
    const C = call.output.array.shape.at(-1);
    const n = over(constant("C", C));
    const dx_hat = equation(place("dx̂", index), weight ? "dy · weight" : "dy", [term(...scaled(c))]);
    const mean = equation("mean dx̂", "Σᵢ dx̂ᵢ / C", range(C).map((i) => term(...scaled(i), n)));
    const mean_x = equation("mean dx̂·x̂", "Σᵢ dx̂ᵢ · x̂ᵢ / C",
      range(C).map((i) => term(...scaled(i), x_hat(row, i), n)));
    const rstd = ofSaved(call, "rstd", [...row, 0]);
    const here = { ...result(dx_hat), value: call.output, index, gradient: true };
    return [
      equation("", "rstd · (dx̂ − mean dx̂ − x̂ · mean dx̂·x̂)", [
        term(rstd, here), minus(rstd, result(mean)), minus(rstd, x_hat(row, c), result(mean_x)),
      ]),
      dx_hat, mean, mean_x,
    ];
  },
};

/** The scores along the axis of a softmax through a cell: the largest, and Σ e^(x − largest). */
function scoresAt(call, index) {
  const x = call.inputs[0];
  const axis = fromFront(call.saved.axis, index.length);
  const row = range(x.array.shape[axis]).map((i) => index.with(axis, i));
  const top = Math.max(...row.map((i) => at(x.array, i)));
  const e = (i) => ({ ...ofValue(x, i), text: `e^(${format(at(x.array, i))} − ${bracketed(top)})`,
    number: Math.exp(at(x.array, i) - top) });
  return { row, top, e, sum: equation("Σ", "Σⱼ e^(xⱼ − max x)", row.map((i) => term(e(i)))) };
}

ARITHMETIC.softmax = {
  forward(call, index) {
    const { e, sum } = scoresAt(call, index);
    return [equation("", "e^(x − max x) / Σ", [term(e(index), over(result(sum)))]), sum];
  },

  backward(step, index) {
    const { row } = scoresAt(step.call, index);
    const p = (i) => ofValue(step.call.output, i);
    const sum = equation("Σ dy·p", "", row.map((i) => term(ofGradient(step, i), p(i))));
    return [equation("", "p · (dy − Σ dy·p)", [
      term(p(index), ofGradient(step, index)), minus(p(index), result(sum)),
    ]), sum];
  },
};

ARITHMETIC.log_softmax = {
  forward(call, index) {
    const { top, sum } = scoresAt(call, index);
    const log = constant("log Σ", Math.log(sum.number));
    const terms = [term(ofValue(call.inputs[0], index)), minus(constant("max x", top)), minus(log)];
    return [equation("", "x − max x − log Σ", terms), sum];
  },

  backward(step, index) {
    const { row } = scoresAt(step.call, index);
    const log_p = ofValue(step.call.output, index);
    const p = { ...log_p, text: `e^${log_p.text}`, number: Math.exp(log_p.number) };
    const sum = equation("Σ dy", "", row.map((i) => term(ofGradient(step, i))));
    return [equation("", "dy − p · Σ dy", [term(ofGradient(step, index)), minus(p, result(sum))]), sum];
  },
};
