// From a picture's file to probabilities, on the viewer's own machine. The steps are those of prepare.py.

// Of a size: pixels a side, or height and width.
const heightWidth = (size) => (Array.isArray(size) ? size : [size, size]);

// Half to even, as in Python.
const rounded = (x) => (x - Math.floor(x) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

async function loadSession() {
  let source = ABOUT.runtime;
  if (self.RUNTIME) source = URL.createObjectURL(new Blob([self.RUNTIME.module], { type: "text/javascript" }));
  const ort = await import(source);
  if (self.RUNTIME) ort.env.wasm.wasmBinary = bytesOf(self.RUNTIME.wasm).buffer;
  ort.env.wasm.numThreads = 1; // More need headers that only a server can send.
  return [ort, await ort.InferenceSession.create(bytesOf(self.MODEL), { executionProviders: ["wasm"] })];
}

function smallSize(width, height, { side, resize }) {
  const [high, wide] = heightWidth(side);
  if (resize === "squish") return [Math.min(width, wide), Math.min(height, high)];
  const fit = resize === "pad" ? Math.min : Math.max;
  const share = Math.min(1, fit(wide / width, high / height));
  return [width, height].map((edge) => Math.max(1, rounded(edge * share)));
}

// Keys' cubic with a = -0.5, widened to average what it shrinks; whole weights, scaled by 2 ** bits.
function cubicWeights(before, after) {
  const scale = before / after;
  const stretch = Math.max(scale, 1);
  const cubic = (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0);
  const rows = Array.from({ length: after }, (_, place) => {
    const centre = scale * (place + 0.5);
    const first = Math.max(Math.trunc(centre - 2 * stretch + 0.5), 0);
    const last = Math.min(Math.trunc(centre + 2 * stretch + 0.5), before);
    const near = Array.from({ length: last - first }, (_, i) => cubic(Math.abs((first + i - centre + 0.5) / stretch)));
    const sum = near.reduce((total, weight) => total + weight, 0);
    return { first, weights: near.map((weight) => weight / sum) };
  });
  const top = rows.reduce((most, row) => Math.max(most, ...row.weights), 0);
  let bits = 0;
  while (bits < 22 && Math.trunc(0.5 + top * 2 ** (bits + 1)) < 2 ** 15) bits++;
  for (const row of rows) row.weights = row.weights.map((w) => Math.trunc(w * 2 ** bits + (w < 0 ? -0.5 : 0.5)));
  return { rows, bits };
}

// Resamples along one axis: `step` from one of its values to the next, `starts` where each line begins.
function resampleLines(source, target, { rows, bits }, [step, newStep], starts) {
  for (const [from, to] of starts)
    rows.forEach(({ first, weights }, place) => {
      let sum = 2 ** (bits - 1);
      for (let i = 0; i < weights.length; i++) sum += weights[i] * source[from + (first + i) * step];
      target[to + place * newStep] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** bits)));
    });
}

function shrink({ pixels, width, height }, newWidth, newHeight) {
  if (newWidth !== width) {
    const narrow = new Uint8Array(3 * newWidth * height);
    const starts = Array.from({ length: 3 * height }, (_, i) => [Math.floor(i / 3), i % 3]);
    const lines = starts.map(([y, channel]) => [3 * y * width + channel, 3 * y * newWidth + channel]);
    resampleLines(pixels, narrow, cubicWeights(width, newWidth), [3, 3], lines);
    [pixels, width] = [narrow, newWidth];
  }
  if (newHeight !== height) {
    const low = new Uint8Array(3 * width * newHeight);
    const lines = Array.from({ length: 3 * width }, (_, i) => [i, i]);
    resampleLines(pixels, low, cubicWeights(height, newHeight), [3 * width, 3 * width], lines);
    [pixels, height] = [low, newHeight];
  }
  return { pixels, width, height };
}

// Where each of `size` pixels lies between two of a small picture's edge, which is reflected at its ends.
function places(scale, length, whole, size) {
  const middle = scale === 1 ? Math.floor((whole - size) / 2 + 0.5) + (size - 1) / 2 : whole / 2 - 0.5;
  const share = length / whole;
  const start = Math.fround(share * (middle - (scale * (size - 1)) / 2) + (share - 1) / 2);
  const reflect = (i) => {
    const inside = ((i % (2 * length)) + 2 * length) % (2 * length);
    return inside < length ? inside : 2 * length - 1 - inside;
  };
  return Array.from({ length: size }, (_, i) => {
    const place = Math.fround(Math.fround(i * Math.fround(share * scale)) + start);
    const low = Math.floor(place);
    return [reflect(low), reflect(low + 1), place - low];
  });
}

