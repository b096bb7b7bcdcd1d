// @ts-check
// The panes of one step: what it receives and makes, the arithmetic of a cell, the formula, the checks, the source.

/** An element with attributes and children; texts are only ever set as text. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false)
      node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const byId = (id) => document.getElementById(id);

// titles -------------------------------------------------------------------------------------------------------------

function signatureOf(call) {
  return `${call.op}(${call.inputs.filter(Boolean).map((value) => value.short).join(", ")})`;
}

function titleOf(step) {
  const { call, value } = step;
  if (step.phase === "seed") return `${gradientLabel(value.label)} = 1`;
  if (step.phase === "backward") {
    return `${gradientLabel(value.short)} ${step.before ? "+=" : "="} share from ${call.op}`;
  }
  if (step.phase === "clip") return "clip the gradients";
  if (step.phase === "update") return `${value.short} takes a step`;
  return call ? `${value.label} = ${signatureOf(call)}` : "the loss after the step";
}

function subtitleOf(recording, step) {
  const { call, value } = step;
  const scope = call ? call.scope || recording.modules.get("") || "" : "";
  const kind = call?.scope ? ` (${recording.modules.get(call.scope) ?? "?"})` : "";
  if (step.phase === "backward") {
    const input = recording.json.ops[call.op].inputs[step.wrt] ?? "xs";
    return `${scope}${kind}${scope && " · "}backward of ${call.output.label} = ${call.op}(…) by ${input}`;
  }
  if (step.phase === "seed") return "the backward begins: how much does the loss move when the loss moves?";
  if (step.phase === "clip") return "all gradients together, as one long vector";
  if (step.phase === "update") return `${value.name} · the optimizer moves the parameter against its gradient`;
  return call ? `${scope}${kind}` : "the same tokens, the moved parameters";
}

// the heatmaps -------------------------------------------------------------------------------------------------------

/** Draws the cards of a step and keeps them, so that marks can be drawn over them. */
class CardsView {
  constructor(onCell, onPin) {
    this.onCell = onCell;
    this.onPin = onPin;
    this.shown = []; // {card, place, marks: canvas}
  }

  draw(cards, settings, hideResult) {
    this.shown = [];
    const rows = [byId("receives"), byId("makes")];
    const lists = hideResult ? [cards.receives] : [cards.receives, cards.makes];
    const width = byId("cards").clientWidth - 2;
    const fitted = isNarrow() ? lists.map((list) => fitNarrow(list, width)) : fitRows(lists, width, roomForCards());
    if (!isNarrow()) lists.forEach((list, i) => widened(list, fitted[i], width));
    rows.forEach((row, i) => {
      const list = lists[i] ?? [];
      const scale = settings.scale === "own" ? null : sharedScale(list);
      row.replaceChildren(...list.map((card, j) => this.cardElement(card, fitted[i][j], scale, settings)));
    });
  }

  cardElement(card, cell, scale, settings) {
    if (typeof card === "string") return element("span", { class: card.length > 1 ? "nothing" : "sign" }, card);
    const { stats } = card;
    const shared = card.shared && scale ? scale : stats.size;
    const logarithmic = settings.scale === "log";
    const content = isScalar(card) ? element("output", { class: "scalar" }, format(card.array.data[0], 6))
      : this.heatmap(card, placeOf(card, cell), { size: shared, logarithmic }, settings.colours);
    const odd = stats.nan + stats.infinite;
    const figure = element("figure", { class: `card${card.result ? " result" : ""}`, "data-card": card.key },
      element("figcaption", { title: `${card.title} ${tuple(card.array.shape)} ${card.note}` },
        element("b", {}, card.title), element("span", { class: "shape" }, ` ${tuple(card.array.shape)}`),
        card.note ? element("small", {}, ` ${card.note}`) : null),
      content,
      element("p", { class: "stats" }, card.range,
        odd ? element("span", { class: "odd" }, ` ${oddText(stats)}`) : null));
    figure.style.minWidth = `${card.least}px`;
    return figure;
  }

  heatmap(card, place, scale, colours) {
    const cells = element("canvas", { "aria-hidden": "true" });
    const marks = element("canvas", {
      class: "marks", role: "img", width: 0, tabindex: card.result ? "0" : null,
      "aria-label": `${card.title}, ${tuple(card.array.shape)}${card.result ? ": Enter pins, arrows move a cell" : ""}`,
    });
    drawCells(cells, card, place, scale, colours);
    marks.addEventListener("pointermove", (event) =>
      this.onCell(card, cellAt(card.array.shape, place, event.offsetX, event.offsetY)),
    );
    marks.addEventListener("pointerleave", () => this.onCell(null, null));
    marks.addEventListener("click", (event) => {
      const index = cellAt(card.array.shape, place, event.offsetX, event.offsetY);
      if (index && card.result) this.onPin(index);
    });
    this.shown.push({ card, place, marks });
    return element("div", { class: "heatmap" }, cells, marks);
  }

