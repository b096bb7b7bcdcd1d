// @ts-check
// The recording: its arrays decoded, its gradients added up, its values given names that are unique.

/**
 * @typedef {{shape: number[], data: Float32Array | Int32Array | Uint8Array}} NdArray
 * @typedef {{id: number, name: string, label: string, short: string, role: string, scope: string, gradient: boolean,
 *   array: NdArray, maker: Call | null, users: Call[], axes: string[]}} Value
 * @typedef {{id: number, op: string, scope: string, inputs: (Value | null)[], options: any, output: Value,
 *   saved: Object<string, any>, places: any[], step: number, axes: string[]}} Call
 * @typedef {{index: number, phase: string, call?: Call, value?: Value, wrt?: number, nth?: number, of?: number,
 *   before?: NdArray | null, dy?: NdArray, share?: NdArray, after?: NdArray, exact?: boolean | null,
 *   numbers?: any}} Step
 */

const TYPES = { f4: Float32Array, i4: Int32Array, b1: Uint8Array };

/** An array from its base64 form. @returns {NdArray} */
function decode(packed) {
  const text = atob(packed.data);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  return { shape: packed.shape, data: new TYPES[packed.dtype](bytes.buffer) };
}

const scalar = (number) => ({ shape: [], data: Float32Array.of(number) });
const vector = (numbers) => ({ shape: [numbers.length], data: Float32Array.from(numbers) });
const sizeOf = (shape) => shape.reduce((product, n) => product * n, 1);

/** The place of an index in the flat data. */
function offset(shape, index) {
  return shape.reduce((sum, n, axis) => sum * n + index[axis], 0);
}

/** The index of a place in the flat data. */
function unravel(shape, flat) {
  const index = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = flat % shape[axis];
    flat = Math.floor(flat / shape[axis]);
  }
  return index;
}

const at = (array, index) => array.data[offset(array.shape, index)];

/** Where an array is farthest from 0. */
function largestCell(array) {
  let best = 0;
  array.data.forEach((x, i) => {
    if (Math.abs(x) > Math.abs(array.data[best])) best = i;
  });
  return unravel(array.shape, best);
}