// The view that the network sees, as [3, height, width].
function cutView(small, [width, height], { size, resize, crop_pct: share }) {
  const [high, wide] = heightWidth(size);
  const each = [width / wide, height / high];
  const scales = { squish: each, pad: Array(2).fill(Math.max(...each)) }[resize];
  const kept = Math.min((width * share) / wide, (height * share) / high);
  const [scaleX, scaleY] = scales ?? [kept, kept];
  const columns = places(scaleX, small.width, width, wide);
  const lines = places(scaleY, small.height, height, high);
  const view = new Uint8Array(3 * high * wide);
  lines.forEach(([top, bottom, down], y) =>
    columns.forEach(([left, right, across], x) => {
      for (let channel = 0; channel < 3; channel++) {
        const at = (row, column) => small.pixels[3 * (row * small.width + column) + channel];
        const above = at(top, left) * (1 - across) + at(top, right) * across;
        const below = at(bottom, left) * (1 - across) + at(bottom, right) * across;
        view[(channel * high + y) * wide + x] = rounded(above * (1 - down) + below * down);
      }
    }),
  );
  return view;
}

async function prepare(file) {
  const picture = await decode(file);
  const { width, height } = picture;
  if (isGrey()) turnGrey(picture.pixels);
  const small = shrink(picture, ...smallSize(width, height, ABOUT.prepare));
  const view = cutView(small, [width, height], ABOUT.prepare);
  return isGrey() ? view.slice(0, view.length / 3) : view;
}

// A file's probabilities, in class order.
async function classify(file) {
  const view = await prepare(file);
  const [ort, session] = await SESSION;
  const pixels = ABOUT.input === "float" ? Float32Array.from(view, (value) => value / 255) : view;
  const shape = [1, isGrey() ? 1 : 3, ...heightWidth(ABOUT.prepare.size)];
  const pictures = new ort.Tensor(ABOUT.input === "float" ? "float32" : "uint8", pixels, shape);
  return (await session.run({ pictures })).probabilities.data;
}

function addResult(file, list) {
  const result = document.querySelector("template").content.cloneNode(true).firstElementChild;
  const picture = result.querySelector("img");
  picture.src = URL.createObjectURL(file);
  picture.alt = file.name;
  result.querySelector(".path").textContent = file.name;
  list.prepend(result);
  return result;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

// What is said of a picture comes first: its class, or each label that reaches its threshold.
function ranked(probabilities) {
  const rows = [...probabilities].map((value, place) => ({ value, name: ABOUT.classes[place], from: FROM?.[place] }));
  rows.sort((one, other) => other.value - one.value);
  const isSaid = (row) => (FROM ? row.value >= row.from : row === rows[0]);
  const [said, others] = [rows.filter(isSaid), rows.filter((row) => !isSaid(row))];
  return [said, others.slice(0, Math.max(0, 5 - said.length))];
}

function addCell(row, text, kind) {
  const cell = row.insertCell();
  cell.textContent = text;
  if (kind) cell.className = kind;
}

function showBars(result, probabilities) {
  const bars = result.querySelector("table");
  const [said, others] = ranked(probabilities);
  for (const each of [...said, ...others]) {
    const bar = bars.insertRow();
    bar.className = said.includes(each) ? "said" : "";
    bar.style.setProperty("--share", each.value);
    addCell(bar, each.name, "");
    if (FROM) addCell(bar, `threshold ${percent(each.from)}`, "from");
    addCell(bar, percent(each.value), "n");
  }
  bars.className = FROM ? "labels" : "";
  if (!said.length) result.querySelector(".hint").textContent = "No label reaches its threshold.";
}

async function show(files) {
  for (const file of files) {
    const result = addResult(file, document.querySelector("#results"));
    await classify(file).then(
      (probabilities) => showBars(result, probabilities),
      (error) => {
        result.querySelector("img").remove();
        result.querySelector(".hint").textContent = error.message;
      },
    );
  }
}

// From which probability on each label is predicted; null where a picture has one class.
const FROM = ABOUT.thresholds ?? (ABOUT.threshold ? ABOUT.classes.map(() => ABOUT.threshold) : null);
const SESSION = loadSession();
const STATUS = document.querySelector("#status");
SESSION.then(
  () => (STATUS.textContent = "Ready."),
  (error) => (STATUS.textContent = `The network could not be loaded: ${error.message}`),
);
document.querySelector("input").addEventListener("change", (event) => show(event.target.files));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  show(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => show(event.clipboardData.files));
