// What may be invented. `value`: {id, base, over, map, says, count, of}; every further sample sharpens it.
const $ = (selector) => element.querySelector(selector);
const invented = $(".invented"), base = $(".base"), over = $(".over"), fade = $(".fade input");
const radios = [...element.querySelectorAll(".views input")];
let shown = {};

const radioName = "invented-" + Math.random().toString(36).slice(2);
for (const radio of radios) {
  radio.name = radioName;
  radio.addEventListener("change", () => { invented.dataset.view = radio.value; draw(); });
}

function draw() {
  const map = invented.dataset.view === "map";
  if (shown.base) base.src = map ? shown.map : shown.base;
  base.alt = map ? "Where the samples differ" : "The mean of the samples";
  if (shown.over) over.src = shown.over;
  over.style.opacity = fade.value / 100;
}

watch("value", () => {
  const value = props.value;
  if (!value) return;
  if (value.id !== shown.id) [shown, invented.dataset.state] = [{}, "empty"];
  shown = { ...shown, ...value };
  if (shown.base) invented.dataset.state = "filled";
  if (!shown.base) [base, over].forEach((image) => image.removeAttribute("src"));
  $(".says").textContent = value.says || "";
  draw();
});

fade.addEventListener("input", draw);
