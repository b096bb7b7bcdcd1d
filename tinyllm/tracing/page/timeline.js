// @ts-check
// The line of all steps: coloured by phase, dots where a gradient is added to one that is there, red where it is wrong.

const PHASES = {
  forward: "forward",
  loss: "loss",
  seed: "seed",
  backward: "backward",
  clip: "clip",
  update: "update",
  after: "loss after",
};

const isWrong = (recording, step) =>
  step.exact === false || Object.values(recording.json.checks[step.index] ?? {}).some((check) => !check.ok);

class Timeline {
  constructor(recording, onStep) {
    this.recording = recording;
    this.wrong = new Set(recording.steps.filter((step) => isWrong(recording, step)));
    this.strip = byId("strip");
    this.slider = /** @type {HTMLInputElement} */ (byId("slider"));
    this.slider.max = String(recording.steps.length - 1);
    this.slider.addEventListener("input", () => onStep(Number(this.slider.value)));
    this.strip.addEventListener("click", (event) => onStep(this.stepAt(event.offsetX)));
    this.strip.addEventListener("pointermove", (event) => {
      this.strip.title = titleOf(recording.steps[this.stepAt(event.offsetX)]);
    });
  }

  stepAt(x) {
    const { length } = this.recording.steps;
    return Math.min(length - 1, Math.max(0, Math.floor((x / this.strip.clientWidth) * length)));
  }

  draw(step) {
    const { steps } = this.recording;
    const [width, height] = [this.strip.clientWidth, 30];
    const context = prepared(this.strip, width, height);
    this.strip.style.width = "";
    const style = getComputedStyle(document.documentElement);
    const colours = new Map(["wrong", "dot", ...Object.keys(PHASES).map((phase) => `phase-${phase}`)]
      .map((name) => [name, style.getPropertyValue(`--${name}`)]));
    const each = width / steps.length;
    let start = 0;
    steps.forEach((other, i) => {
      context.fillStyle = colours.get(this.wrong.has(other) ? "wrong" : `phase-${other.phase}`);
      context.globalAlpha = i <= step.index ? 1 : 0.4;
      context.fillRect(i * each, 14, Math.max(each - (each > 4 ? 1 : 0), 0.5), 12);
      context.globalAlpha = 1;
      if (other.nth > 1) dot(context, (i + 0.5) * each, 20, colours.get("dot"));
      if (steps[i + 1]?.phase !== other.phase) {
        phaseName(context, other.phase, start * each, (i + 1 - start) * each, style);
        start = i + 1;
      }
    });
    context.strokeStyle = style.getPropertyValue("--ink");
    context.lineWidth = 2;
    context.strokeRect(step.index * each - 0.5, 12.5, Math.max(each, 3), 15);
    this.slider.value = String(step.index);
    this.slider.setAttribute("aria-valuetext", `step ${step.index}: ${titleOf(step)}`);
  }
}

function dot(context, x, y, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, 2.2, 0, 2 * Math.PI);
  context.fill();
}

/** The name of a phase above its steps, if there is room. */
function phaseName(context, phase, x, width, style) {
  context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
  context.fillStyle = style.getPropertyValue("--soft");
  context.textBaseline = "top";
  const name = PHASES[phase];
  if (context.measureText(name).width + 4 < width) context.fillText(name, x, 0);
}
