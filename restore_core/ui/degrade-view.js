// Before and after with a divider. `value`: {before, after, width, number}: addresses in the page, the photo's width.
const $ = (selector) => element.querySelector(selector);
const lens = $(".lens"), sheet = $(".sheet"), before = $(".before"), after = $(".after"), split = $(".split input"), zoom = $(".zoom select");
let width = 0, newest = 0;

async function put(image, src) {  // decoded first, so that nothing blinks
  if (image.src === src) return;
  const ready = new Image();
  ready.src = src;
  await ready.decode();
  image.src = src;
}

function size() {
  const factor = Number(zoom.value);
  sheet.style.width = factor ? `${factor * width}px` : "";
  const aspect = before.naturalWidth / before.naturalHeight || 1;  // whole on the screen, unless it is very flat
  sheet.style.maxWidth = factor ? "" : `min(${Math.max(width, 480)}px, calc(var(--tall) * ${aspect}))`;
  sheet.classList.toggle("exact", factor >= 2);
}

function divide() { sheet.style.setProperty("--split", `${split.value}%`); }

watch("value", async () => {
  const value = props.value, turn = ++newest;
  if (!value?.after) { lens.dataset.state = "empty"; return; }
  await Promise.all([put(before, value.before), put(after, value.after)]);
  if (turn !== newest) return;
  width = value.width;
  lens.dataset.state = "filled";
  lens.dataset.number = value.number;
  size();
  divide();
});

const drag = (event) => {
  const box = sheet.getBoundingClientRect();
  split.value = (100 * (event.clientX - box.left)) / box.width;
  divide();
};
sheet.addEventListener("pointerdown", (event) => { sheet.setPointerCapture(event.pointerId); drag(event); });
sheet.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
split.addEventListener("input", divide);
zoom.addEventListener("change", size);
