// @ts-check
// Causal attention, one head of one sequence at a time.

ARITHMETIC.causal_attention = {
  forward(call, [b, t, c]) {
    const A = attentionOf(call, b, Math.floor(c / sizesOf(call).D));
    const d = c % A.D;
    const terms = range(t + 1).map((j) => term(...A.W(t, j), A.v(j, d)));
    const j = Math.max(0, terms.indexOf(largest(terms)));
    const scores = range(t + 1).map((k) => total(A.score(t, k)));
    const top = Math.max(...scores);
    const sum = equation("Σ", "Σⱼ e^(Sⱼ − max S)", scores.map((score) =>
      term(constant(`e^(${format(score)} − ${bracketed(top)})`, Math.exp(score - top)))));
    const masked = A.T - t - 1;
    const note = masked ? `The mask makes the other ${masked} weights, those of the future, exactly 0.` : "";
    return [
      equation("", `Σⱼ P[${t}, j] · v[j, ${d}]   (head ${A.h})`, terms, note),
      equation(A.P(t, j).text, "e^(S − max S) / Σ", [term(...sum.terms[j].factors, over(result(sum)))]),
      sum,
      equation(`S[${t}, ${j}]`, "q · k / √D", A.score(t, j)),
    ];
  },

  backward(step, [b, t, c]) {
    const { H, D, T } = sizesOf(step.call);
    const part = ["q", "k", "v"][Math.floor(c / (H * D))];
    const [h, d] = [Math.floor(c / D) % H, c % D];
    const A = attentionOf(step.call, b, h);
    const dheads = (i, e) => ofGradient(step, [b, i, h * D + e]);
    const later = range(T - t).map((i) => i + t); // the queries that see position t
    if (part === "v") {
      const terms = later.map((i) => term(...A.W(i, t), dheads(i, d)));
      return [equation("", `dv = Σᵢ P[i, ${t}] · dy[i, ${h * D + d}]   (head ${h})`, terms)];
    }
    const dP = (i, j) => equation(`dP[${i}, ${j}]`, "Σ dy · v",
      range(D).map((e) => term(dheads(i, e), A.v(j, e), ...A.kept(i, j))));
    const row = (i) => equation(`Σⱼ dP·P [${i}]`, "",
      range(i + 1).map((j) => term(result(dP(i, j)), A.P(i, j))));
    const dS = (i, j) => equation(`dS[${i}, ${j}]`, "P · (dP − Σⱼ dP·P) / √D", [
      term(A.P(i, j), result(dP(i, j)), A.root), minus(A.P(i, j), result(rowSums[i]), A.root),
    ]);
    const pairs = part === "q" ? range(t + 1).map((j) => [t, j]) : later.map((i) => [i, t]);
    const rowSums = Object.fromEntries([...new Set(pairs.map(([i]) => i))].map((i) => [i, row(i)]));
    const terms = pairs.map(([i, j]) => term(result(dS(i, j)), part === "q" ? A.k(j, d) : A.q(i, d)));
    const [i, j] = pairs[Math.max(0, terms.indexOf(largest(terms)))];
    const rule = part === "q" ? `dq = Σⱼ dS[${t}, j] · k[j, ${d}]` : `dk = Σᵢ dS[i, ${t}] · q[i, ${d}]`;
    return [equation("", `${rule}   (head ${h})`, terms), dS(i, j), dP(i, j), rowSums[i]];
  },
};

function sizesOf(call) {
  const [B, H, T, D] = call.saved.q.array.shape;
  return { B, H, T, D };
}

/** The parts of one head of one sequence: factors by position and channel. */
function attentionOf(call, b, h) {
  const { T, D, H } = sizesOf(call);
  const [qkv, keep] = call.inputs;
  const part = (name, number) => (t, d) =>
    ofSaved(call, name, [b, h, t, d], { value: qkv, index: [b, t, (number * H + h) * D + d] });
  const [q, k, v] = [part("q", 0), part("k", 1), part("v", 2)];
  const root = over(constant("√D", Math.sqrt(D)));
  const P = (t, j) => ofSaved(call, "P", [b, h, t, j]);
  const kept = (t, j) => (keep ? [ofValue(keep, [b, h, t, j]), shareKept(call)] : []);
  const W = (t, j) => [P(t, j), ...kept(t, j)];
  const score = (t, j) => range(D).map((d) => term(q(t, d), k(j, d), root));
  return { T, D, h, q, k, v, P, W, kept, score, root };
}
