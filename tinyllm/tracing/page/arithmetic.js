// @ts-check
// One cell as the sum that made it, with its numbers. For each op: how an output cell is made (FORWARD), and how a cell
// of what it adds to an input's gradient is made (BACKWARD). All that is read here was recorded.

/**
 * A factor knows where it stands: on which card (see cards.js), and which value or gradient it is, so that it can be
 * followed to where it was made. A term is the product of its factors, divided by those with `divide`.
 * @typedef {{text: string, number: number, divide?: boolean, card?: string, cell?: number[], value?: Value,
 *   index?: number[], gradient?: boolean}} Factor
 * @typedef {{sign: number, factors: Factor[], number: number}} Term
 * @typedef {{name: string, rule?: string, number: number, terms: Term[], note?: string}} Equation
 */

const place = (name, index) => (index.length ? `${name}[${index.join(", ")}]` : name);

/** @returns {Factor} */
function ofValue(value, index) {
  const number = at(value.array, index);
  return { text: place(value.short, index), number, card: `v${value.id}`, cell: index, value, index };
}

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
  const array = saved.array;
  return { text: place(name, index), number: at(array, index), card: `s:${name}`, cell: index, ...source };
}

/** @returns {Factor} */
const constant = (text, number) => ({ text, number });

/** @returns {Factor} */
const over = (factor) => ({ ...factor, divide: true });

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
const range = (n) => Array.from({ length: n }, (_, i) => i);
const largest = (terms) =>
  terms.reduce((best, term) => (Math.abs(term.number) > Math.abs(best.number) ? term : best), terms[0] ?? null);

/** @returns {Equation} */
function equation(name, rule, terms, note) {
  return { name, rule, terms, number: total(terms), note };
}

/** An index into an array that was broadcast against another one. */
function broadcastIndex(shape, index) {
  const tail = index.slice(index.length - shape.length);
  return shape.map((n, axis) => (n === 1 ? 0 : tail[axis]));
}

/** All indices of `full` that a cell of an array of `shape` was repeated to. */
function repeats(shape, full, index) {
  const new_axes = full.length - shape.length;
  return range(sizeOf(full))
    .map((flat) => unravel(full, flat))
    .filter((there) => shape.every((n, axis) => n === 1 || there[new_axes + axis] === index[axis]));
}

/** Indices of the rows of an array: everything but its last axis. */
function rowsOf(shape) {
  const leading = shape.slice(0, -1);
  return range(sizeOf(leading)).map((flat) => unravel(leading, flat));
}

// shapes and picking ------------------------------------------------------------------------------------------------

/** Where in x a cell of the output was taken from. */
const TAKEN_FROM = {
  reshape: (call, index) => unravel(call.inputs[0].array.shape, offset(call.output.array.shape, index)),
  transpose: (call, index) => swapped(index, call.saved.axis0, call.saved.axis1),
  permute: (call, index) => {
    const from = [];
    call.saved.axes.forEach((axis, i) => (from[(axis + index.length) % index.length] = index[i]));
    return from;
  },
  broadcast_to: (call, index) => broadcastIndex(call.inputs[0].array.shape, index),
  getitem: pickedFrom,
};

/** Through slices, numbers and one array of row numbers; null for other ways to pick. */
function pickedFrom(call, index) {
  const { shape } = call.inputs[0].array;
  const parts = Array.isArray(call.options.index) ? call.options.index : [call.options.index];
  const from = [];
  let used = 0;
  for (const part of parts) {
    const slice = /^slice\((\S+), (\S+), (\S+)\)$/.exec(part);
    const n = shape[from.length];
    if (slice) {
      const step = slice[3] === "None" ? 1 : Number(slice[3]);
      const first = slice[1] === "None" ? (step < 0 ? n - 1 : 0) : Number(slice[1]);
      from.push((first < 0 ? first + n : first) + step * index[used++]);
    } else if (typeof part === "number") {
      from.push(part < 0 ? part + n : part);
    } else {
      return null;
    }
  }
  return from.concat(index.slice(used));
}

