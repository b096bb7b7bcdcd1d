// @ts-check
// What the axes of the arrays mean, followed through the calls, so that rows can be called by their tokens.

/** @param {Recording} recording */
function nameAxes(recording) {
  for (const value of recording.values) value.axes = value.array.shape.map(() => "");
  for (const call of recording.calls) {
    call.output.axes = outputAxes(call).slice();
  }
}

/** @param {Call} call @returns {string[]} */
function outputAxes(call) {
  const [x, weight] = call.inputs;
  const { shape } = call.output.array;
  if (call.op === "embedding") {
    if (x.axes.length === 2 && !x.axes[0]) x.axes = ["batch", "token"];
    if (!weight.axes[0]) weight.axes = ["vocab", "channel"];
    return [...x.axes, "channel"];
  }
  if (call.op === "linear") {
    if (!weight.axes[0]) weight.axes = ["channel", "channel"];
    return [...x.axes.slice(0, -1), weight.axes[1]];
  }
  if (call.op === "causal_attention") return [...x.axes.slice(0, -1), "channel"];
  if (call.op === "transpose") return swapped(x.axes, call.saved.axis0, call.saved.axis1);
  if (call.op === "reshape") return reshapedAxes(x, shape);
  const like = call.inputs.find((input) => input && String(input.array.shape) === String(shape));
  return like ? like.axes : shape.map(() => "");
}

function swapped(list, axis0, axis1) {
  const copy = list.slice();
  const [i, j] = [(axis0 + list.length) % list.length, (axis1 + list.length) % list.length];
  [copy[i], copy[j]] = [list[j], list[i]];
  return copy;
}

/** Batch and token joined are tokens still; the last axis is itself where its length is. */
function reshapedAxes(x, shape) {
  const last = x.array.shape.at(-1) === shape.at(-1) && shape.length > 1;
  const rows = shape.length === (last ? 2 : 1);
  const named = shape.map((_, axis) => (last && axis === shape.length - 1 ? x.axes.at(-1) : ""));
  if (rows && x.axes.slice(0, 2).join() === ",") return named;
  if (rows && (x.axes.includes("token") || x.role === "input")) named[0] = "token";
  return named;
}

/** The axes of what an op saved besides its inputs and output. */
function savedAxes(call, name, array) {
  if (call.op === "causal_attention" && array.shape.length === 4) {
    return ["batch", "head", "token", "Pkeep".includes(name) ? "token" : "channel"];
  }
  if (call.op === "cross_entropy") return array.shape.length === 2 ? ["token", "vocab"] : ["token"];
  const like = [call.output, ...call.inputs].find((x) => x && String(x.array.shape) === String(array.shape));
  if (like) return like.axes;
  return call.output.axes.length === array.shape.length ? call.output.axes.slice(0, -1).concat("") : [];
}

/** What a place on an axis is called: the token there, the token of that id, or its number. */
function placeName(recording, axes, index, axis) {
  const { tokens } = recording;
  if (axes[axis] === "token") {
    const batch = axes[0] === "batch" ? index[0] : 0;
    return tokens.list[batch * tokens.shape[1] + index[axis]]?.text ?? null;
  }
  return axes[axis] === "vocab" ? tokens.named(index[axis]).text : null;
}
