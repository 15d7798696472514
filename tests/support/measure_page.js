// Runs in a copy of a page: finds what a reader could not read, and tells the page around it.
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});

function rgba(colour) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}

function over(top, below) {
  return top.slice(0, 3).map((each, i) => each * top[3] + below[i] * (1 - top[3]));
}

function ground(element) {
  const own = rgba(getComputedStyle(element).backgroundColor);
  if (own[3] === 1 || !element.parentElement) return own.slice(0, 3);
  return over(own, ground(element.parentElement));
}

function luminance(colour) {
  const [r, g, b] = colour.map(each => each / 255).map(each => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(element) {
  const style = getComputedStyle(element), below = ground(element.closest("svg") ?? element);
  const [high, low] = [over(rgba(element.closest("svg") ? style.fill : style.color), below), below].map(luminance).sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

function texts() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (node.data.trim() && !parent.closest("script, style") && parent.getClientRects().length) found.push(node);
  }
  return found;
}

function isLarge(style) {
  const size = parseFloat(style.fontSize);
  return size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
}

function faint() {
  return texts().map(node => node.parentElement)
    .filter(each => contrast(each) < (isLarge(getComputedStyle(each)) ? 3 : 4.5))
    .map(each => `${each.textContent.trim().slice(0, 40)}: ${contrast(each).toFixed(2)}`);
}

function overflow() {
  const width = document.documentElement.clientWidth;
  const beyond = [...document.querySelectorAll("main *")]
    .filter(each => !each.closest("svg, .scroll, .wide") && each.getBoundingClientRect().right > width + 0.5);
  const whole = document.documentElement.scrollWidth > width ? ["the page"] : [];
  // On a telephone no column is hidden beyond the edge of its table either.
  const cut = [...document.querySelectorAll(".scroll, .wide")].filter(each => width < 720 && each.scrollWidth > each.clientWidth + 1);
  return [...whole, ...[...beyond, ...cut].map(each => `${each.tagName} ${each.className}: ${each.textContent.trim().slice(0, 40)}`)];
}

function broken() {
  const found = [];
  // Paths and code may break anywhere, because they may be of any length.
  for (const node of texts().filter(each => !each.parentElement.closest("code, pre, .path, svg"))) {
    for (const word of node.data.matchAll(/[\p{L}\p{N}]+/gu)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const tops = new Set([...range.getClientRects()].map(each => Math.round(each.top)));
      if (tops.size > 1 && word[0].length <= 20 && getComputedStyle(node.parentElement).writingMode === "horizontal-tb")
        found.push(word[0]);
    }
  }
  return found;
}

function unnamed() {
  const all = selector => [...document.querySelectorAll(selector)];
  const pictures = all("img:not([alt]), svg:not([aria-label])").map(each => each.outerHTML.slice(0, 60));
  const links = all("a[href^='#']").map(each => each.getAttribute("href").slice(1)).filter(id => !document.getElementById(id));
  const levels = all("h1, h2, h3, h4").map(each => Number(each.tagName[1]));
  const steps = levels.filter((level, i) => level > (levels[i - 1] ?? 0) + 1).map(level => `h${level} after a gap`);
  return [...pictures, ...links, ...steps];
}

addEventListener("load", () => {
  for (const each of document.querySelectorAll("details:not(.tile)")) each.open = true;
  parent.postMessage(JSON.stringify({
    name: `${PAGE}-${location.search.slice(1)}`,
    overflow: overflow(), faint: faint(), broken: broken(), unnamed: unnamed(),
  }), "*");
});
