// @ts-check
// The middle of a step: what it receives and makes, and the arithmetic of a cell.

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
