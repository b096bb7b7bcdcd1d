// @ts-check
// A step as Python that repeats it: the op on the numbers that were recorded.

const DTYPES = [[Float32Array, "<f4"], [Int32Array, "<i4"], [Uint8Array, "?"]];

/** An array as a call of the snippet's function `array`. */
function arrayText({ shape, data }) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const dtype = DTYPES.find(([kind]) => data instanceof kind)[1];
  return `array("${dtype}", ${tuple(shape)}, "${btoa(letters)}")`;
}

/** An option as Python writes it. */
function pythonText(x) {
  if (x === null) return "None";
  if (typeof x === "boolean") return x ? "True" : "False";
  if (Array.isArray(x)) return `(${x.map((part) => `${pythonText(part)}, `).join("")})`;
  if (x?.array) return arrayText(decode(x.array));
  if (/^(-?inf|nan)$/.test(x)) return `float("${x}")`;
  return typeof x === "string" && !/^(slice\(|Ellipsis$)/.test(x) ? JSON.stringify(x) : String(x);
}

/** The Python text of a step of an op; null for the others. */
function snippetOf(recording, step) {
  const { call } = step;
  if (!call) return null;
  const inputs = recording.json.ops[call.op].inputs;
  const names = call.inputs.map((_, i) => (inputs[0].endsWith("[…]") ? `x${i}` : inputs[i]));
  const options = Object.entries(call.options).map(([name, x]) => `${name}=${pythonText(x)}`);
  const lines = [
    `# step ${step.index}: ${titleOf(step)}`, "import base64", "", "import numpy as np", "", "import tinyllm",
    "from tinyllm.autograd import OPS", "", "",
    "def array(dtype, shape, data):", "    return np.frombuffer(base64.b64decode(data), dtype).reshape(shape)", "", "",
    ...call.inputs.map((value, i) => `${names[i]} = ${value ? arrayText(value.array) : "None"}`),
    `op = OPS["${call.op}"]`,
    `y, saved = op.forward(${[...names, ...options].join(", ")})`,
  ];
  if (step.phase !== "backward") return [...lines, "print(y)", ""].join("\n");
  return [
    ...lines, `dy = ${arrayText(step.dy)}`, "gradients = op.backward(dy, *saved)",
    `share = gradients[${step.wrt}] if isinstance(gradients, tuple) else gradients`, "print(share)", "",
  ].join("\n");
}

/** Show the Python of a step, and put it on the clipboard where the browser lets us. */
async function openSnippet(recording, step) {
  const text = snippetOf(recording, step);
  if (text === null) return say("this step is no op: there is nothing to copy");
  const box = /** @type {HTMLTextAreaElement} */ (byId("snippet"));
  const told = byId("copied");
  box.value = text;
  told.textContent = "";
  /** @type {HTMLDialogElement} */ (byId("snippet-dialog")).showModal();
  box.select();
  box.scrollTop = 0;
  try {
    await navigator.clipboard.writeText(text);
    told.textContent = "It is on the clipboard.";
  } catch {
    told.textContent = document.execCommand("copy") ? "It is on the clipboard." : "Copy it with Ctrl-C.";
  }
}
