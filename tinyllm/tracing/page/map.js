// @ts-check
// The map of the model: scopes, the ops in them, the parameters they use; what has run, which gradients have arrived.

/** @typedef {{kind: "scope"|"op"|"parameter", depth: number, path: string[], label: string, scope?: string,
 *   call?: Call, value?: Value, button?: HTMLElement}} Row */

const ROW = 22;
const GUTTER = 34;

class MapView {
  constructor(recording, onStep) {
    this.recording = recording;
    this.onStep = onStep;
    this.folded = new Map(); // scope: what the reader chose
    /** @type {Row[]} */
    this.rows = rowsOfMap(recording);
    this.list = byId("map");
    this.edges = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.edges.setAttribute("aria-hidden", "true");
    for (const row of this.rows) row.button = this.buttonOf(row);
    this.rowOf = new Map(this.rows.filter((row) => row.kind !== "scope").map((row) =>
      [row.kind === "op" ? row.call : row.value, row]));
    this.list.replaceChildren(this.edges, ...this.rows.map((row) => row.button));
  }

  buttonOf(row) {
    const button = element("button", { type: "button", class: `row ${row.kind}`, onclick: () => this.press(row) },
      element("span", { class: "dot" }), element("span", { class: "name" }, row.label),
      element("span", { class: "count" }));
    button.style.paddingLeft = `${GUTTER + row.depth * 10}px`;
    if (row.kind === "parameter")
      button.title = `${row.value.name} ${tuple(row.value.array.shape)}, used ${row.value.users.length}×`;
    return button;
  }

  press(row) {
    if (row.kind === "scope") {
      this.folded.set(row.scope, !this.isFolded(row.scope));
      this.draw(this.step);
    } else {
      const backward = this.step.phase === "backward" || this.step.phase === "update";
      const write = row.kind === "op" && !backward ? this.recording.steps[row.call.step]
        : this.recording.gradientStep(row.value, Infinity);
      if (write) this.onStep(write.index);
    }
  }

  /** Blocks are folded where the step is not, unless the reader said otherwise. */
  isFolded(scope) {
    const here = this.step?.call?.scope ?? "";
    const inside = here === scope || here.startsWith(`${scope}.`);
    return this.folded.get(scope) ?? !inside;
  }

  draw(step) {
    this.step = step;
    const { recording } = this;
    const used = step.call ? new Set([...step.call.inputs, step.call.output]) : new Set([step.value]);
    this.visible = this.rows.filter((row) => !row.path.some((scope) => this.isFolded(scope)));
    this.place = new Map(this.visible.map((row, i) => [row, i]));
    for (const row of this.rows) {
      row.button.hidden = !this.place.has(row);
      const { ran, got, of } = progressOf(recording, row, step.index);
      const whole = of > 0 && got === of;
      row.button.querySelector(".count").textContent = of > 1 && got ? `${got}/${of}` : "";
      const current = row.kind === "op" ? row.call === step.call : row.kind === "parameter" && row.value === step.value;
      const isUsed = row.kind === "parameter" && used.has(row.value);
      const holds = row.kind === "scope" && this.isFolded(row.scope) && inScope(step.call?.scope ?? "", row.scope);
      const states = { ran, got, whole, used: isUsed, holds };
      row.button.className = ["row", row.kind, ...Object.keys(states).filter((name) => states[name])].join(" ");
      row.button.setAttribute("aria-current", current ? "step" : "false");
      if (row.kind === "scope") row.button.setAttribute("aria-expanded", String(!this.isFolded(row.scope)));
    }
    this.drawEdges(used);
    this.list.querySelector("[aria-current=step]")?.scrollIntoView({ block: "nearest" });
  }

  /** The place of an op or parameter on the map: its own row, or that of the folded scope around it. */
  placeOf(thing) {
    const row = this.rowOf.get(thing);
    if (!row) return -1;
    if (this.place.has(row)) return this.place.get(row);
    const scope = row.path.find((path) => this.isFolded(path));
    return this.visible.findIndex((other) => other.kind === "scope" && other.scope === scope);
  }

  /** Bows from where a value is made to where it is used, where that is not the next op. */
  drawEdges(used) {
    const paths = [];
    for (const value of this.recording.values) {
      const from = this.placeOf(value.maker ?? value);
      const users = value.role === "parameter" ? value.users.slice(1) : value.users;
      for (const user of users) {
        const to = this.placeOf(user);
        const adjacent = value.role !== "parameter" && this.recording.calls[user.id - 1] === value.maker;
        if (from < 0 || to < 0 || to === from || adjacent) continue;
        paths.push(edge(from, to, used.has(value) && (user === this.step.call || value === this.step.value)));
      }
    }
    this.edges.style.width = `${GUTTER}px`;
    this.edges.style.height = `${this.visible.length * ROW}px`;
    this.edges.replaceChildren(...paths);
  }
}

function edge(from, to, live) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const [y0, y1] = [from * ROW + ROW / 2, to * ROW + ROW / 2];
  const bow = GUTTER - 6 - Math.min(24, 8 + 2 * Math.abs(to - from));
  path.setAttribute("d", `M ${GUTTER - 2} ${y0} C ${bow} ${y0} ${bow} ${y1} ${GUTTER - 2} ${y1}`);
  path.setAttribute("class", live ? "edge live" : "edge");
  return path;
}

/** Whether a row's op has run, and how many shares of its gradient have arrived of how many. */
function progressOf(recording, row, index) {
  if (row.kind === "scope") {
    const calls = recording.calls.filter((call) => inScope(call.scope, row.scope));
    const got = calls.some((call) => recording.gradientStep(call.output, index)) ? 1 : 0;
    return { ran: calls.some((call) => call.step <= index), got, of: 1 };
  }
  const steps = recording.written.get(row.value) ?? [];
  const seeded = !steps.length && recording.gradientStep(row.value, index) ? 1 : 0;
  const got = steps.filter((step) => step.index <= index).length + seeded;
  const ran = row.kind === "parameter" || row.call.step <= index;
  return { ran, got, of: Math.max(steps.length, seeded) };
}

const inScope = (scope, outer) => scope === outer || scope.startsWith(`${outer}.`);

/** All rows, scopes around their ops; a module with a single op is no scope of its own. */
function rowsOfMap(recording) {
  /** @type {Row[]} */
  const rows = [];
  const placed = new Set();
  let open = [];
  for (const call of recording.calls) {
    const chain = scopesOf(recording, call);
    const common = chain.findIndex((scope, i) => scope !== open[i]);
    for (const scope of common < 0 ? [] : chain.slice(common)) {
      const path = chain.slice(0, chain.indexOf(scope));
      rows.push({
        kind: "scope",
        depth: path.length,
        path,
        scope,
        label: `${scope
          .split(".")
          .slice(path.length ? -1 : -2)
          .join(".")}`,
      });
    }
    open = chain;
    const row = { depth: chain.length, path: chain, call };
    rows.push({ ...row, kind: "op", value: call.output, label: `${call.output.label} = ${call.op}` });
    for (const value of call.inputs) {
      if (value?.role !== "parameter" || placed.has(value)) continue;
      placed.add(value);
      rows.push({ ...row, kind: "parameter", depth: row.depth + 1, value, label: value.short });
    }
  }
  return rows;
}

function scopesOf(recording, call) {
  const parts = call.scope ? call.scope.split(".") : [];
  return parts.map((_, i) => parts.slice(0, i + 1).join("."))
    .filter((scope) => recording.modules.get(scope) !== "ModuleList")
    .filter((scope) => recording.calls.filter((other) => inScope(other.scope, scope)).length > 1);
}
