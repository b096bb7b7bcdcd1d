// @ts-check
// Which cells of one array went into which of another one.

const range = (n) => Array.from({ length: n }, (_, i) => i);

/** All indices that have one number of each list. */
function product(lists) {
  return lists.reduce((indices, list) => indices.flatMap((index) => list.map((i) => [...index, i])), [[]]);
}

const allCells = (shape) => product(shape.map(range));

/** An axis counted from the front. */
const fromFront = (axis, n) => (axis + n) % n;

/** An index into an array that was broadcast against another one. */
function broadcastIndex(shape, index) {
  const tail = index.slice(index.length - shape.length);
  return shape.map((n, axis) => (n === 1 ? 0 : tail[axis]));
}

/** All indices of `full` that a cell of an array of `shape` was repeated to. */
function repeats(shape, full, index) {
  const added = full.length - shape.length;
  const repeated = (axis) => axis < added || shape[axis - added] === 1;
  return product(full.map((n, axis) => (repeated(axis) ? range(n) : [index[axis - added]])));
}

/** Indices of the rows of an array: everything but its last axis. */
const rowsOf = (shape) => allCells(shape.slice(0, -1));

/** The axes that a reduction summed over. */
function reducedAxes(call) {
  const n = call.inputs[0].array.shape.length;
  const { axis } = call.saved;
  return axis === null ? range(n) : [axis].flat().map((i) => fromFront(i, n));
}

/** The cells of x that went into a cell of what a reduction made of it. */
function reducedFrom(call, index) {
  const { shape } = call.inputs[0].array;
  const axes = reducedAxes(call);
  const kept = call.options.keepdims ? index.filter((_, axis) => !axes.includes(axis)) : index.slice();
  return product(shape.map((n, axis) => (axes.includes(axis) ? range(n) : [kept.shift()])));
}

/** Into which cell of a reduction's output a cell of x went. */
function reducedTo(call, index) {
  const axes = reducedAxes(call);
  if (call.options.keepdims) return index.map((i, axis) => (axes.includes(axis) ? 0 : i));
  return index.filter((_, axis) => !axes.includes(axis));
}