/** All cells of the output that were taken from a cell of x. */
function takenTo(call, index) {
  const { shape } = call.output.array;
  return range(sizeOf(shape))
    .map((flat) => unravel(shape, flat))
    .filter((there) => String(TAKEN_FROM[call.op](call, there)) === String(index));
}

// forward ------------------------------------------------------------------------------------------------------------

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

const BINARY = {
  add: (a, b) => [term(a), term(b)],
  subtract: (a, b) => [term(a), minus(b)],
  multiply: (a, b) => [term(a, b)],
  divide: (a, b) => [term(a, over(b))],
};

const FORWARD = {
  embedding(call, index) {
    const [ids, weight] = call.inputs;
    const token = at(ids.array, index.slice(0, -1));
    const rule = `row ${token} of ${weight.short}: the token at ${place(ids.short, index.slice(0, -1))}`;
    return [equation("", rule, [term(ofValue(weight, [token, index.at(-1)]))])];
  },

  linear(call, index) {
    const [x, weight, bias] = call.inputs;
    const [row, o] = [index.slice(0, -1), index.at(-1)];
    const terms = range(weight.array.shape[0]).map((i) => term(ofValue(x, [...row, i]), ofValue(weight, [i, o])));
    if (bias) terms.push(term(ofValue(bias, [o])));
    const plus = bias ? ` + ${bias.short}[${o}]` : "";
    return [equation("", `Σᵢ ${place(x.short, [...row, "i"])} · ${place(weight.short, ["i", o])}${plus}`, terms)];
  },

  matmul(call, index) {
    const [a, b] = call.inputs;
    if (a.array.shape.length < 2 || a.array.shape.length !== b.array.shape.length) return null;
    const [row, column] = [index.slice(0, -1), index.at(-1)];
    const batch = broadcastIndex(b.array.shape.slice(0, -2), index.slice(0, -2));
    const cell = (k) => term(ofValue(a, [...row, k]), ofValue(b, [...batch, k, column]));
    return [equation("", "Σₖ a[i, k] · b[k, j]", range(a.array.shape.at(-1)).map(cell))];
  },

  layer_norm(call, index) {
    const [x, weight, bias] = call.inputs;
    const [row, c] = [index.slice(0, -1), index.at(-1)];
    const x_hat = ofSaved(call, "x_hat", index);
    const rstd = ofSaved(call, "rstd", [...row, 0]);
    const terms = [weight ? term(x_hat, ofValue(weight, [c])) : term(x_hat)];
    if (bias) terms.push(term(ofValue(bias, [c])));
    const C = x.array.shape.at(-1);
    const n = over(constant("C", C));
    const mean = equation("μ", `mean of ${place(x.short, [...row, "·"])}`,
      range(C).map((i) => term(ofValue(x, [...row, i]), n)));
    const mu = constant("μ", mean.number);
    return [
      equation("", `x̂ · weight + bias`, terms),
      equation(x_hat.text, "(x − μ) / √(σ² + ε)", [term(ofValue(x, index), rstd), minus(mu, rstd)]),
      mean,
    ];
  },

  gelu_tanh(call, index) {
    const [x, s] = [ofValue(call.inputs[0], index), ofSaved(call, "s", index)];
    const u = gelu_u(x);
    return [
      equation("", "x · s", [term(x, s)]),
      equation(s.text, "½ + ½ tanh u", [
        term(constant("½", 0.5)), term(constant("½", 0.5), constant("tanh u", Math.tanh(u.number))),
      ]),
      u,
    ];
  },

  gelu_erf(call, index) {
    const [x, cdf] = [ofValue(call.inputs[0], index), ofSaved(call, "cdf", index)];
    return [equation("", "x · Φ(x)", [term(x, cdf)], "Φ(x) is the share of a standard normal that lies below x.")];
  },

  dropout(call, index) {
    const [x, keep] = call.inputs;
    const rest = over(constant("(1 − p)", 1 - call.options.p));
    return [equation("", "x · keep / (1 − p)", [term(ofValue(x, index), ofValue(keep, index), rest)])];
  },

  causal_attention(call, [b, t, c]) {
    const A = attentionOf(call, b, Math.floor(c / sizesOf(call).D));
    const d = c % A.D;
    const terms = range(t + 1).map((j) => term(...A.W(t, j), A.v(j, d)));
    const j = terms.indexOf(largest(terms));
    const scores = range(t + 1).map((k) => total(A.score(t, k)));
    const sum = scores.reduce((sum, score) => sum + Math.exp(score - Math.max(...scores)), 0);
    const masked = A.T - t - 1;
    const note = masked ? `The mask makes the other ${masked} weights, those of the future, exactly 0.` : "";
    return [
      equation("", `Σⱼ P[${t}, j] · v[j, ${d}]   (head ${A.h})`, terms, note),
      equation(A.P(t, j).text, "e^(S − max S) / Σⱼ e^(Sⱼ − max S)", [
        term(constant(`e^(${format(scores[j])} − ${bracketed(Math.max(...scores))})`,
          Math.exp(scores[j] - Math.max(...scores))), over(constant("Σ", sum))),
      ]),
      equation(`S[${t}, ${j}]`, "q · k / √D", A.score(t, j)),
    ];
  },

  cross_entropy(call, index) {
    const { log_p, answers, counted } = call.saved;
    if (index.length || log_p.array.shape.length !== 2 || call.inputs[0].array.shape.length !== 2) return null;
    const n = over(ofNumber(call, "n"));
    const rows = range(answers.array.data.length).filter((i) => counted.array.data[i]);
    const terms = rows.map((i) => minus(ofSaved(call, "log_p", [i, answers.array.data[i]]), n));
    const i = rows[terms.indexOf(largest(terms))] ?? 0;
    const logits = call.inputs[0];
    const answer = answers.array.data[i];
    const log_sum = Math.log(range(log_p.array.shape[1])
      .reduce((sum, v) => sum + Math.exp(at(logits.array, [i, v])), 0));
    return [
      equation("", "−Σᵢ log_p[i, targetᵢ] / n", terms),
      equation(place("log_p", [i, answer]), "logit − log Σ e^logits", [
        term(ofValue(logits, [i, answer])), minus(constant("log Σ e^logits", log_sum)),
      ]),
    ];
  },

  softmax(call, index) {
    const x = call.inputs[0];
    const axis = (call.saved.axis + index.length) % index.length;
    const row = range(x.array.shape[axis]).map((i) => at(x.array, index.with(axis, i)));
    const [top, here] = [Math.max(...row), at(x.array, index)];
    const sum = row.reduce((sum, x) => sum + Math.exp(x - top), 0);
    const e = constant(`e^(${format(here)} − ${bracketed(top)})`, Math.exp(here - top));
    return [equation("", "e^x / Σ e^x", [term(e, over(constant("Σ", sum)))])];
  },

  sum: (call, index) => [equation("", "Σ x", reducedFrom(call, index).map((i) => term(ofValue(call.inputs[0], i))))],

  mean(call, index) {
    const from = reducedFrom(call, index);
    return [equation("", "Σ x / N", from.map((i) =>
      term(ofValue(call.inputs[0], i), over(constant("N", from.length)))))];
  },
};

