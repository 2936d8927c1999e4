// The view of an open image: sizes, heat map and its opacity, outlines, window and level.
const SVG = "http://www.w3.org/2000/svg";
const DARKEST = 0;
const BRIGHTEST = 255;
let viewers = 0;

const within = (value, low, high) => Math.min(high, Math.max(low, value));

function prepareReport(content) {
  // Set by a script, because the page's policy forbids styles in attributes.
  content.querySelectorAll("[data-size]").forEach((each) => { each.style.cssText = each.dataset.size; });
  content.querySelectorAll(".sl-film").forEach(prepareFilm);
}

// Stretches grey levels linearly, as a window does: `level` is in its middle.
function windowFilter(picture) {
  viewers += 1;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "sl-filter");
  svg.setAttribute("aria-hidden", "true");
  const made = svg.appendChild(document.createElementNS(SVG, "filter"));
  made.id = `sl-window-${viewers}`;
  made.setAttribute("color-interpolation-filters", "sRGB");
  const transfer = made.appendChild(document.createElementNS(SVG, "feComponentTransfer"));
  const channels = ["R", "G", "B"].map((channel) => {
    const each = transfer.appendChild(document.createElementNS(SVG, `feFunc${channel}`));
    each.setAttribute("type", "linear");
    return each;
  });
  picture.append(svg);
  const image = picture.querySelector(".sl-grey");
  return (width, level) => {
    const isWhole = width === BRIGHTEST && level === 128;
    image.style.filter = isWhole ? "" : `url(#${made.id})`;
    channels.forEach((each) => {
      each.setAttribute("slope", BRIGHTEST / width);
      each.setAttribute("intercept", 0.5 - level / width);
    });
  };
}

function prepareFilm(figure) {
  const picture = figure.querySelector(".sl-picture");
  const find = (name) => figure.querySelector(`.sl-${name}`);
  const [width, level] = [find("window"), find("level")];
  if (!width) return;
  const apply = windowFilter(picture);
  const update = () => apply(Number(width.value), Number(level.value));
  const reset = () => {
    width.value = BRIGHTEST;
    level.value = 128;
    update();
  };
  [width, level].forEach((each) => each.addEventListener("input", update));
  find("reset").addEventListener("click", reset);
  picture.addEventListener("dblclick", reset);

  // A finger on the film scrolls the page: there the sliders do the same.
  let start = null;
  picture.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || event.button !== 0) return;
    event.preventDefault();
    picture.setPointerCapture(event.pointerId);
    start = { x: event.clientX, y: event.clientY, width: Number(width.value), level: Number(level.value) };
  });
  picture.addEventListener("pointermove", (event) => {
    if (!start) return;
    const perPixel = BRIGHTEST / picture.clientWidth;
    width.value = within(start.width + (event.clientX - start.x) * perPixel, 1, BRIGHTEST);
    level.value = within(start.level + (event.clientY - start.y) * perPixel, DARKEST, BRIGHTEST);
    update();
  });
  ["pointerup", "pointercancel"].forEach((name) => picture.addEventListener(name, () => { start = null; }));

  const layers = [...figure.querySelectorAll(".sl-layer")];
  const [map, opacity, lines] = [find("map"), find("opacity"), find("lines")];
  if (map) {
    const show = () => {
      layers.forEach((layer, at) => {
        layer.hidden = map.value !== String(at);
        layer.style.opacity = opacity.value / 100;
      });
      opacity.disabled = map.value === "";
      opacity.setAttribute("aria-valuetext", `${opacity.value} %`);
    };
    map.addEventListener("change", show);
    opacity.addEventListener("input", show);
  }
  lines?.addEventListener("change", () => picture.classList.toggle("sl-plain", !lines.checked));
}
