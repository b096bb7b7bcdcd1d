// @ts-check
// The right pane of a step: its formula, its checks, its source.

/** @type {Map<string, Element>} */
const PARSED = new Map(); // MathML text: its element

/** The MathML of a formula with real names in its slots. */
function formulaView(mathml, names) {
  if (!PARSED.has(mathml)) PARSED.set(mathml, new DOMParser().parseFromString(mathml, "text/xml").documentElement);
  const math = document.importNode(PARSED.get(mathml), true);
  for (const slot of math.querySelectorAll("mtext")) {
    const name = /^‹(\w+)›$/.exec(slot.textContent.trim());
    if (name) slot.textContent = names[name[1]] ?? name[1];
  }
  return math;
}

/** The names for the slots of a step's formula. */
function slotNames(recording, step) {
  const { call, value } = step;
  if (!call) return { y: value?.short, dy: value && gradientLabel(value.short) };
  const { inputs } = recording.json.ops[call.op];
  const names = { y: call.output.short, dy: gradientLabel(call.output.short) };
  call.inputs.forEach((input, i) => {
    if (!input || !inputs[i]) return;
    names[inputs[i]] = input.short;
    names[`d${inputs[i]}`] = gradientLabel(input.short);
  });
  if (inputs[0].endsWith("[…]")) {
    names.xs = call.inputs.map((input) => input.short).join(", ");
    names.dx = gradientLabel((value ?? call.output).short);
  }
  return names;
}

/** What is said of calls of the same op with the same arrays given. */
function kindOf(recording, call) {
  const { kinds, of_call } = recording.json.formulas;
  return kinds[of_call[call.id]];
}

function explanationOf(recording, step) {
  const { formulas, ops } = recording.json;
  if (!step.call) return formulas.others[step.phase];
  const kind = kindOf(recording, step.call);
  if (step.phase !== "backward") return kind.forward;
  return kind.backward[ops[step.call.op].inputs[step.wrt]] ?? kind.backward.xs;
}

function drawFormula(recording, step) {
  const { formula, why } = explanationOf(recording, step);
  const box = element("div", { class: "math" }, formulaView(formula, slotNames(recording, step)));
  byId("formula").replaceChildren(box, why ? element("p", {}, why) : "");
  const math = box.firstElementChild;
  const [room, width] = [box.clientWidth, math.getBoundingClientRect().width];
  if (width > room) box.style.fontSize = `${Math.max(0.62, room / width) * 100}%`;
}

/** "I = 16, O = 48" from the op's shape line and what came and went. */
function sizesNamed(line, arrays) {
  const found = new Map();
  for (const [, name, inside] of line.replace("->", "").matchAll(/(\w+) \(([^)]*)\)/g)) {
    const sizes = inside.split(",").map((part) => part.trim()).filter(Boolean);
    const shape = arrays[name];
    if (!shape) continue;
    sizes.reverse().some((size, i) => {
      if (size === "..." || size === "…") return true;
      const n = shape.at(-1 - i);
      if (/^[A-Z]$/.test(size) && n !== undefined) found.set(size, n);
      return false;
    });
  }
  return [...found].map(([name, n]) => `${name} = ${n}`).join(", ");
}

function drawShapes(recording, step, hideSizes) {
  const box = byId("shapes");
  box.hidden = !step.call;
  if (!step.call) return box.replaceChildren();
  const op = recording.json.ops[step.call.op];
  const arrays = Object.fromEntries(op.inputs.map((name, i) => [name, step.call.inputs[i]?.array.shape]));
  const output = /->\s+(\w+)/.exec(op.shapes)?.[1] ?? "y";
  const sizes = sizesNamed(op.shapes, { ...arrays, [output]: step.call.output.array.shape });
  box.replaceChildren(element("code", {}, op.shapes.replace("->", "→")), hideSizes ? "" : element("span", {}, sizes));
}

function checkLine(ok, name, text) {
  const icon = ok === null ? "–" : ok ? "✓" : "✗";
  const word = ok === null ? "not checked" : ok ? "right" : "wrong";
  return element(
    "li",
    { class: ok === null ? "unchecked" : ok ? "right" : "wrong" },
    element("span", { class: "icon", role: "img", "aria-label": word }, icon),
    element("b", {}, name),
    element("span", {}, text),
  );
}