/** Which cells of x went into a cell of a sum over an axis, some axes or all. */
function reducedFrom(call, index) {
  const { shape } = call.inputs[0].array;
  const { axis } = call.saved;
  const axes = (axis === null ? shape.map((_, i) => i) : [axis].flat()).map((i) => (i + shape.length) % shape.length);
  const kept = call.options.keepdims ? index : shape.map((_, i) => (axes.includes(i) ? 0 : null));
  let next = 0;
  const here = call.options.keepdims ? kept : kept.map((x) => (x === null ? index[next++] : x));
  return range(sizeOf(shape)).map((flat) => unravel(shape, flat))
    .filter((there) => there.every((i, axis) => axes.includes(axis) || i === here[axis]));
}

/** u of GELU, as the sum that it is. */
function gelu_u(x) {
  const root = constant("√(2/π)", Math.sqrt(2 / Math.PI));
  const cubed = [constant("0.044715", 0.044715), x, x, x];
  return equation("u", "√(2/π) (x + 0.044715 x³)", [term(root, x), term(root, ...cubed)]);
}

/** A number an op saved as an array without axes, or plainly. */
function ofNumber(call, name) {
  const saved = call.saved[name];
  return constant(name, typeof saved === "number" ? saved : saved.array.data[0]);
}

function sizesOf(call) {
  const [B, H, T, D] = call.saved.q.array.shape;
  return { B, H, T, D };
}

