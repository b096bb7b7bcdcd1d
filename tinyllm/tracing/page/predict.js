// @ts-check
// Predict, then see: the result is hidden until its shape, a sign or a value was guessed.

const CLOSE = 0.1; // a value counts as right within so much of it

class Predictions {
  constructor(recording, onChange) {
    this.recording = recording;
    this.onChange = onChange;
    this.on = false;
    this.seen = new Set();
    this.right = 0;
    this.asked = 0;
    this.hint = "";
    this.at = -1;
  }

  toggle() {
    this.on = !this.on;
    document.querySelector('[data-do="predict"]').setAttribute("aria-pressed", String(this.on));
    this.onChange();
  }

  /** Whether a step's result is hidden now. */
  asks(step) {
    return this.on && !this.seen.has(step.index) && Boolean(this.question(step));
  }

  /**
   * What is asked at a step: the same thing every time.
   * @returns {{kind: string, cell?: number[], answer: any} | null}
   */
  question(step) {
    if (!step.call || step.phase === "after") return null;
    const kinds = step.phase === "backward" ? ["sign", "value"] : ["shape", "sign", "value"];
    const kind = kinds[step.index % kinds.length];
    const result = step.share ?? step.after;
    if (kind === "shape") return { kind, answer: result.shape };
    const cell = this.cellOf(step, result);
    return cell && { kind, cell, answer: at(result, cell) };
  }

  /** A cell whose number is worth asking for and can be worked out. */
  cellOf(step, result) {
    const size = result.data.length;
    for (let i = 0; i < Math.min(size, 50); i++) {
      const flat = ((step.index + 1) * 7919 + i * 31) % size;
      const index = unravel(result.shape, flat);
      if (
        Number.isFinite(result.data[flat]) &&
        result.data[flat] !== 0 &&
        equations(this.recording, step, index).length
      )
        return index;
    }
    return null;
  }

  /** @param {Step} step */
  draw(step) {
    byId("score").hidden = !this.on;
    byId("score").textContent = `${this.right} of ${this.asked} predicted`;
    const box = byId("question");
    box.hidden = !this.asks(step);
    if (box.hidden) return box.replaceChildren();
    if (this.at !== step.index) [this.at, this.hint] = [step.index, ""];
    const question = this.question(step);
    const input = element("input", { name: "guess", autocomplete: "off", "aria-label": "your prediction" });
    const buttons = question.kind === "sign"
      ? ["positive", "negative"].map((sign) => element("button", { type: "submit", value: sign }, sign))
      : [input, element("button", { type: "submit" }, "check")];
    const form = element("form", { onsubmit: (event) => this.check(event, step, question, input) }, ...buttons,
      element("button", { type: "button", onclick: () => this.reveal(step, false) }, "show me"));
    box.replaceChildren(element("p", {}, questionText(step, question)), form,
      element("p", { class: "hint", role: "status" }, this.hint));
  }

  check(event, step, question, input) {
    event.preventDefault();
    const guess = question.kind === "sign" ? event.submitter?.value ?? "" : input.value;
    if (isRight(question, guess)) return this.reveal(step, true);
    this.hint = hintFor(this.recording, step, question);
    this.draw(step);
    /** @type {HTMLElement | null} */ (byId("question").querySelector("input, button")).focus();
  }

  reveal(step, right) {
    this.asked++;
    if (right) this.right++;
    this.seen.add(step.index);
    this.onChange();
    const { cell } = this.question(step);
    if (cell) pin(cell);
    say(right ? "right" : "shown");
  }
}

function questionText(step, question) {
  const { kind, cell } = question;
  const name = step.phase === "backward" ? `this share of ${gradientLabel(step.value.short)}` : step.value.label;
  if (kind === "shape") return `Which shape will ${name} have? Write it as 1, 16, 48.`;
  const there = place(name, cell);
  return kind === "sign"
    ? `Will ${there} be positive or negative?`
    : `Which value will ${there} have? 10 % off counts as right.`;
}

function isRight({ kind, answer }, guess) {
  if (kind === "shape") return String(guess.match(/\d+/g) ?? "") === String(answer);
  if (kind === "sign") return guess === (answer > 0 ? "positive" : "negative");
  const number = Number(guess.trim().replace("−", "-").replace(",", "."));
  return guess.trim() !== "" && Math.abs(number - answer) <= CLOSE * Math.abs(answer);
}

/** The way to the answer without the answer: the rule for a shape, the terms of a sum. */
function hintFor(recording, step, { kind, cell }) {
  if (kind === "shape") return `Not quite. The rule is ${recording.json.ops[step.call.op].shapes.replace("->", "→")}`;
  const list = equations(recording, step, cell);
  const { terms, rule } = step.before ? list[1] : list[0];
  if (kind === "sign") {
    const factors = largest(terms).factors.map(({ number }) => bracketed(number)).join(" · ");
    return `Not quite. The largest of its ${terms.length} terms is made of ${factors}.`;
  }
  const written = terms.map((term, i) => signBefore(term, i) + term.factors
    .map(({ number, divide }, j) => (j ? (divide ? " ÷ " : " · ") : "") + bracketed(number)).join(""));
  return `Not quite. ${rule ? `${rule} = ` : ""}${written.slice(0, 16).join("")}${written.length > 16 ? " + …" : ""}`;
}
