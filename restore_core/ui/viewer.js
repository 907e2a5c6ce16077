// Pictures of one size beside each other. `value`: {id, pictures: [{key, name, src, what: photo | result | clean}], note}.
const $ = (selector) => element.querySelector(selector);
const viewer = $(".viewer"), panes = $(".panes"), left = $(".left"), right = $(".right"), split = $(".split input");
const radios = [...element.querySelectorAll(".views input")], times = $(".times input"), zoom = $(".zoom select");
const loaded = new Map();
let id = null, pictures = [], drawing = 0;

const radioName = "viewer-" + Math.random().toString(36).slice(2);
for (const radio of radios) {
  radio.name = radioName;
  radio.addEventListener("change", () => { viewer.dataset.mode = radio.value; draw(); });
}

const named = (key) => pictures.find((p) => p.key === key);
const of = (...what) => pictures.filter((p) => what.includes(p.what));

function load(picture) {  // once each, however often it is shown
  if (!loaded.has(picture.src)) {
    const image = new Image();
    image.src = picture.src;
    loaded.set(picture.src, image.decode().then(() => image));
  }
  return loaded.get(picture.src);
}

function pair() {  // [under, over]: over is shown left of the divider
  return [named(right.value), named(left.value)];
}

function wanted() {  // what each pane shows: [under, over or null, name]
  const mode = viewer.dataset.mode, photo = of("photo")[0], [under, over] = pair();
  if (mode === "side") return of("result", "clean").map((p) => [p, null, p.name]);
  if (mode === "photo") return of("result").map((p) => [p, photo, p.name]);
  return under && over ? [[under, over, mode === "slide" ? `${over.name} | ${under.name}` : `${over.name} − ${under.name}`]] : [];
}

function picture(of, className) {
  const image = document.createElement("img");
  image.src = of.src;
  image.alt = of.name;
  image.className = className;
  image.draggable = false;
  return image;
}

function pane([under, over, name]) {
  const figure = document.createElement("figure"), scroll = document.createElement("div"), sheet = document.createElement("div");
  const caption = document.createElement("figcaption");
  scroll.className = "scroll";
  sheet.className = "sheet";
  caption.textContent = name;
  if (viewer.dataset.mode === "difference") sheet.append(difference(under, over));
  else sheet.append(picture(under, "under"), ...(over ? [picture(over, "over")] : []));
  if (over && viewer.dataset.mode !== "difference") {
    const line = document.createElement("i");
    sheet.append(line);
    const drag = (event) => {
      const box = sheet.getBoundingClientRect();
      split.value = (100 * (event.clientX - box.left)) / box.width;
      divide();
    };
    sheet.addEventListener("pointerdown", (event) => { sheet.setPointerCapture(event.pointerId); drag(event); });
    sheet.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
  }
  scroll.append(sheet);
  scroll.addEventListener("scroll", () => {
    for (const other of panes.querySelectorAll(".scroll")) {
      if (other !== scroll) [other.scrollLeft, other.scrollTop] = [scroll.scrollLeft, scroll.scrollTop];
    }
  });
  figure.append(scroll, caption);
  return figure;
}

function pixels(image) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function difference(under, over) {  // k |over - under|, colour by colour
  const canvas = document.createElement("canvas"), turn = ++drawing;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Difference of ${over.name} and ${under.name}, times ${times.value}`);
  Promise.all([load(under), load(over)]).then((images) => {
    if (turn !== drawing) return;
    const [a, b] = images.map(pixels), k = Number(times.value);
    for (let i = 0; i < a.data.length; i++) if (i % 4 < 3) a.data[i] = k * Math.abs(a.data[i] - b.data[i]);
    [canvas.width, canvas.height] = [a.width, a.height];
    size(canvas.parentElement, a.width);
    canvas.getContext("2d").putImageData(a, 0, 0);
  });
  return canvas;
}

function size(sheet, width) {
  const factor = Number(zoom.value);
  sheet.style.width = factor ? `${factor * width}px` : "";
  sheet.classList.toggle("exact", factor >= 2);
}

function divide() {
  panes.style.setProperty("--split", `${split.value}%`);
}

async function draw() {
  const made = wanted().map(pane);
  panes.replaceChildren(...made);
  viewer.dataset.state = made.length ? "filled" : "empty";
  panes.dataset.count = made.length;
  divide();
  if (pictures.length) {
    const { naturalWidth } = await load(pictures.at(-1));
    for (const sheet of panes.querySelectorAll(".sheet")) size(sheet, naturalWidth);
  }
}

let byHand = false;  // a pair that somebody chose stays while results come in

function options() {
  const kept = [left.value, right.value], results = of("result");
  for (const select of [left, right]) select.replaceChildren(...pictures.map((p) => new Option(p.name, p.key)));
  const pair = results.length > 1 ? results : [of("photo")[0], results[0]];
  [left, right].forEach((select, k) => { select.value = byHand && named(kept[k]) ? kept[k] : (pair[k]?.key ?? ""); });
}

watch("value", () => {
  const value = props.value;
  if (!value) return;
  if (value.id !== id) { loaded.clear(); byHand = false; }
  id = value.id;
  pictures = value.pictures || [];
  $(".note").textContent = value.note || "";
  options();
  draw();
});

for (const select of [left, right]) select.addEventListener("change", () => { byHand = true; draw(); });
zoom.addEventListener("change", draw);
times.addEventListener("input", () => { $(".times output").textContent = times.value; draw(); });
split.addEventListener("input", divide);