/** The parts of one head of one sequence: factors by position and channel. */
function attentionOf(call, b, h) {
  const { T, D, H } = sizesOf(call);
  const qkv = call.inputs[0];
  const part = (name, number) => (t, d) =>
    ofSaved(call, name, [b, h, t, d], { value: qkv, index: [b, t, (number * H + h) * D + d] });
  const [q, k, v] = [part("q", 0), part("k", 1), part("v", 2)];
  const root = over(constant("√D", Math.sqrt(D)));
  const P = (t, j) => ofSaved(call, "P", [b, h, t, j]);
  const kept = (t, j) => {
    if (!call.inputs[1]) return [];
    return [ofValue(call.inputs[1], [b, h, t, j]), over(constant("(1 − p)", 1 - call.options.p))];
  };
  const W = (t, j) => [P(t, j), ...kept(t, j)];
  const score = (t, j) => range(D).map((d) => term(q(t, d), k(j, d), root));
  return { T, D, h, q, k, v, P, W, kept, score, root };
}

// backward -----------------------------------------------------------------------------------------------------------

const BACKWARD = {
  embedding(step, index) {
    const [ids] = step.call.inputs;
    const [row, c] = index;
    const { shape, data } = ids.array;
    const uses = range(data.length).filter((flat) => data[flat] === row).map((flat) => unravel(shape, flat));
    const note = uses.length ? "" : "This token does not occur, so nothing arrives.";
    const rule = `Σ over the ${uses.length} places where the token is ${row}`;
    return [equation("", rule, uses.map((i) => term(ofGradient(step, [...i, c]))), note)];
  },

  linear(step, index) {
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

  matmul(step, index) {
    const [a, b] = step.call.inputs;
    const [N, M] = step.call.output.array.shape;
    if (a.array.shape.length !== 2 || b.array.shape.length !== 2) return null;
    const [i, j] = index;
    const terms = step.wrt === 0
      ? range(M).map((m) => term(ofGradient(step, [i, m]), ofValue(b, [j, m])))
      : range(N).map((n) => term(ofValue(a, [n, i]), ofGradient(step, [n, j])));
    return [equation("", step.wrt === 0 ? "dy @ bᵀ" : "aᵀ @ dy", terms)];
  },

  layer_norm(step, index) {
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
    const dx_hat = equation(place("dx̂", index), "dy · weight", [term(...scaled(c))]);
    const mean = equation("mean dx̂", "Σᵢ dx̂ᵢ / C", range(C).map((i) => term(...scaled(i), n)));
    const mean_x = equation("mean dx̂·x̂", "Σᵢ dx̂ᵢ · x̂ᵢ / C",
      range(C).map((i) => term(...scaled(i), x_hat(row, i), n)));
    const rstd = ofSaved(call, "rstd", [...row, 0]);
    const named = (equation) => constant(equation.name, equation.number);
    const here = { ...named(dx_hat), value: call.output, index, gradient: true };
    return [
      equation("", "rstd · (dx̂ − mean dx̂ − x̂ · mean dx̂·x̂)", [
        term(rstd, here), minus(rstd, named(mean)), minus(rstd, x_hat(row, c), named(mean_x)),
      ]),
      dx_hat, mean, mean_x,
    ];
  },

  gelu_tanh(step, index) {
    const [x, s, dy] = [ofValue(step.call.inputs[0], index), ofSaved(step.call, "s", index), ofGradient(step, index)];
    const root = constant("√(2/π)", Math.sqrt(2 / Math.PI));
    const u = equation("u′", "√(2/π) (1 + 3 · 0.044715 x²)", [
      term(root), term(root, constant("3", 3), constant("0.044715", 0.044715), x, x),
    ]);
    const slope = equation("s′", "2 s (1 − s) u′", [
      term(constant("2", 2), s, constant("(1 − s)", 1 - s.number), constant("u′", u.number)),
    ]);
    return [equation("", "dy · (s + x · s′)", [term(dy, s), term(dy, x, constant("s′", slope.number))]), slope, u];
  },

  gelu_erf(step, index) {
    const [x, cdf] = [ofValue(step.call.inputs[0], index), ofSaved(step.call, "cdf", index)];
    const pdf = constant("φ(x)", Math.exp(-0.5 * x.number ** 2) / Math.sqrt(2 * Math.PI));
    const dy = ofGradient(step, index);
    return [equation("", "dy · (Φ(x) + x φ(x))", [term(dy, cdf), term(dy, x, pdf)])];
  },

  dropout(step, index) {
    const rest = over(constant("(1 − p)", 1 - step.call.options.p));
    const keep = ofValue(step.call.inputs[1], index);
    return [equation("", "dy · keep / (1 − p)", [term(ofGradient(step, index), keep, rest)])];
  },

  causal_attention(step, [b, t, c]) {
    const { call } = step;
    const { H, D, T } = sizesOf(call);
    const part = Math.floor(c / (H * D));
    const h = Math.floor(c / D) % H;
    const d = c % D;
    const A = attentionOf(call, b, h);
    const dheads = (i, e) => ofGradient(step, [b, i, h * D + e]);
    if (part === 2) {
      const terms = range(T - t).map((i) => term(...A.W(i + t, t), dheads(i + t, d)));
      return [equation("", `dv = Σᵢ P[i, ${t}] · dy[i, ${h * D + d}]   (head ${h})`, terms)];
    }
    const dP = (i, j) => equation(`dP[${i}, ${j}]`, "Σ dy · v",
      range(D).map((e) => term(dheads(i, e), A.v(j, e), ...A.kept(i, j))));
    const row = (i) => equation(`Σⱼ dP·P [${i}]`, "",
      range(i + 1).map((j) => term(constant("dP", dP(i, j).number), A.P(i, j))));
    const dS = (i, j) => {
      const [P, sum] = [A.P(i, j), row(i)];
      return equation(`dS[${i}, ${j}]`, "P · (dP − Σⱼ dP·P) / √D", [
        term(P, constant(`dP[${i}, ${j}]`, dP(i, j).number), A.root), minus(P, constant(sum.name, sum.number), A.root),
      ]);
    };
    const pairs = part === 0 ? range(t + 1).map((j) => [t, j]) : range(T - t).map((i) => [i + t, t]);
    const terms = pairs.map(([i, j]) =>
      term(constant(`dS[${i}, ${j}]`, dS(i, j).number), part === 0 ? A.k(j, d) : A.q(i, d)));
    const [i, j] = pairs[terms.indexOf(largest(terms))];
    const rule = part === 0 ? `dq = Σⱼ dS[${t}, j] · k[j, ${d}]` : `dk = Σᵢ dS[i, ${t}] · q[i, ${d}]`;
    return [equation("", `${rule}   (head ${h})`, terms), dS(i, j), dP(i, j)];
  },

  cross_entropy(step, index) {
    const { call } = step;
    const { log_p, answers, counted } = call.saved;
    if (index.length !== 2) return null;
    const [i, v] = index;
    if (!counted.array.data[i]) return [equation("", "this target is ignored", [])];
    const one = step.dy.shape.length ? [i] : [];
    const rest = [ofGradient(step, one), over(ofNumber(call, "n"))];
    const p = constant(`p[${i}, ${v}]`, Math.exp(at(log_p.array, index)));
    const right = answers.array.data[i] === v;
    const terms = [term({ ...p, card: "s:log_p", cell: index }, ...rest)];
    if (right) terms.push(minus(constant("1", 1), ...rest));
    return [
      equation("", right ? "(p − 1) · dy / n: this is the right token" : "(p − 0) · dy / n: a wrong token", terms),
      equation(p.text, "e^log_p", [term(constant(`e^${bracketed(at(log_p.array, index))}`, p.number))]),
    ];
  },

  softmax(step, index) {
    const { call } = step;
    const axis = (call.saved.axis + index.length) % index.length;
    const p = (i) => ofValue(call.output, index.with(axis, i));
    const dy = (i) => ofGradient(step, index.with(axis, i));
    const sum = equation("Σ dy·p", "", range(call.output.array.shape[axis]).map((i) => term(dy(i), p(i))));
    const here = index[axis];
    return [equation("", "p · (dy − Σ dy·p)", [
      term(p(here), dy(here)), minus(p(here), constant(sum.name, sum.number)),
    ]), sum];
  },

  sum: (step, index) => [equation("", "dy", [term(ofGradient(step, spreadFrom(step.call, index)))])],

  mean(step, index) {
    const n = sizeOf(step.call.inputs[0].array.shape) / sizeOf(step.call.output.array.shape);
    return [equation("", "dy / N", [term(ofGradient(step, spreadFrom(step.call, index)), over(constant("N", n)))])];
  },
};

/** Into which cell of a reduction's output a cell of x went. */
function spreadFrom(call, index) {
  const { shape } = call.output.array;
  const goes = range(sizeOf(shape)).map((flat) => unravel(shape, flat));
  return goes.find((there) => reducedFrom(call, there).some((from) => String(from) === String(index)));
}

function binaryForward(call, index) {
  const [a, b] = call.inputs.map((x) => ofValue(x, broadcastIndex(x.array.shape, index)));
  return [equation("", "", BINARY[call.op](a, b))];
}

function binaryBackward(step, index) {
  const { call, wrt } = step;
  const shape = call.inputs[wrt].array.shape;
  const other = (i) => ofValue(call.inputs[1 - wrt], broadcastIndex(call.inputs[1 - wrt].array.shape, i));
  const y = (i) => ofValue(call.output, i);
  const make = {
    add: (dy) => term(dy),
    subtract: (dy) => (wrt ? minus(dy) : term(dy)),
    multiply: (dy, i) => term(dy, other(i)),
    divide: (dy, i) => (wrt ? minus(dy, y(i), over(ofValue(call.inputs[1], index))) : term(dy, over(other(i)))),
  }[call.op];
  const uses = repeats(shape, call.output.array.shape, index);
  const rule = uses.length > 1 ? `Σ over the ${uses.length} cells it was repeated to` : "";
  return [equation("", rule, uses.map((i) => make(ofGradient(step, i), i)))];
}

function unaryForward(call, index) {
  const [written, f] = UNARY[call.op];
  const x = ofValue(call.inputs[0], index);
  return [equation("", written(x.text), [term({ ...x, text: written(x.text), number: f(x.number) })])];
}

function unaryBackward(step, index) {
  const x = ofValue(step.call.inputs[0], index);
  const slope = UNARY[step.call.op][2](x, ofValue(step.call.output, index));
  return [equation("", "dy · slope", [term(ofGradient(step, index), ...slope)])];
}

function forwardOf(call, index) {
  if (call.op in TAKEN_FROM) {
    const from = TAKEN_FROM[call.op](call, index);
    return from && [equation("", "moved here from", [term(ofValue(call.inputs[0], from))])];
  }
  if (call.op in BINARY) return binaryForward(call, index);
  if (call.op in UNARY) return unaryForward(call, index);
  return FORWARD[call.op]?.(call, index) ?? null;
}

function backwardOf(step, index) {
  const { call } = step;
  if (call.op in TAKEN_FROM) {
    if (!TAKEN_FROM[call.op](call, call.output.array.shape.map(() => 0))) return null;
    const to = takenTo(call, index);
    const note = to.length ? "" : "It was not picked, so nothing arrives.";
    return [equation("", "moved back from", to.map((i) => term(ofGradient(step, i))), note)];
  }
  if (call.op in BINARY) return binaryBackward(step, index);
  if (call.op in UNARY) return unaryBackward(step, index);
  return BACKWARD[call.op]?.(step, index) ?? null;
}

// the steps that are no ops ------------------------------------------------------------------------------------------

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

/** The options of the optimizer, as far as they were recorded. */
function optionsOf(recording, step) {
  return { ...recording.meta.optimizer, ...step.numbers };
}

function updateOf(recording, step, index) {
  const { lr, betas, eps, weight_decay, step: t } = optionsOf(recording, step);
  const before = { ...ofValue(step.value, index), text: place("before", index), card: "before" };
  const cell = (name) => ({
    ...constant(place(name, index), at(step.numbers[name].array, index)), card: `n:${name}`, cell: index,
  });
  if (lr === undefined) return null;
  const rate = constant("lr", lr);
  if (step.numbers.velocity)
    return [equation("", "before − lr · velocity", [term(before), minus(rate, cell("velocity"))])];
  if (betas === undefined || eps === undefined || weight_decay === undefined) return null;
  const hat = (name, beta) => equation(`${name}̂`, `${name} / (1 − βᵗ), t = ${t}`, [
    term(cell(name), over(constant("(1 − βᵗ)", 1 - beta ** t))),
  ]);
  const [m, v] = [hat("m", betas[0]), hat("v", betas[1])];
  const root = constant("(√v̂ + ε)", Math.sqrt(v.number) + eps);
  const decay = weight_decay ? [minus(rate, constant("λ", weight_decay), before)] : [];
  return [
    equation("", "before − lr · λ · before − lr · m̂ / (√v̂ + ε)",
      [term(before), ...decay, minus(rate, constant("m̂", m.number), over(root))]),
    m, v,
  ];
}

/** How a cell of a step's result came about: first the cell itself, then what stands in it. @returns {Equation[]} */
function equations(recording, step, index) {
  const result = step.after ? at(step.after, index) : step.numbers.scale;
  const named = (list, name) => list && [{ ...list[0], name: list[0].name || name }, ...list.slice(1)];
  if (step.phase === "clip") return clipOf(step, recording.squares);
  if (step.phase === "seed") {
    return [{ name: gradientLabel(step.value.label), rule: "where the backward starts", number: result,
      terms: [term(constant("1", result))] }];
  }
  if (step.phase === "update") {
    return named(updateOf(recording, step, index), place(step.value.short, index)) ?? [];
  }
  if (step.phase !== "backward") {
    if (step.call) return named(forwardOf(step.call, index), place(step.value.label, index)) ?? [];
    const change = constant("change", result - step.before.data[0]);
    return [equation("loss after", "", [term(ofValue(step.value, index)), term(change)])];
  }
  const name = gradientLabel(step.value.short);
  const share = { ...constant("share", at(step.share, index)), card: "share", cell: index };
  const made = named(backwardOf(step, index), step.before ? "share" : place(name, index)) ?? [];
  if (!step.before) return made;
  const before = { ...constant("before", at(step.before, index)), card: "before", cell: index };
  return [equation(place(name, index), "before + share", [term(before), term(share)]), ...made];
}
