// The chain of damages. `value`: {seed, steps: [{operator, ...values}]}; `operators` says what there is, with ranges.
// Every change triggers `edit` with {chain}, which comes from a browser and is checked against the operators.
const $ = (selector) => element.querySelector(selector);
const list = $(".steps"), seed = $(".seed input"), adding = $(".add select"), WAIT = 60;
const known = Object.fromEntries(props.operators.map((operator) => [operator.key, operator]));
let chain = { seed: 1, steps: [] }, timer = 0;

function make(name, attributes = {}, ...inside) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) key in node ? (node[key] = value) : node.setAttribute(key, value);
  node.append(...inside);
  return node;
}

function tell() {
  clearTimeout(timer);
  timer = setTimeout(() => trigger("edit", { chain }), WAIT);
}

const digits = (step) => Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)));
const rounded = (value, option) => Number((Math.round(value / option.step) * option.step).toFixed(digits(option.step)));
const even = (option) => option.low > 0 && option.high / option.low >= 100;  // its slider moves by ratios
const wide = (option) => !even(option) && (option.high - option.low) / option.step > 2000;  // no slider is that fine

function number(step, option, after) {
  const ratios = even(option), place = (v) => (ratios ? Math.log(v / option.low) / Math.log(option.high / option.low) : v);
  const value = (p) => (ratios ? option.low * (option.high / option.low) ** p : p);
  const box = make("input", { type: "number", min: option.low, max: option.high, step: "any", value: Number(step[option.key].toFixed(6)), ariaLabel: option.label });
  const slider = make("input", {
    type: "range", min: ratios ? 0 : option.low, max: ratios ? 1 : option.high, step: ratios ? 0.002 : option.step, ariaLabel: option.label,
  });
  slider.value = place(step[option.key]);
  slider.addEventListener("input", () => {
    step[option.key] = rounded(value(Number(slider.value)), option);
    box.value = step[option.key];
    after();
  });
  box.addEventListener("change", () => {
    const asked = Number(box.value);
    step[option.key] = box.value === "" || Number.isNaN(asked) ? option.default : Math.min(option.high, Math.max(option.low, asked));
    [box.value, slider.value] = [step[option.key], place(step[option.key])];
    after();
  });
  return wide(option) ? [box] : [box, slider];
}

function controls(step, option, after) {
  if (option.choices.length) {
    const select = make("select", { ariaLabel: option.label }, ...option.choices.map((choice) => new Option(choice, choice)));
    select.value = step[option.key];
    select.addEventListener("change", () => { step[option.key] = select.value; after(); });
    return [select];
  }
  if (typeof option.default === "boolean") {
    const box = make("input", { type: "checkbox", checked: step[option.key], ariaLabel: option.label });
    box.addEventListener("change", () => { step[option.key] = box.checked; after(); });
    return [box];
  }
  return number(step, option, after);
}

function electrons(step) {  // what an ISO means
  const factor = step.iso / 100, white = step.full_well / factor;
  return `Gain ×${+factor.toFixed(2)} = ${(20 * Math.log10(factor)).toFixed(1)} dB; white is ${Math.round(white)} electrons.`;
}

function move(place, by) {
  const [step] = chain.steps.splice(place, 1);
  if (by) chain.steps.splice(place + by, 0, step);
  draw();
  tell();
  const name = by < 0 ? ".up" : by > 0 ? ".down" : ".remove";
  (list.children[Math.min(place + by, list.children.length - 1)]?.querySelector(name) ?? adding).focus();
}

function card(step, place) {
  const operator = known[step.operator], told = make("p", { className: "told" });
  const after = () => { if ("iso" in step) told.textContent = electrons(step); tell(); };
  const press = (name, sign, words, by, off) => {
    const button = make("button", { type: "button", className: name, textContent: sign, ariaLabel: `${words}: ${operator.label}`, title: words, disabled: off });
    button.addEventListener("click", () => move(place, by));
    return button;
  };
  const head = make("div", { className: "head" }, make("strong", {}, `${place + 1}. ${operator.label}`),
    press("up", "↑", "Earlier", -1, place === 0), press("down", "↓", "Later", 1, place === chain.steps.length - 1), press("remove", "✕", "Remove", 0, false));
  const fields = operator.options.map((option) => make("label", { className: "field", title: option.help },
    make("span", {}, option.label), ...controls(step, option, after)));
  if ("iso" in step) told.textContent = electrons(step);
  return make("li", {}, head, make("div", { className: "fields" }, ...fields, ...("iso" in step ? [told] : [])));
}

function draw() {
  list.replaceChildren(...chain.steps.map(card));
  seed.value = chain.seed;
}

function fresh(operator) {
  return { operator: operator.key, ...Object.fromEntries(operator.options.map((option) => [option.key, option.default])) };
}

const groups = [["Choose a damage…", []], ["For photographs", "photo"], ["As the blind methods train with", "published"]];
adding.append(new Option(groups[0][0], ""), ...groups.slice(1).map(([label, group]) => make("optgroup", { label },
  ...props.operators.filter((o) => o.group === group).map((o) => new Option(o.label, o.key)))));
adding.addEventListener("change", () => {
  if (!adding.value) return;
  chain.steps.push(fresh(known[adding.value]));
  adding.value = "";
  draw();
  tell();
});
const reseed = (value) => { chain.seed = Math.min(2147483647, Math.max(0, Math.floor(value) || 0)); seed.value = chain.seed; tell(); };
seed.addEventListener("change", () => reseed(Number(seed.value)));
$(".dice").addEventListener("click", () => reseed(Math.random() * 2147483647));

function take() {
  if (!props.value?.steps) return;
  chain = JSON.parse(JSON.stringify(props.value));
  draw();
}
watch("value", take);

const unit = Object.fromEntries([...element.querySelectorAll(".grid input")].map((input) => [input.dataset.unit, input]));
const backwards = {  // from each field to ISO or the full well
  factor: (v) => { unit.iso.value = 100 * v; }, decibels: (v) => { unit.iso.value = +(100 * 10 ** (v / 20)).toPrecision(6); },
  white: (v) => { unit.well.value = +((v * unit.iso.value) / 100).toPrecision(6); },
  ratio: (v) => { unit.well.value = +((10 ** (v / 10) * unit.iso.value) / 100).toPrecision(6); },
};
function convert(from) {
  backwards[from]?.(Number(unit[from].value));
  const factor = unit.iso.value / 100, white = unit.well.value / factor;
  const found = { factor, decibels: 20 * Math.log10(factor), white, ratio: 10 * Math.log10(white) };
  for (const [key, value] of Object.entries(found)) if (key !== from) unit[key].value = Number.isFinite(value) ? +value.toPrecision(6) : "";
}
for (const [key, input] of Object.entries(unit)) input.addEventListener("input", () => convert(key));
convert("iso");
take();
