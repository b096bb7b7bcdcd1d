// @ts-check
// The losses: the mean, the sum or each of what every element lost.

ARITHMETIC.cross_entropy = {
  forward(call, index) {
    const { log_p, answers, counted } = call.saved;
    const [logits] = call.inputs;
    const each = call.options.reduction === "none";
    const rows = (each ? [rowOf(call, index)] : range(answers.array.data.length)).filter((i) => counted.array.data[i]);
    if (!rows.length) return [{ ...equation("", "no target counts", []), number: at(call.output.array, index) }];
    const n = each ? [] : [over(ofNumber(call, "n"))];
    const terms = rows.map((i) => minus(ofSaved(call, "log_p", [i, answers.array.data[i]]), ...n));
    const i = rows[Math.max(0, terms.indexOf(largest(terms)))];
    const answer = answers.array.data[i];
    const row = range(log_p.array.shape[1]).map((v) => at(logits.array, scoreIndex(call, i, v)));
    const top = Math.max(...row);
    const log_sum = top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
    return [
      equation("", each ? "−log_p of the target" : "−Σᵢ log_p[i, targetᵢ] / n", terms),
      equation(place("log_p", [i, answer]), "logit − log Σ e^logits", [
        term(ofValue(logits, scoreIndex(call, i, answer))), minus(constant("log Σ e^logits", log_sum)),
      ]),
    ];
  },

  backward(step, index) {
    const { call } = step;
    const { log_p, answers, counted, axis } = call.saved;
    const [i, v] = [rowOf(call, index.toSpliced(axis, 1)), index[axis]];
    if (!counted.array.data[i]) return [equation("", "", [], "This target is ignored, so nothing arrives.")];
    const dy = ofGradient(step, step.dy.shape.length ? index.toSpliced(axis, 1) : []);
    const rest = [dy, over(ofNumber(call, "n"))];
    const log = at(log_p.array, [i, v]);
    const p = { ...constant(`p[${i}, ${v}]`, Math.exp(log)), card: "s:log_p", cell: [i, v] };
    const right = answers.array.data[i] === v;
    const terms = right ? [term(p, ...rest), minus(constant("1", 1), ...rest)] : [term(p, ...rest)];
    return [
      equation("", right ? "(p − 1) · dy / n: this is the right token" : "(p − 0) · dy / n: a wrong token", terms),
      equation(p.text, "e^log_p", [term(constant(`e^${bracketed(log)}`, p.number))]),
    ];
  },
};

/** The row of scores, of all laid below each other, that a target's index belongs to. */
const rowOf = (call, index) => offset(call.inputs[1].array.shape, index);

/** Where among the logits the score of a class stands. */
const scoreIndex = (call, row, v) => unravel(call.inputs[1].array.shape, row).toSpliced(call.saved.axis, 0, v);

/** The cells that a cell of a loss by elements is made of: its own, or all. */
function cellsOfLoss(call, index) {
  const { shape } = call.inputs[0].array;
  return call.options.reduction === "none" ? [index] : allCells(shape);
}

/** dy and 1/n of one element. */
function upstreamOf(step, index) {
  return [ofGradient(step, step.call.output.array.shape.length ? index : []), over(ofNumber(step.call, "n"))];
}

ARITHMETIC.linear_cross_entropy = {
  forward(call) {
    const { log_p, answers, counted } = call.saved;
    const [x, weight] = call.inputs;
    const rows = range(answers.array.data.length).filter((i) => counted.array.data[i]);
    if (!rows.length) return [{ ...equation("", "no target counts", []), number: at(call.output.array, []) }];
    const n = over(ofNumber(call, "n"));
    const terms = rows.map((i) => minus(ofSaved(call, "log_p", [i, answers.array.data[i]]), n));
    const i = rows[Math.max(0, terms.indexOf(largest(terms)))];
    const answer = answers.array.data[i];
    const products = range(x.array.shape[1]).map((c) => term(ofValue(x, [i, c]), ofValue(weight, [answer, c])));
    const log_sum = total(products) - at(log_p.array, [i, answer]);
    return [
      equation("", "−Σᵢ log_p[i, targetᵢ] / n", terms),
      equation(place("log_p", [i, answer]), `${x.short}[${i}] · ${weight.short}[${answer}] − log Σ e^logits`, [
        ...products, minus(constant("log Σ e^logits", log_sum)),
      ]),
    ];
  },

  backward(step, index) {
    const { call, wrt } = step;
    const { log_p, answers, counted } = call.saved;
    const [N, V] = log_p.array.shape;
    const error = (i, v) => {
      const p = Math.exp(at(log_p.array, [i, v])) - Number(answers.array.data[i] === v);
      return { ...constant(`(p − onehot)[${i}, ${v}]`, counted.array.data[i] ? p : 0), card: "s:log_p", cell: [i, v] };
    };
    const rest = [ofGradient(step, []), over(ofNumber(call, "n"))];
    const other = call.inputs[1 - wrt];
    const [j, c] = index;
    const terms = wrt
      ? range(N).map((i) => term(error(i, j), ofValue(other, [i, c]), ...rest))
      : range(V).map((v) => term(error(j, v), ofValue(other, [v, c]), ...rest));
    return [equation("", wrt ? "(p − onehot)ᵀ @ x · dy / n" : "(p − onehot) @ weight · dy / n", terms)];
  },
};

