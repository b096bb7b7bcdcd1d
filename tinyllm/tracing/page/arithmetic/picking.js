// @ts-check
// x[index] as numpy reads it: numbers, slices, None, ..., masks and arrays of numbers.

/** @type {WeakMap<Call, {from: number[], to: Map<number, number[]>} | null>} */
const picks = new WeakMap(); // the place in x of every cell of y, and the cells of y of every place in x

/** Where in x a cell of y was taken from; null where the index could not be read. */
function pickedFrom(call, index) {
  const found = picksOf(call);
  return found && unravel(call.inputs[0].array.shape, found.from[offset(call.output.array.shape, index)]);
}

/** All cells of y that were taken from a cell of x. */
function pickedTo(call, index) {
  const cells = picksOf(call)?.to.get(offset(call.inputs[0].array.shape, index)) ?? [];
  return picksOf(call) && cells.map((flat) => unravel(call.output.array.shape, flat));
}

/** A list may be several parts or one array: what is true of the recorded numbers is what was meant. */
function picksOf(call) {
  if (!picks.has(call)) {
    const { index } = call.options;
    const readings = Array.isArray(index) ? [index, [{ rows: index }]] : [[index]];
    picks.set(call, readings.map((parts) => picksBy(call, parts)).find(Boolean) ?? null);
  }
  return picks.get(call);
}

function picksBy(call, index) {
  const [x, y] = [call.inputs[0].array, call.output.array];
  const take = reader(partsOf(index, x.shape));
  const from = allCells(y.shape).map((cell) => offset(x.shape, take(cell)));
  if (!from.every((flat, cell) => Object.is(x.data[flat], y.data[cell]))) return null;
  return { from, to: Map.groupBy(range(from.length), (flat) => from[flat]) };
}

/**
 * The parts of an index, one or none for each axis of x, with `...` written out and a mask as the places where it holds.
 * @typedef {{new?: boolean, start?: number, step?: number, rows?: NdArray}} Part
 * @returns {Part[]}
 */
function partsOf(index, shape) {
  const whole = index.flatMap(readPart);
  const axes = whole.filter((part) => !part.new && !part.rest).length;
  const all = range(shape.length - axes).map(() => ({ start: null, step: 1 }));
  const at = whole.findIndex((part) => part.rest);
  const parts = at < 0 ? [...whole, ...all] : whole.toSpliced(at, 1, ...all);
  let axis = 0;
  return parts.map((part) => (part.new ? part : inBounds(part, shape[axis++])));
}

function readPart(part) {
  if (part === null) return [{ new: true }];
  if (part === "Ellipsis") return [{ rest: true }];
  if (typeof part === "number") return [{ rows: { shape: [], data: Int32Array.of(part) } }];
  if (typeof part === "string") {
    const [start, , step] = part.slice("slice(".length, -1).split(", ").map((x) => (x === "None" ? null : Number(x)));
    return [{ start, step: step ?? 1 }];
  }
  if (!part.array) return [{ rows: listed(part.rows ?? part) }];
  const array = decode(part.array);
  if (!(array.data instanceof Uint8Array)) return [{ rows: array }];
  const places = range(array.data.length).filter((flat) => array.data[flat]).map((flat) => unravel(array.shape, flat));
  return array.shape.map((_, axis) => ({
    rows: { shape: [places.length], data: Int32Array.from(places, (place) => place[axis]) },
  }));
}

/** The array that a list of numbers, or of lists, is. @returns {NdArray} */
function listed(list) {
  if (!Array.isArray(list[0])) return { shape: [list.length], data: Int32Array.from(list) };
  const rows = list.map(listed);
  return { shape: [list.length, ...rows[0].shape], data: Int32Array.from(rows.flatMap((row) => [...row.data])) };
}

/** Negative numbers count from the end. */
function inBounds(part, n) {
  if (part.rows) return { ...part, rows: { ...part.rows, data: part.rows.data.map((i) => (i < 0 ? i + n : i)) } };
  const first = part.start ?? (part.step < 0 ? n - 1 : 0);
  return { ...part, start: Math.min(Math.max(first < 0 ? first + n : first, 0), n) };
}

/**
 * The function from an index of y to one of x. The axes that arrays of rows make stand where these arrays stand, or in
 * front of all others if something stands between them. Numbers alone make no axis and stand for themselves.
 */
function reader(parts) {
  const rows = parts.filter((part) => part.rows);
  const together = Math.max(0, ...rows.map(({ rows }) => rows.shape.length));
  const [first, last] = [parts.findIndex((part) => part.rows), parts.findLastIndex((part) => part.rows)];
  const apart = together && parts.slice(first, last).some((part) => !part.rows);
  const before = apart ? 0 : Math.max(first, 0);
  return (index) => {
    const rest = index.slice();
    const picked = rest.splice(before, together);
    return parts.flatMap((part) => {
      if (part.rows) return [at(part.rows, broadcastIndex(part.rows.shape, picked))];
      const i = rest.shift();
      return part.new ? [] : [part.start + part.step * i];
    });
  };
}
