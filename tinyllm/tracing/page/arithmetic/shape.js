// @ts-check
// The same numbers in another arrangement: a cell is one cell of an input, and its gradient goes back there.

const MOVES_OF = {
  // name: [where in x a cell of y was taken from, where in y a cell of x went]
  reshape: [
    (call, index) => unravel(call.inputs[0].array.shape, offset(call.output.array.shape, index)),
    (call, index) => [unravel(call.output.array.shape, offset(call.inputs[0].array.shape, index))],
  ],
  transpose: [
    (call, index) => swapped(index, call.saved.axis0, call.saved.axis1),
    (call, index) => [swapped(index, call.saved.axis0, call.saved.axis1)],
  ],
  permute: [
    (call, index) => index.map((_, axis) => index[orderOf(call).indexOf(axis)]),
    (call, index) => [orderOf(call).map((axis) => index[axis])],
  ],
  broadcast_to: [
    (call, index) => broadcastIndex(call.inputs[0].array.shape, index),
    (call, index) => repeats(call.inputs[0].array.shape, call.output.array.shape, index),
  ],
  getitem: [pickedFrom, pickedTo],
};

const orderOf = (call) => call.saved.axes.map((axis) => fromFront(axis, call.saved.axes.length));

for (const [name, [takenFrom, wentTo]] of Object.entries(MOVES_OF)) {
  ARITHMETIC[name] = {
    forward(call, index) {
      const from = takenFrom(call, index);
      return from ? [equation("", "moved here from", [term(ofValue(call.inputs[0], from))])] : [];
    },

    backward(step, index) {
      const uses = wentTo(step.call, index);
      if (!uses) return [];
      const rule = uses.length > 1 ? `Σ over the ${uses.length} places it went to` : "moved back from";
      const note = uses.length ? "" : "It was not picked, so nothing arrives.";
      return [equation("", rule, uses.map((i) => term(ofGradient(step, i))), note)];
    },
  };
}

ARITHMETIC.cat = {
  forward(call, index) {
    const axis = fromFront(call.saved.axis, index.length);
    let [input, i] = [0, index[axis]];
    while (i >= call.saved.lengths[input]) i -= call.saved.lengths[input++];
    return [equation("", `from array ${input} of ${call.inputs.length}`, [
      term(ofValue(call.inputs[input], index.with(axis, i))),
    ])];
  },

  backward(step, index) {
    const { lengths, axis } = step.call.saved;
    const along = fromFront(axis, index.length);
    const start = lengths.slice(0, step.wrt).reduce((sum, n) => sum + n, 0);
    return [equation("", "moved back from", [term(ofGradient(step, index.with(along, start + index[along])))])];
  },
};

ARITHMETIC.stack = {
  forward(call, index) {
    const axis = fromFront(call.saved.axis, index.length);
    const input = index[axis];
    return [equation("", `from array ${input} of ${call.inputs.length}`, [
      term(ofValue(call.inputs[input], index.toSpliced(axis, 1))),
    ])];
  },

  backward(step, index) {
    const axis = fromFront(step.call.saved.axis, index.length + 1);
    return [equation("", "moved back from", [term(ofGradient(step, index.toSpliced(axis, 0, step.wrt)))])];
  },
};

ARITHMETIC.embedding = {
  forward(call, index) {
    const [ids, weight] = call.inputs;
    const token = at(ids.array, index.slice(0, -1));
    const rule = `row ${token} of ${weight.short}: the token at ${place(ids.short, index.slice(0, -1))}`;
    return [equation("", rule, [term(ofValue(weight, [fromFront(token, weight.array.shape[0]), index.at(-1)]))])];
  },

  backward(step, index) {
    const [ids, weight] = step.call.inputs;
    const [row, channel] = index;
    const { shape, data } = ids.array;
    const uses = range(data.length).filter((flat) => fromFront(data[flat], weight.array.shape[0]) === row)
      .map((flat) => unravel(shape, flat));
    const note = uses.length ? "" : "This token does not occur, so nothing arrives.";
    const rule = `Σ over the ${uses.length} places where the token is ${row}`;
    return [equation("", rule, uses.map((i) => term(ofGradient(step, [...i, channel]))), note)];
  },
};