ARITHMETIC.mse_loss = {
  forward(call, index) {
    const [x, target] = call.inputs;
    const n = over(ofNumber(call, "n"));
    const cells = cellsOfLoss(call, index);
    const difference = (i) => ofSaved(call, "difference", i);
    const first = difference(cells[0]);
    return [
      equation("", "Σ (x − target)² / n", cells.map((i) => term(difference(i), difference(i), n))),
      equation(first.text, "x − target", [term(ofValue(x, cells[0])), minus(ofValue(target, cells[0]))]),
    ];
  },

  backward(step, index) {
    const factors = [constant("2", 2), ofSaved(step.call, "difference", index), ...upstreamOf(step, index)];
    return [step.wrt ? equation("", "−2 (x − target) · dy / n", [minus(...factors)])
      : equation("", "2 (x − target) · dy / n", [term(...factors)])];
  },
};

ARITHMETIC.binary_cross_entropy = {
  forward(call, index) {
    const target = (i) => ofValue(call.inputs[1], i);
    const not = (i) => constant(`(1 − ${target(i).text})`, 1 - target(i).number);
    const n = over(ofNumber(call, "n"));
    return [equation("", "−Σ (target · log p + (1 − target) · log(1 − p)) / n", cellsOfLoss(call, index).flatMap((i) => [
      minus(target(i), ofSaved(call, "log_p", i), n), minus(not(i), ofSaved(call, "log_not_p", i), n),
    ]))];
  },

  backward(step, index) {
    const { call } = step;
    const rest = upstreamOf(step, index);
    if (step.wrt === 1) {
      const [log_not_p, log_p] = [ofSaved(call, "log_not_p", index), ofSaved(call, "log_p", index)];
      return [equation("", "(log(1 − p) − log p) · dy / n", [term(log_not_p, ...rest), minus(log_p, ...rest)])];
    }
    const [p, target] = call.inputs.map((x) => ofValue(x, index));
    const spread = over(constant("p (1 − p)", Math.max(p.number * (1 - p.number), 1e-12)));
    return [equation("", "(p − target) / (p (1 − p)) · dy / n", [
      term(p, spread, ...rest), minus(target, spread, ...rest),
    ])];
  },
};

ARITHMETIC.binary_cross_entropy_with_logits = {
  forward(call, index) {
    const n = over(ofNumber(call, "n"));
    const rule = "Σ (max(x, 0) − x · target + log(1 + e^−|x|)) / n";
    return [equation("", rule, cellsOfLoss(call, index).flatMap((i) => {
      const [x, target] = call.inputs.map((value) => ofValue(value, i));
      return [
        term({ ...x, text: `max(${x.text}, 0)`, number: Math.max(x.number, 0) }, n), minus(x, target, n),
        term(constant(`log(1 + e^−|${x.text}|)`, Math.log1p(Math.exp(-Math.abs(x.number)))), n),
      ];
    }))];
  },

  backward(step, index) {
    const [x, target] = step.call.inputs.map((value) => ofValue(value, index));
    const rest = upstreamOf(step, index);
    if (step.wrt === 1) return [equation("", "−x · dy / n", [minus(x, ...rest)])];
    const p = { ...x, text: `σ(${x.text})`, number: sigmoid(x.number) };
    return [equation("", "(σ(x) − target) · dy / n", [term(p, ...rest), minus(target, ...rest)])];
  },
};
