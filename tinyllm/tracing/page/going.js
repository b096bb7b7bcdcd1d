// @ts-check
// From step to step: one on, over a module, to the other direction of an op, along a term.

/** Show a step; a cell that is pinned stays pinned where the step's result has such a cell. */
function go(index, cell = undefined) {
  state.step = Math.min(recording.steps.length - 1, Math.max(0, index));
  const shape = resultShape(step());
  if (cell !== undefined) state.pinned = fitted(cell, shape);
  else if (state.pinned && !inside(state.pinned, shape)) state.pinned = null;
  state.hovered = null;
  state.all = false;
  render();
}

const resultShape = (step) => step.after?.shape ?? [];
const inside = (index, shape) => index.length === shape.length && index.every((i, axis) => i >= 0 && i < shape[axis]);

/** An index with zeros in front where it is short; null where it does not fit. */
function fitted(index, shape) {
  if (!index) return null;
  const whole = [...Array(Math.max(0, shape.length - index.length)).fill(0), ...index];
  return inside(whole, shape) ? whole : null;
}

/** What a step belongs to, for stepping over: its module, or its phase. */
const scopeOf = (step) => (step.call ? `${step.phase === "backward"}/${step.call.scope}` : step.phase);

function goOverScope(direction) {
  let index = state.step;
  const here = scopeOf(step());
  while (recording.steps[index] && scopeOf(recording.steps[index]) === here) index += direction;
  if (!recording.steps[index]) return go(direction > 0 ? recording.steps.length - 1 : 0);
  const there = scopeOf(recording.steps[index]);
  while (direction < 0 && recording.steps[index - 1] && scopeOf(recording.steps[index - 1]) === there) index--;
  go(index);
}

/** The same op in the other direction. */
function goToPair() {
  const { call, phase, value } = step();
  if (phase === "update" || phase === "clip")
    return value && go(recording.gradientStep(value, Infinity)?.index ?? state.step);
  if (!call) return;
  if (phase === "backward") return go(call.step);
  const back = recording.steps.find((other) => other.phase === "backward" && other.call === call);
  if (back) go(back.index);
}

/** The steps that write to what the step is about: its value, its gradient, its update. */
function goToWrite(direction) {
  const { value } = step();
  const writes = recording.steps.filter((other) => value && other.value === value).map((other) => other.index);
  const next = direction > 0 ? writes.find((i) => i > state.step) : writes.filter((i) => i < state.step).at(-1);
  if (next !== undefined) go(next);
}

/** From a term to the step that made its number. */
function follow(term) {
  const known = term?.factors.filter((factor) => factor.value) ?? [];
  const factor = known.find((factor) => factor.gradient) ?? known.find((factor) => factor.value.maker) ?? known[0];
  if (!factor) return;
  const made = factor.gradient
    ? recording.gradientStep(factor.value, state.step)
    : recording.steps[factor.value.maker?.step];
  if (made) go(made.index, factor.index);
  else say(`${factor.value.name} was there from the beginning: the trail ends here`);
}

function followLargest() {
  const list = equationsShown();
  const made = step().phase === "backward" && step().before ? list[1] : list[0];
  follow(made && largest(made.terms));
}
