// From a picture's file to its pixels: RGB, or three times the same grey, upright, transparency on white, as Pillow decodes it.
// Colour profiles are left out of account, by Pillow as well as here.

const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

async function decode(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = (start, end) => String.fromCharCode(...bytes.subarray(start, end));
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return turned(await decodeJpeg(bytes), jpegOrientation(bytes, text));
  if (text(0, 4) !== "RIFF" || text(8, 12) !== "WEBP") return drawn(file);
  const exif = webpExif(bytes, text);
  if (!exif) return drawn(file);
  // Some browsers turn such a file and others do not: none does without its EXIF data.
  const plain = new Blob([bytes.subarray(0, exif - 8), "NONE", bytes.subarray(exif - 4)], { type: "image/webp" });
  return turned(await drawn(plain), orientation(bytes, exif + (text(exif, exif + 4) === "Exif" ? 6 : 0)));
}

// By the browser itself.
async function drawn(file) {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(file, options).catch(() => {
    throw new Error("This browser cannot show the file.");
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) pixels.set(data.subarray(from, from + 3), to);
  return { pixels, width, height };
}

// By libjpeg-turbo, as Pillow: a browser cannot decode a half, a quarter or an eighth of a large JPEG.
const JPEG_CODE = WebAssembly.compile(bytesOf(self.JPEG));
const [RGB, GREY, CMYK] = [0, 6, 11]; // TJPF_RGB, TJPF_GRAY and TJPF_CMYK of turbojpeg.h.

function fail() {
  throw new Error("The JPEG file is damaged.");
}

async function decodeJpeg(bytes) {
  const system = { environ_sizes_get: () => 0, environ_get: fail, proc_exit: fail };
  const files = { fd_close: fail, fd_seek: fail, fd_write: fail };
  const imports = { env: { setjmp: () => 0, longjmp: fail }, wasi_snapshot_preview1: { ...system, ...files } };
  // An instance for each file, whose memory goes with it.
  const { exports: turbo } = await WebAssembly.instantiate(await JPEG_CODE, imports);
  const [source, about] = [turbo.malloc(bytes.length), turbo.malloc(16)];
  new Uint8Array(turbo.memory.buffer).set(bytes, source);
  const decoder = turbo.tjInitDecompress();
  const fields = [0, 4, 8, 12].map((offset) => about + offset);
  if (turbo.tjDecompressHeader3(decoder, source, bytes.length, ...fields)) fail();
  const [fullWidth, fullHeight, , colours] = new Int32Array(turbo.memory.buffer, about, 4);
  const step = jpegStep(fullWidth, fullHeight, ABOUT.prepare);
  const [width, height] = [Math.ceil(fullWidth / step), Math.ceil(fullHeight / step)];
  const [format, channels] = colours > 2 ? [CMYK, 4] : isGrey() ? [GREY, 1] : [RGB, 3];
  const target = turbo.malloc(channels * width * height);
  if (turbo.tjDecompress2(decoder, source, bytes.length, target, width, 0, height, format, 0)) fail();
  const values = new Uint8Array(turbo.memory.buffer, target, channels * width * height);
  return { pixels: { [RGB]: (given) => given.slice(), [GREY]: fromGrey, [CMYK]: fromCmyk }[format](values), width, height };
}

// How many pixels a side become one: as few as leave enough for the network.
function jpegStep(width, height, { side, size }) {
  const enough = Math.max(...heightWidth(side), 2 * Math.max(...heightWidth(size)));
  const most = Math.floor(Math.min(width, height) / enough);
  return [8, 4, 2].find((step) => step <= most) ?? 1;
}

// What the network takes.
const isGrey = () => ABOUT.prepare.channels === 1;

function fromGrey(values) {
  const pixels = new Uint8Array(3 * values.length);
  values.forEach((value, place) => pixels.fill(value, 3 * place, 3 * place + 3));
  return pixels;
}

// By the luma, as Pillow; what is grey stays as it is.
function turnGrey(pixels) {
  for (let at = 0; at < pixels.length; at += 3) {
    const luma = (19595 * pixels[at] + 38470 * pixels[at + 1] + 7471 * pixels[at + 2] + 32768) >> 16;
    pixels.fill(luma, at, at + 3);
  }
}

// Inverted, as Adobe writes them and Pillow reads them.
function fromCmyk(values) {
  const pixels = new Uint8Array((3 * values.length) / 4);
  for (let from = 0, to = 0; from < values.length; from += 4, to += 3) {
    const light = values[from + 3];
    for (let i = 0; i < 3; i++) pixels[to + i] = light - Math.floor(((255 - values[from + i]) * light + 127) / 255);
  }
  return pixels;
}

// From its EXIF data, or from its XMP packet where they have none.
function jpegOrientation(bytes, text) {
  let [exif, packet] = [0, ""];
  for (let at = 2; bytes[at] === 0xff && bytes[at + 1] !== 0xda; at += 2 + 256 * bytes[at + 2] + bytes[at + 3]) {
    if (bytes[at + 1] !== 0xe1) continue;
    if (text(at + 4, at + 8) === "Exif") exif ||= at + 10;
    else packet += text(at + 4, at + 2 + 256 * bytes[at + 2] + bytes[at + 3]);
  }
  const found = exif ? orientation(bytes, exif) : 0;
  return found || Number(/tiff:Orientation(?:="|>)([0-9])/.exec(packet)?.[1]);
}

// Where the EXIF data of a WebP file starts, after its name and length; 0: it has none.
function webpExif(bytes, text) {
  const view = new DataView(bytes.buffer);
  for (let at = 12; at + 8 <= bytes.length; at += 8 + 2 * Math.ceil(view.getUint32(at + 4, true) / 2))
    if (text(at, at + 4) === "EXIF") return at + 8;
  return 0;
}

// The orientation in EXIF data, which start like a TIFF file; 0: they have none.
function orientation(bytes, start) {
  try {
    const view = new DataView(bytes.buffer, start);
    const little = view.getUint16(0) === 0x4949;
    const first = view.getUint32(4, little);
    const entries = Array.from({ length: view.getUint16(first, little) }, (_, i) => first + 2 + 12 * i);
    const entry = entries.find((each) => view.getUint16(each, little) === 0x0112);
    return entry === undefined ? 0 : view.getUint16(entry + 8, little);
  } catch {
    return 0; // They end before they should.
  }
}

function turned(picture, orientation) {
  if (!(orientation >= 2 && orientation <= 8)) return picture;
  const { pixels, width, height } = picture;
  const isMirrored = [2, 3, 7, 8].includes(orientation);
  const isUpsideDown = [3, 4, 6, 7].includes(orientation);
  const isTransposed = orientation >= 5;
  const [newWidth, newHeight] = isTransposed ? [height, width] : [width, height];
  const upright = new Uint8Array(pixels.length);
  for (let place = 0; place < width * height; place++) {
    const [x, y] = [place % newWidth, Math.floor(place / newWidth)];
    const [across, down] = isTransposed ? [y, x] : [x, y];
    const column = isMirrored ? width - 1 - across : across;
    const row = isUpsideDown ? height - 1 - down : down;
    const from = 3 * (row * width + column);
    upright.set(pixels.subarray(from, from + 3), 3 * place);
  }
  return { pixels: upright, width: newWidth, height: newHeight };
}