function comparison(check, theirs) {
  if (!check) return "not finite, or not to be had here";
  const entries =
    check.entries === check.of ? `all ${check.of} entries` : `${check.entries} of ${check.of} entries`;
  const text = `largest difference ${format(check.error, 2)} of the largest entry, ${entries}`;
  return check.ok ? text : `${text}; at [${check.worst}] ${theirs} ${format(check.theirs)}, ours ${format(check.ours)}`;
}

function drawChecks(recording, step, hidden) {
  const box = byId("checks");
  byId("checks-pane").hidden = hidden;
  if (hidden) return box.replaceChildren();
  const { differences, torch } = recording.json.checks[step.index] ?? {};
  const sum = step.exact === null ? "recorded in another precision: not compared bit by bit"
    : step.exact ? "the page's own float32 sum has the engine's bits" : "differs from the engine's sum";
  box.replaceChildren(
    checkLine(differences?.ok ?? null, "finite differences", comparison(differences, "they give")),
    checkLine(torch?.ok ?? null, "torch", torch ? comparison(torch, "torch") : "not installed, or has no such op"),
    checkLine(step.exact, "before + share = after", sum));
}

const PYTHON = new RegExp(
  /(?<comment>#[^\n]*)|(?<string>"""[^]*?"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')/.source +
    /|(?<keyword>\b(?:def|return|if|else|elif|for|in|is|not|and|or|None|True|False|raise|with|import|from|lambda)\b)/
      .source +
    /|(?<digits>\b\d[\d.e]*\b)/.source,
  "g",
);

/** Python text as spans of comment, string, keyword and number, line by line. */
function highlighted(text) {
  const lines = [[]];
  const add = (kind, piece) => piece.split("\n").forEach((part, i) => {
    if (i) lines.push([]);
    if (part) lines.at(-1).push(kind ? element("span", { class: kind }, part) : part);
  });
  let end = 0;
  for (const match of text.matchAll(PYTHON)) {
    add("", text.slice(end, match.index));
    add(Object.keys(match.groups).find((name) => match.groups[name] !== undefined), match[0]);
    end = match.index + match[0].length;
  }
  add("", text.slice(end));
  return lines;
}

/** The function that made the step's result, and the first and last line that did. */
function sourceOf(recording, step) {
  const { ops, functions } = recording.json;
  if (!step.call) {
    const source = functions[step.phase];
    return source && { source, hot: source.results[step.phase === "clip" ? 2 : 0] };
  }
  const op = ops[step.call.op];
  if (step.phase !== "backward") return { source: op.forward, hot: kindOf(recording, step.call).lines };
  return { source: op.backward, hot: op.backward.results[Math.min(step.wrt, op.backward.results.length - 1)] };
}

function drawSource(recording, step) {
  const found = sourceOf(recording, step);
  byId("source-pane").hidden = !found;
  for (const id of ["source", "callers", "source-name"]) byId(id).replaceChildren();
  if (!found) return;
  const { source, hot } = found;
  const text = recording.sources[source.file].text.split("\n").slice(source.first - 1, source.last).join("\n");
  const lines = highlighted(text).map((pieces, i) => {
    const number = source.first + i;
    const lit = hot && number >= hot[0] && number <= hot[1];
    return element("span", { class: lit ? "line lit" : "line", "data-line": number },
      element("span", { class: "number" }, String(number)), ...pieces, "\n");
  });
  drawCallers(recording, step);
  byId("source-name").textContent = `${source.file}:${hot ? hot[0] : source.first}`;
  const code = byId("source");
  code.replaceChildren(...lines);
  const lit = /** @type {HTMLElement | null} */ (code.querySelector(".lit"));
  code.scrollTop = lit ? Math.max(0, lit.offsetTop - code.offsetTop - code.clientHeight / 2) : 0;
}

/** The lines of the model that led here, the innermost first. */
function drawCallers(recording, step) {
  const places = (step.call?.places ?? []).filter((place) => !place.file.endsWith("nn/module.py"));
  byId("callers").replaceChildren(
    ...places.map((place) => {
      const line = recording.sources[place.file].text.split("\n")[place.line - 1].trim();
      return element(
        "li",
        { title: `${place.file}:${place.line} ${line}` },
        element("span", { class: "where" }, `${place.file.replace("tinyllm/", "")}:${place.line}`),
        element("code", {}, line),
      );
    }),
  );
  byId("callers-head").hidden = !places.length;
}