  /** Outline a cell of the result, the cells that went into it, and the row of a followed token. */
  mark(index, list, token, recording, colours) {
    const used = new Map();
    for (const { terms } of list) {
      for (const { factors } of terms) {
        for (const { card, cell } of factors) if (card && cell) used.set(card, [...(used.get(card) ?? []), cell]);
      }
    }
    for (const { card, place, marks } of this.shown) {
      const found = (used.get(card.key) ?? []).map((index) => ({ index, strong: false }));
      if (index && card.result && card.array.shape.length === index.length) found.push({ index, strong: true });
      const row = token === null ? null : tokenRow(card, place, token, recording);
      if (found.length || row !== null || marks.width) drawMarks(marks, card, place, found, row, colours);
    }
  }
}

/** The height that the two rows of cards may have: the arithmetic below keeps its least height. */
function roomForCards() {
  const style = getComputedStyle(document.querySelector("main"));
  const fixed = ["tour", "step-head", "receives-head", "makes-head", "chips", "question"].map(
    (id) => byId(id).offsetHeight,
  );
  const least = parseFloat(getComputedStyle(byId("cell")).minHeight);
  const around = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom) + 50;
  return document.querySelector("main").clientHeight - fixed.reduce((sum, x) => sum + x, 0) - least - around;
}

/** The row of a card that belongs to a followed token; null where the rows are no tokens. */
function tokenRow(card, place, token, recording) {
  const axis = card.axes.length - 2;
  if (axis < 0 || card.axes[axis] !== "token") return null;
  const T = recording.tokens.shape[1];
  return place.rows === T ? token % T : token;
}

function sharedScale(list) {
  const sizes = list.filter((card) => card.shared).map((card) => card.stats.size);
  return sizes.length ? Math.max(...sizes) : 0;
}

function oddText({ nan, infinite }) {
  return [nan ? `${nan} NaN` : "", infinite ? `${infinite} infinite` : ""].filter(Boolean).join(", ");
}

// the arithmetic -----------------------------------------------------------------------------------------------------

const FEW = 8;

/** A cell's equations as lines: name = rule = numbers = value. */
function arithmeticView(list, state, onFollow) {
  return list.map((line, i) => equationView(line, i === 0, state, onFollow));
}

function equationView({ name, rule, terms, number, note }, first, state, onFollow) {
  const best = largest(terms);
  const shown = state.all ? terms : terms.slice(0, FEW);
  const rest = terms.length - shown.length;
  const parts = shown.flatMap((term, i) => [
    signBefore(term, i),
    termView(term, term === best && terms.length > 1, onFollow),
  ]);
  if (rest) {
    parts.push(" + ", element("button", { type: "button", class: "more", onclick: state.showAll }, `… ${rest} more`));
  }
  return element("div", { class: first ? "equation first" : "equation" },
    element("span", { class: "lhs" }, name), rule ? element("span", { class: "rule" }, ` = ${rule}`) : null,
    element("span", { class: "terms" }, " = ", ...(terms.length ? parts : ["0"])),
    element("span", { class: "sum" }, " = ", element("b", {}, format(number))),
    note ? element("span", { class: "note" }, ` ${note}`) : null);
}

const signBefore = (term, i) => (term.sign < 0 ? (i ? " − " : "−") : i ? " + " : "");

function termView(term, best, onFollow) {
  const followed = term.factors.find((factor) => factor.value);
  const text = term.factors
    .map((factor, i) => (i ? (factor.divide ? " ÷ " : " · ") : factor.divide ? "1 ÷ " : "") + bracketed(factor.number))
    .join("");
  const names = term.factors.map((factor, i) => (i ? (factor.divide ? " ÷ " : " · ") : "") + factor.text).join("");
  const attributes = { class: best ? "term largest" : "term", title: names };
  if (!followed) return element("span", attributes, text);
  return element("button", { ...attributes, type: "button", onclick: () => onFollow(term) }, text);
}

// the right pane -----------------------------------------------------------------------------------------------------

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

// the source ---------------------------------------------------------------------------------------------------------

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
