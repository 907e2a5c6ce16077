// The map. `value` brings everything that is drawn: {points, series, x, y, frontier, walk, columns, run}.
const $ = (selector) => element.querySelector(selector);
const map = $(".map"), svg = $("svg"), tip = $(".tip");
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"];  // Okabe and Ito; two greyer ones beyond
const SHAPES = [  // all about as large, within +-6
  "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0", "M-5 -5H5V5H-5Z", "M0 -6.5L6.5 0L0 6.5L-6.5 0Z", "M0 -6L6 5H-6Z",
  "M0 6L6 -5H-6Z", "M-2 -6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z", "M-5 -2.5L-2.5 -5L0 -2.5L2.5 -5L5 -2.5L2.5 0L5 2.5L2.5 5L0 2.5L-2.5 5L-5 2.5L-2.5 0Z",
  "M0 -6.5L2 -2L6.5 -2L3 1.5L4 6L0 3.5L-4 6L-3 1.5L-6.5 -2L-2 -2Z",
];
let drawn = {}, picked = null, run = null, began = "";  // drawn: id -> [x, y] on the screen

function make(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  return node;
}

function ticks(low, high, count) {  // round numbers, about `count` of them
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 2.5, 5, 10].find((k) => k * power >= raw);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (Math.abs(step / power - 2.5) < 0.01 ? 1 : 0));
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-6; v += step) found.push([v, v.toFixed(digits)]);
  return found;
}

function scale(axis, values, from, to) {  // the better end lies at `to`
  let low = Math.min(...values), high = Math.max(...values);
  const room = Math.max((high - low) * 0.1, axis.room);
  [low, high] = [low - room, high + room];
  const [a, b] = axis.better === "higher" ? [low, high] : [high, low];
  return { low, high, at: (v) => from + ((v - a) / (b - a)) * (to - from) };
}

function name(axis) { return axis.label + (axis.unit ? ` (${axis.unit})` : ""); }

function frame(value, box) {
  const [x, y] = [scale(value.x, value.points.map((p) => p.x), box.left, box.right), scale(value.y, value.points.map((p) => p.y), box.bottom, box.top)];
  const axes = make("g", { class: "axes", "aria-hidden": "true" });
  for (const [v, text] of ticks(x.low, x.high, box.right - box.left < 380 ? 4 : 6)) {
    axes.append(make("line", { x1: x.at(v), x2: x.at(v), y1: box.top, y2: box.bottom }), make("text", { x: Math.min(x.at(v), box.right - 6), y: box.bottom + 17, "text-anchor": "middle" }, text));
  }
  for (const [v, text] of ticks(y.low, y.high, 6)) {
    axes.append(make("line", { x1: box.left, x2: box.right, y1: y.at(v), y2: y.at(v) }), make("text", { x: box.left - 7, y: y.at(v) + 4, "text-anchor": "end" }, text));
  }
  axes.append(...words(value, box));
  return [x, y, axes];
}

function words(value, box) {
  const middle = (box.top + box.bottom) / 2;
  return [
    make("text", { x: box.right, y: box.bottom + 37, "text-anchor": "end", class: "word" }, value.x.word + " →"),
    make("text", { x: box.left, y: box.bottom + 37, class: "axis" }, name(value.x)),
    make("text", { transform: `translate(13 ${box.top}) rotate(-90)`, "text-anchor": "end", class: "word" }, value.y.word + " →"),
    make("text", { transform: `translate(13 ${box.bottom}) rotate(-90)`, class: "axis" }, name(value.y)),
  ];
}

function line(points, kind, colour) {
  const path = make("polyline", { points: points.map((p) => drawn[p].join(",")).join(" "), class: kind, "aria-hidden": "true" });
  if (colour) path.setAttribute("stroke", colour);
  return path;
}

function mark(value, p) {
  const [cx, cy] = drawn[p.id], k = value.series.indexOf(p.series) % COLOURS.length;
  const g = make("g", {
    class: "mark", role: "button", tabindex: 0, "data-id": p.id, transform: `translate(${cx} ${cy})`,
    "aria-label": p.label + ": " + p.told + ". " + (p.preset === null ? "" : value.positions[p.preset] + ". ") + "Open.",
    "aria-pressed": p.id === picked,
  });
  g.append(make("circle", { r: 15, class: "reach" }));
  if (p.preset !== null) g.append(make("circle", { r: 11, class: "ring" }));
  g.append(make("path", { d: SHAPES[k], fill: COLOURS[k] }));
  if (p.preset !== null) {
    const up = cy - drawn.box.top > 32;
    g.append(make("text", { y: up ? -15 : 24, "text-anchor": "middle", class: "number", "aria-hidden": "true" }, p.preset + 1));
  }
  return g;
}