/** before + share as float32 adds them. @returns {NdArray} */
function added(before, share) {
  const data = Float32Array.from(share.data, (x, i) => Math.fround(before.data[i] + x));
  return { shape: share.shape, data };
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** The CRC-32 of an array's bytes. */
function checksum(array) {
  let crc = -1;
  for (const byte of new Uint8Array(array.data.buffer)) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}

class Recording {
  constructor(json) {
    this.json = json;
    this.meta = json.meta;
    this.sources = json.sources;
    this.modules = new Map(json.modules.map((module) => [module.path, module.kind]));
    /** @type {Value[]} */
    this.values = json.values.map((value) => ({ ...value, array: decode(value.array), maker: null, users: [] }));
    /** @type {Call[]} */
    this.calls = json.calls.map((call) => this.call(call));
    this.nameValues();
    /** @type {Step[]} */
    this.steps = json.steps.map((step, index) => this.step(step, index));
    this.addGradients();
    this.findPhases();
    this.tokens = this.readTokens();
    nameAxes(this);
  }

  call(json) {
    const inputs = json.inputs.map((id) => (id === null ? null : this.values[id]));
    const saved = Object.fromEntries(Object.entries(json.saved).map(([name, x]) => [name, this.plain(x)]));
    const call = { ...json, inputs, output: this.values[json.output], saved, step: -1 };
    call.output.maker = call;
    for (const value of new Set(inputs)) value?.users.push(call);
    return call;
  }

  /** What an op saved or was given: a value, an array, or as it is. */
  plain(x) {
    if (x?.array) return { array: decode(x.array) };
    if (x && typeof x === "object" && "value" in x) return this.values[x.value];
    return x;
  }

  step(json, index) {
    const step = { ...json, index, call: this.calls[json.call], value: this.values[json.value] };
    if (json.phase === "forward") step.call.step = index;
    if (json.share) step.share = decode(json.share);
    if (json.after) step.after = decode(json.after);
    if (json.phase === "update") step.before = step.value.array;
    step.numbers = Object.fromEntries(Object.entries(json.numbers ?? {}).map(([name, x]) => [name, this.plain(x)]));
    return step;
  }

  /** x, x₁, x₂ … where several values have one name; parameters have paths, which are unique. */
  nameValues() {
    const many = new Map();
    for (const { name, role } of this.values) if (role !== "parameter") many.set(name, (many.get(name) ?? 0) + 1);
    const seen = new Map();
    for (const value of this.values) {
      const { name } = value;
      seen.set(name, (seen.get(name) ?? 0) + 1);
      const numbered = value.role !== "parameter" && many.get(name) > 1;
      value.label = numbered ? name + subscript(seen.get(name)) : name;
      value.short = value.role === "parameter" ? name.split(".").slice(-2).join(".") : value.label;
    }
  }

  /** before and after of every gradient, and whether they are the engine's own bits. */
  addGradients() {
    const sums = new Map();
    for (const step of this.steps) {
      if (step.phase === "seed") sums.clear();
      if (step.phase === "seed") sums.set(step.value, step.after);
      if (step.phase !== "backward") continue;
      step.before = sums.get(step.value) ?? null;
      step.after = step.before ? added(step.before, step.share) : step.share;
      step.exact = "checksum" in step ? checksum(step.after) === step.checksum : null;
      step.dy = sums.get(step.call.output);
      sums.set(step.value, step.after);
    }
    this.gradients = sums;
    this.clipGradients();
  }

  /** What the optimizer used: every parameter's gradient, scaled by the clip where there was one. */
  clipGradients() {
    const leaves = [...this.gradients].filter(([value]) => value.role === "parameter");
    this.scale = this.steps.find((step) => step.phase === "clip")?.numbers.scale ?? 1;
    this.squares = leaves.map(([value, gradient]) => ({
      value,
      number: gradient.data.reduce((sum, x) => sum + x * x, 0),
    }));
    this.usedGradients = new Map(
      leaves.map(([value, { shape, data }]) => [value, { shape, data: data.map((x) => Math.fround(x * this.scale)) }]),
    );
  }

  findPhases() {
    this.seeds = new Map(this.steps.filter((step) => step.phase === "seed").map((step) => [step.value, step]));
    let updated = false;
    for (const step of this.steps) {
      updated ||= step.phase === "update";
      if (step.phase !== "forward") continue;
      if (updated) step.phase = "after";
      else if (this.seeds.has(step.call.output)) step.phase = "loss";
      step.value = step.call.output;
      step.after = step.value.array;
    }
    this.loss = [...this.seeds.keys()].at(-1) ?? null;
    if (this.loss && Number.isFinite(this.meta.loss_after)) {
      const [index, after] = [this.steps.length, scalar(this.meta.loss_after)];
      this.steps.push({ index, phase: "after", value: this.loss, before: this.loss.array, after });
    }
    this.written = new Map(); // value: the backward steps that add to its gradient
    for (const step of this.steps.filter((step) => step.phase === "backward")) {
      if (!this.written.has(step.value)) this.written.set(step.value, []);
      this.written.get(step.value).push(step);
    }
  }

  /** Ids and texts of the tokens and targets of every position, row after row; `named` is the token of an id. */
  readTokens() {
    const { text } = this.json;
    const ids = this.calls.find((call) => call.op === "embedding")?.inputs[0].array;
    const answers = this.calls.find((call) => call.op === "cross_entropy")?.saved.answers.array;
    const texts = new Map(Object.entries(text?.vocab ?? {}).map(([id, text]) => [Number(id), text]));
    ids?.data.forEach((id, i) => texts.set(id, text?.tokens[i] ?? texts.get(id) ?? `${id}`));
    answers?.data.forEach((id, i) => texts.set(id, text?.targets?.[i] ?? texts.get(id) ?? `${id}`));
    const named = (id) => ({ id, text: shown(texts.get(id) ?? `${id}`) });
    const list = [...(ids?.data ?? [])].map(named);
    return { shape: ids?.shape ?? [1, 0], list, targets: [...(answers?.data ?? [])].map(named), named };
  }

  /** The last step up to `index` that wrote to the gradient of a value. */
  gradientStep(value, index) {
    const seed = this.seeds.get(value);
    return this.written.get(value)?.findLast((step) => step.index <= index) ?? (seed?.index <= index ? seed : undefined);
  }
}

const subscript = (n) => String(n).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[Number(digit)]);

/** The name of a gradient: dqkv, d ln_1.weight. */
const gradientLabel = (label) => (/[._]/.test(label) ? `d ${label}` : `d${label}`);

const CONTROL = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍" };

/** A token as it can be seen: space, line end and control characters have signs. */
function shown(text) {
  const visible = [...String(text)].map((character) => {
    const code = character.codePointAt(0);
    if (CONTROL[character]) return CONTROL[character];
    if (code < 32) return String.fromCodePoint(0x2400 + code);
    const hidden = code === 127 || (code >= 0x200b && code <= 0x200f) || (code >= 0x202a && code <= 0x202e)
      || (code >= 0x2060 && code <= 0x2069) || code === 0xfeff || (code >= 0xd800 && code <= 0xdfff);
    return hidden ? `\\u${code.toString(16).padStart(4, "0")}` : character;
  });
  return visible.join("") || "∅";
}

/** A number in four digits, with a real minus; NaN and infinities as signs. */
function format(number, digits = 4) {
  if (Number.isNaN(number)) return "NaN";
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
  if (number === 0) return "0";
  const size = Math.abs(number);
  if (Number.isInteger(number) && size < 1e6) return String(number).replace("-", "−");
  const text = size >= 1e-4 && size < 1e6 ? number.toPrecision(digits) : number.toExponential(digits - 1);
  return text.replace(/e([+-])0*(\d+)/, (_, sign, power) => `e${sign}${power}`).replaceAll("-", "−").replace("e+", "e");
}

const bracketed = (number) => (number < 0 ? `(${format(number)})` : format(number));
