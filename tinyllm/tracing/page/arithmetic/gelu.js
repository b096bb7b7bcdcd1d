// @ts-check
// GELU, in GPT-2's form and in the exact one.

const ROOT = constant("√(2/π)", Math.sqrt(2 / Math.PI));
const CUBE = constant("0.044715", 0.044715);

ARITHMETIC.gelu_tanh = {
  forward(call, index) {
    const [x, s] = [ofValue(call.inputs[0], index), ofSaved(call, "s", index)];
    const u = equation("u", "√(2/π) (x + 0.044715 x³)", [term(ROOT, x), term(ROOT, CUBE, x, x, x)]);
    const half = constant("½", 0.5);
    return [
      equation("", "x · s", [term(x, s)]),
      equation(s.text, "½ + ½ tanh u", [term(half), term(half, constant("tanh u", Math.tanh(u.number)))]),
      u,
    ];
  },

  backward(step, index) {
    const [x, s, dy] = [ofValue(step.call.inputs[0], index), ofSaved(step.call, "s", index), ofGradient(step, index)];
    const u = equation("u′", "√(2/π) (1 + 3 · 0.044715 x²)", [term(ROOT), term(ROOT, constant("3", 3), CUBE, x, x)]);
    const slope = equation("s′", "2 s (1 − s) u′", [
      term(constant("2", 2), s, constant("(1 − s)", 1 - s.number), result(u)),
    ]);
    return [equation("", "dy · (s + x · s′)", [term(dy, s), term(dy, x, result(slope))]), slope, u];
  },
};

ARITHMETIC.gelu_erf = {
  forward(call, index) {
    const [x, cdf] = [ofValue(call.inputs[0], index), ofSaved(call, "cdf", index)];
    return [equation("", "x · Φ(x)", [term(x, cdf)], "Φ(x) is the share of a standard normal that lies below x.")];
  },

  backward(step, index) {
    const [x, cdf] = [ofValue(step.call.inputs[0], index), ofSaved(step.call, "cdf", index)];
    const pdf = constant("φ(x)", Math.exp(-0.5 * x.number ** 2) / Math.sqrt(2 * Math.PI));
    const dy = ofGradient(step, index);
    return [equation("", "dy · (Φ(x) + x φ(x))", [term(dy, cdf), term(dy, x, pdf)])];
  },
};