function draw() {
  const value = props.value, width = $(".plot").clientWidth;
  if (!value || !width) return;
  map.dataset.state = value.points.length ? "full" : "empty";
  const height = width < 480 ? 380 : Math.min(620, Math.max(420, width * 0.86));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  const box = { left: 62, right: width - 16, top: 14, bottom: height - 46 };
  const focused = element.querySelector(".mark:focus")?.dataset.id;
  if (!value.points.length) {
    svg.replaceChildren(make("path", { class: "corner", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` }), ...words(value, box));
    return;
  }
  const [x, y, axes] = frame(value, box);
  drawn = { box };
  for (const p of value.points) drawn[p.id] = [x.at(p.x), y.at(p.y)];
  const best = value.frontier.map((id) => drawn[id]);
  const edge = make("path", {
    class: "frontier", "aria-hidden": "true",
    d: `M${best.map((p) => p.join(" ")).join("L")}`,
  });
  const trails = value.series.map((series, k) => {
    const own = value.points.filter((p) => p.series === series && p.order !== null).sort((a, b) => a.order - b.order);
    return line(own.map((p) => p.id), "trail", COLOURS[k % COLOURS.length]);
  });
  const order = [...value.points].sort((a, b) => drawn[a.id][0] - drawn[b.id][0]);
  svg.replaceChildren(axes, edge, ...trails, line(value.walk, "walk"), ...order.map((p) => mark(value, p)));
  if (focused) element.querySelector(`.mark[data-id="${focused}"]`)?.focus({ preventScroll: true });
}

function legend() {
  const value = props.value, list = $(".legend");
  const entry = (drawing, text) => {
    const item = document.createElement("li"), icon = make("svg", { viewBox: "-12 -9 24 18", "aria-hidden": "true" });
    icon.append(drawing);
    item.append(icon, text);
    return item;
  };
  const swatch = (k) => make("path", { d: SHAPES[k % 8], fill: COLOURS[k % 8], class: "swatch" });
  const shown = value.series.map((s, k) => s && entry(swatch(k), s)).filter(Boolean);
  if (value.frontier.length) shown.push(entry(make("path", { d: "M-8 4L-2 -2L8 -4", class: "frontier" }), "frontier: nothing measured beats it in both"));
  if (value.walk.length) shown.push(entry(make("circle", { r: 7, class: "ring" }), "1 to 5: the slider from faithful to vivid"));
  list.replaceChildren(...shown);
}

function table() {
  const value = props.value, head = document.createElement("tr");
  head.append(...value.columns.map((text) => { const th = document.createElement("th"); th.scope = "col"; th.textContent = text; return th; }));
  $("thead").replaceChildren(head);
  $("tbody").replaceChildren(...value.points.map((p) => {
    const row = document.createElement("tr");
    row.dataset.id = p.id;
    row.classList.toggle("picked", p.id === picked);
    row.append(...p.cells.map((text, k) => {
      const cell = document.createElement("td");
      if (k) { cell.textContent = text; return cell; }
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.setAttribute("aria-label", "Open " + p.label);
      cell.append(button);
      return cell;
    }));
    return row;
  }));
}

function point(id) { return props.value.points.find((p) => p.id === id); }

function hover(id) {
  const p = id && drawn[id] && point(id);
  tip.hidden = !p;
  if (!p) return;
  const [x, y] = drawn[id], width = $(".plot").clientWidth;
  tip.replaceChildren(Object.assign(document.createElement("strong"), { textContent: p.label }), p.told);
  tip.style.top = (y > 110 ? y - 20 : y + 20) + "px";
  tip.style.transform = y > 110 ? "translateY(-100%)" : "";
  tip.style.left = Math.max(0, Math.min(width - tip.offsetWidth, x - tip.offsetWidth / 2)) + "px";
}

function nearest(event) {  // marks may overlap: the nearest one within a finger's reach
  const box = svg.getBoundingClientRect(), [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let found = null, least = 24;
  for (const p of props.value.points) {
    const away = Math.hypot(drawn[p.id][0] - x, drawn[p.id][1] - y);
    if (away < least) [found, least] = [p.id, away];
  }
  return found;
}

function open(id) {
  if (!id) return;
  picked = id;
  draw();
  table();
  tip.hidden = true;
  trigger("select", { id });
}

svg.addEventListener("click", (event) => open(nearest(event)));
svg.addEventListener("pointermove", (event) => hover(nearest(event)));
svg.addEventListener("pointerleave", () => hover(null));
svg.addEventListener("focusin", (event) => hover(event.target.closest(".mark")?.dataset.id));
svg.addEventListener("focusout", () => hover(null));
svg.addEventListener("keydown", (event) => {
  const now = event.target.closest(".mark");
  if (!now) return;
  const marks = [...svg.querySelectorAll(".mark")], k = marks.indexOf(now);
  const to = { ArrowRight: k + 1, ArrowUp: k + 1, ArrowLeft: k - 1, ArrowDown: k - 1, Home: 0, End: marks.length - 1 }[event.key];
  if (event.key === "Enter" || event.key === " ") open(now.dataset.id);
  else if (to === undefined) return;
  else marks[to]?.focus({ preventScroll: true });
  event.preventDefault();
});
$("tbody").addEventListener("click", (event) => open(event.target.closest("tr")?.dataset.id));

function update() {
  const value = props.value;
  if (!value) return;
  if (value.run !== run) [run, picked] = [value.run, null];
  draw();
  legend();
  table();
  if (value.began && value.began !== began) show();
  began = value.began || began;
}

function show() {
  const { top, bottom } = $(".plot").getBoundingClientRect();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (bottom < 200 || top > innerHeight - 200) map.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
}

watch("value", update);
new ResizeObserver(draw).observe($(".plot"));
update();
