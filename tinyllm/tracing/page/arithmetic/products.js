// @ts-check
// Matrix products. The last axes are rows and columns; those in front are batches.

ARITHMETIC.linear = {
  forward(call, index) {
    const [x, weight, bias] = call.inputs;
    const [row, o] = [index.slice(0, -1), index.at(-1)];
    const terms = range(weight.array.shape[0]).map((i) => term(ofValue(x, [...row, i]), ofValue(weight, [i, o])));
    if (bias) terms.push(term(ofValue(bias, [o])));
    const plus = bias ? ` + ${bias.short}[${o}]` : "";
    return [equation("", `Σᵢ ${place(x.short, [...row, "i"])} · ${place(weight.short, ["i", o])}${plus}`, terms)];
  },

  backward(step, index) {
    const [x, weight] = step.call.inputs;
    const dy = (row, o) => ofGradient(step, [...row, o]);
    const rows = rowsOf(x.array.shape);
    const d = gradientLabel(step.call.output.short);
    if (step.wrt === 0) {
      const [row, i] = [index.slice(0, -1), index.at(-1)];
      const terms = range(weight.array.shape[1]).map((o) => term(dy(row, o), ofValue(weight, [i, o])));
      return [equation("", `Σₒ ${place(d, [...row, "o"])} · ${place(weight.short, [i, "o"])}`, terms)];
    }
    if (step.wrt === 1) {
      const [i, o] = index;
      const terms = rows.map((row) => term(ofValue(x, [...row, i]), dy(row, o)));
      return [equation("", `Σₜ ${place(x.short, ["t", i])} · ${place(d, ["t", o])}`, terms)];
    }
    return [equation("", `Σₜ ${place(d, ["t", index[0]])}`, rows.map((row) => term(dy(row, index[0]))))];
  },
};

ARITHMETIC.matmul = {
  forward(call, index) {
    const M = matricesOf(call);
    const { batch, n, m } = M.split(index);
    const terms = range(M.K).map((k) => term(M.a(batch, n, k), M.b(batch, k, m)));
    const [a, b] = call.inputs.map((x) => x.short);
    return [equation("", `Σₖ ${a}[… k] · ${b}[… k …]`, terms)];
  },

  backward(step, index) {
    const { call, wrt } = step;
    const M = matricesOf(call);
    const dy = (batch, n, m) => ofGradient(step, M.join(batch, n, m));
    const mine = index.slice(0, M.batches[wrt].length);
    const [i, j] = M.isVector[wrt] ? (wrt ? [index[0], 0] : [0, index[0]]) : index.slice(-2);
    const uses = repeats(M.batches[wrt], M.batch, mine);
    const terms = uses.flatMap((batch) => wrt
      ? range(M.N).map((n) => term(M.a(batch, n, i), dy(batch, n, j)))
      : range(M.M).map((m) => term(dy(batch, i, m), M.b(batch, j, m))));
    const rule = uses.length > 1 ? `, summed over the ${uses.length} batches that share it` : "";
    return [equation("", (wrt ? "aᵀ @ dy" : "dy @ bᵀ") + rule, terms)];
  },
};

/** a (…, N, K) and b (…, K, M): a vector on the left is a row, one on the right a column. */
function matricesOf(call) {
  const [a, b] = call.inputs;
  const isVector = [a, b].map((x) => x.array.shape.length === 1);
  const batches = [a, b].map((x) => x.array.shape.slice(0, -2));
  const [N, M] = [isVector[0] ? 1 : a.array.shape.at(-2), isVector[1] ? 1 : b.array.shape.at(-1)];
  const { shape } = call.output.array;
  const batch = shape.slice(0, shape.length - Number(!isVector[0]) - Number(!isVector[1]));
  const of = (x, i) => (there, row, column) => {
    const cell = isVector[i] ? [i ? row : column] : [...broadcastIndex(batches[i], there), row, column];
    return ofValue(x, cell);
  };
  const split = (index) => {
    const [n, m] = [isVector[0] ? 0 : index[batch.length], isVector[1] ? 0 : index.at(-1)];
    return { batch: index.slice(0, batch.length), n, m };
  };
  const join = (there, n, m) => [...there, ...(isVector[0] ? [] : [n]), ...(isVector[1] ? [] : [m])];
  return { N, K: a.array.shape.at(-1), M, isVector, batches, batch, a: of(a, 0), b: of(b, 1), split, join };
}
