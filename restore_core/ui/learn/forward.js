// x_t = a x0 + b y + s eps, calculated here from the numbers that were sent, so that dragging t is instant.
const slider = $("input.t"), option = $(".option input"), centred = $(".centred"), N = 128 * 128 * 3;
const contexts = Object.fromEntries(["a", "b", "s", "x"].map((k) => [k, $(`.term.${k} canvas`).getContext("2d")]));
let outline = "";  // the clean photo's own histogram
const BINS = 72, EDGE = 3, calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
let x0, eps, y, xt = new Float32Array(N), now = null, scene = null, charts, timer = 0, wanted = 0, known = {};

const values = (text) => Float32Array.from(new Int16Array(bytes(text).buffer), (v) => v / 4096);

function paint(context, at) {  // at(i): the i-th value, 0 to 1; the canvas clips what lies beyond
  const image = context.createImageData(128, 128), data = image.data;
  for (let i = 0, k = 0; i < N; i += 3, k += 4) {
    data[k] = 255 * at(i); data[k + 1] = 255 * at(i + 1); data[k + 2] = 255 * at(i + 2); data[k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function drawHistogram(k) {
  const shift = centred.checked ? y : null, height = 1.1, chart = charts.histogram;
  const counts = density(shift ? xt.map((v, i) => v - now.b * shift[i]) : xt, BINS, EDGE), width = 2 * EDGE / BINS;
  const mean = shift ? now.a * now.own.mean : now.family.mean[k];
  const std = shift ? Math.hypot(now.a * now.own.std, now.s) : now.family.std[k];
  let bars = "", bell = "", apart = 0;
  counts.forEach((v, i) => {
    const from = -EDGE + i * width, middle = from + width / 2;
    const normal = Math.exp(-0.5 * ((middle - mean) / std) ** 2) / (std * Math.sqrt(2 * Math.PI));
    apart += Math.abs(v - normal) * width / 2;
    const top = chart.py(Math.min(v, height));
    bars += `M${chart.px(from).toFixed(1)} ${top.toFixed(1)}H${chart.px(from + width).toFixed(1)}V${chart.py(0)}H${chart.px(from).toFixed(1)}Z`;
    bell += `${i ? "L" : "M"}${chart.px(middle).toFixed(1)} ${chart.py(Math.min(normal, height)).toFixed(1)}`;
  });
  chart.move(`<path class="own" d="${outline}"/><path class="bars" d="${bars}"/><path class="bell" d="${bell}"/>`);
  const share = Math.max(0, Math.round(100 * (1 - apart)));
  element.dataset.bell = share;
  $(".bell-says").innerHTML = `Values of all pixels, the clean photo's (thin line), and the bell curve of the same mean (${fixed(mean)}) and spread (${fixed(std)}). They share <b>${share} %</b>.`;
}

function show() {
  const family = now.family, k = Number(slider.value), t = k / family.per, a = family.a[k], s = family.s[k], b = 1 - a;
  Object.assign(now, { a, b, s });
  for (let i = 0; i < N; i++) xt[i] = a * x0[i] + b * y[i] + s * eps[i];
  paint(contexts.x, (i) => (xt[i] + 1) / 2);
  const text = Number.isInteger(t) ? String(t) : t.toFixed(2);
  $("output").textContent = `${text} of ${family.steps}`;
  slider.setAttribute("aria-valuetext", `t ${text}, ${fixed(a)} photo, ${fixed(s)} noise`);
  const anchored = family.y !== null;
  [["a", a], ["b", b], ["s", s]].forEach(([name, v]) => {
    $(`.term.${name} b`).textContent = name === "b" && !anchored ? "0" : fixed(v) + " ×";
    $(`.term.${name}`).style.setProperty("--share", Math.min(1, 0.15 + 0.85 * Math.abs(v)));
  });
  $(".term.x b").innerHTML = `x<sub>${text}</sub>`;
  charts.coefficients.cursor(t, [["a", a], ...(anchored ? [["b", b]] : []), ["s", s]]);
  charts.ratio.cursor(t, [["snr", family.snr[k]]]);
  $$(".marks button").forEach((button) => button.setAttribute("aria-current", String(Number(button.value) === t)));
  drawHistogram(k);
}

function take(family, keep) {
  const share = keep && now ? Number(slider.value) / (now.family.a.length - 1) : 0.1;
  y = family.y === null ? new Float32Array(N) : values(family.y);
  const own = (now && now.own) || moments(x0);
  now = { family, own, a: 1, b: 0, s: 0 };
  slider.max = family.a.length - 1;
  slider.value = Math.round(share * slider.max);
  paint(contexts.b, (i) => (y[i] + 1) / 2);
  $(".term.b figcaption").textContent = family.anchor;
  $(".term.b").dataset.none = family.y === null;
  const ts = family.a.map((_, k) => k / family.per), T = family.steps, top = Math.max(1, ...family.s);
  const axis = { x: [0, T], xticks: T % 4 ? [0, T / 3, 2 * T / 3, T] : [0, T / 4, T / 2, 3 * T / 4, T], xlabel: "t" };
  const drawn = [["a", family.a], ["b", family.a.map((v) => 1 - v)], ["s", family.s]];
  charts = {
    coefficients: plot($(".coefficients"), { ...axis, y: [0, top], yticks: [0, 0.25, 0.5, 0.75, 1], ylabel: "coefficient",
      lines: drawn.filter(([n]) => n !== "b" || family.y !== null).map(([name, ys]) => ({ name, xs: ts, ys })) }),
    ratio: plot($(".ratio"), { ...axis, y: [-60, 60], yticks: [-60, -30, 0, 30, 60], ylabel: "dB",
      lines: [{ name: "zero", xs: [0, T], ys: [0, 0] }, { name: "snr", xs: ts, ys: family.snr }] }),
    histogram: plot($(".histogram"), { x: [-EDGE, EDGE], y: [0, 1.1], xticks: [-3, -2, -1, 0, 1, 2, 3], ylabel: "density", xlabel: "" }),
  };
  outline = density(x0, BINS, EDGE).reduce((d, v, i) => `${d}${i ? "L" : "M"}${charts.histogram.px(-EDGE + (i + 0.5) * 2 * EDGE / BINS).toFixed(1)} ${charts.histogram.py(Math.min(v, 1.1)).toFixed(1)}`, "");
  $(".key .b").hidden = family.y === null;
  centred.closest("label").hidden = family.y === null;
  if (family.y === null) centred.checked = false;
  $(".marks").innerHTML = family.marks.map((t) => `<button type="button" value="${t}">t = ${t}</button>`).join("");
  const o = family.option;
  $(".option").hidden = !o;
  if (o) {
    Object.assign(option, { min: o.low, max: o.high, step: o.step, value: o.value });
    $(".option span").textContent = o.label;
    $(".option output").textContent = o.value;
  }
  show();
}

async function choose(key, noise) {
  const asked = ++wanted, name = [scene, key, noise].join();
  if (!known[name] && noise === null) $(".words").textContent = "Working it out …";
  const family = known[name] || await server.curves([scene, key, noise]);
  if (asked !== wanted) return;  // something newer was asked for in the meantime
  if (family.error) { $(".words").textContent = family.error; return; }
  known[name] = family;
  $(".words").textContent = props.value.families.find(([k]) => k === key)[2];
  for (const [k] of props.value.families) document.querySelector(`#learn-law-${k}`)?.classList.toggle("now", k === key);
  take(family, true);
}

function stop() { clearInterval(timer); timer = 0; $(".play").textContent = "Play"; }

slider.addEventListener("input", () => { stop(); show(); });
centred.addEventListener("change", show);
option.addEventListener("input", () => {
  $(".option output").textContent = option.value;
  choose(now.family.key, Number(option.value));
});
$(".marks").addEventListener("click", (event) => {
  if (!event.target.value) return;
  stop(); slider.value = Math.round(event.target.value * now.family.per); show();
});
$(".play").addEventListener("click", () => {
  if (timer) return stop();
  const start = Number(slider.value) >= slider.max ? 0 : Number(slider.value), began = performance.now();
  $(".play").textContent = "Pause";
  timer = setInterval(() => {
    slider.value = Math.round(start + (performance.now() - began) / 8000 * slider.max);
    show();
    if (Number(slider.value) >= slider.max) stop();
  }, calm ? 500 : 33);
});

once((value) => {
  if (value.scene === scene) return;
  const before = now?.family.key;
  scene = value.scene;
  x0 = Float32Array.from(bytes(value.x0), (v) => v / 127.5 - 1);
  eps = values(value.noise);
  paint(contexts.a, (i) => (x0[i] + 1) / 2);
  paint(contexts.s, (i) => eps[i] / 6 + 0.5);
  known = { [[scene, "ddpm", null].join()]: value.family };
  if (now) now.own = null;
  if (!before) {
    $(".learn-choice").innerHTML = value.families.map(([key, title], k) =>
      `<label><input type="radio" name="learn-family" value="${key}"${k ? "" : " checked"}><span>${title}</span></label>`).join("");
    $(".learn-choice").addEventListener("change", (event) => { stop(); choose(event.target.value, null); });
  }
  choose(before || "ddpm", null);
});
trigger("load");
