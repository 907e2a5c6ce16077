// The plane of truth and looks: to the right is truer, up is more like the photo to the eye.
const slider = $("input.t"), row = $("input.row");
const narrow = element.clientWidth && element.clientWidth < 620;  // text of a drawing shrinks with it
let found = null, entries = [], chart = null, profile = null, lumas = null, ghosts = "", chosen = null;

const numbers = (p) => `PSNR ${p.psnr.toFixed(2)} dB, LPIPS ${p.lpips.toFixed(3)}`;
const tags = { sample: (x, y) => `<circle cx="${x}" cy="${y}" r="5.5"/>`, mean: (x, y) => `<path d="M${x} ${y - 7}L${x + 7} ${y}L${x} ${y + 7}L${x - 7} ${y}Z"/>`,
  predictor: (x, y) => `<rect x="${x - 5.5}" y="${y - 5.5}" width="11" height="11"/>`, single: (x, y) => `<path d="M${x} ${y - 7}L${x + 7} ${y + 5}H${x - 7}Z"/>` };

function draw() {
  const xs = entries.map((e) => e.psnr), ys = entries.map((e) => e.lpips);
  const pad = (low, high, k) => [low - k * (high - low), high + k * (high - low)];
  const [x0, x1] = pad(Math.min(...xs), Math.max(...xs), 0.12), [y0, y1] = pad(Math.min(...ys), Math.max(...ys), 0.12);
  const nice = (low, high, step) => { const at = []; for (let v = Math.ceil(low / step) * step; v <= high; v += step) at.push(Number(v.toFixed(3))); return at; };
  const stepx = x1 - x0 > 4 ? 1 : 0.5, stepy = y1 - y0 > 0.15 ? 0.05 : y1 - y0 > 0.06 ? 0.02 : 0.01;
  chart = plot($(".map"), { W: narrow ? 400 : 560, H: narrow ? 280 : 300, x: [x0, x1], y: [y1, y0], xticks: nice(x0, x1, stepx), yticks: nice(y0, y1, stepy),
    xlabel: "truer: PSNR, dB →", ylabel: "↑ looks more like the photo: LPIPS" });
  const walk = found.means.map((p, k) => `${k ? "L" : "M"}${chart.px(p.psnr).toFixed(1)} ${chart.py(p.lpips).toFixed(1)}`).join("");
  const named = [2, 4, found.means.length].map((n) => [n, found.means[n - 1]]).map(([n, p]) =>
    `<text class="count" x="${chart.px(p.psnr) + 11}" y="${chart.py(p.lpips) + 4}">${n}</text>`).join("");
  chart.move(`<path class="walk" d="${walk}"/>${named}` + entries.map((e, k) =>
    `<g class="point ${e.kind}" role="button" tabindex="0" data-k="${k}" aria-label="${e.label}: ${numbers(e)}"><title>${e.label}: ${numbers(e)}</title>${tags[e.kind](chart.px(e.psnr), chart.py(e.lpips))}</g>`).join(""));
}

function pick(k) {
  chosen = k;
  const e = entries[k];
  $(".picked img").src = e.src;
  $(".picked img").alt = e.label;
  $(".picked figcaption").innerHTML = `<strong>${e.label}</strong><br>${numbers(e)}`;
  $$(".point").forEach((g, j) => g.classList.toggle("now", j === k));
}

function average() {
  const n = Number(slider.value), p = found.means[n - 1], gain = p.psnr - mean(found.samples.map((s) => s.psnr));
  $("output").textContent = `${n} of ${slider.max}`;
  pick(n === 1 ? 0 : entries.findIndex((e) => e.kind === "mean" && e.n === n));
  $(".words").textContent = n === 1 ? "One sample: one of the pictures that could have been."
    : `The mean of ${n} samples gains ${fixed(gain)} dB over a single one (theory for perfect samples: ${found.gains[n - 1].toFixed(2)}, never more than ${found.limit}), and agrees with the predictor to ${found.agree[n - 1]} dB.`;
  const shown = [["one sample", found.samples[0]], [n === 1 ? "the same" : `mean of ${n} samples`, p], ["predictor, one call", found.predictor], ["truth", { src: found.clean }]];
  $(".quarters").innerHTML = shown.map(([label, e]) => `<figure><span class="frame"><img src="${e.src}" alt="${label}"></span><figcaption><strong>${label}</strong>${e.psnr ? "<br>" + numbers(e) : ""}</figcaption></figure>`).join("");
  line();
}

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

function line() {  // brightness along one row: samples, the mean of those averaged, predictor, truth
  const n = Number(slider.value), r = Number(row.value), { side } = found, size = side * side;
  const at = (picture) => Array.from(lumas.subarray(picture * size + r * side, picture * size + (r + 1) * side));
  const samples = found.samples.map((_, k) => at(k + 2)), xs = samples[0].map((_, i) => i);
  const middle = xs.map((i) => mean(samples.slice(0, n).map((s) => s[i])));
  plot($(".profile svg"), { W: narrow ? 420 : 1000, H: 240, x: [0, side - 1], y: [0, 255], xticks: [0, 32, 64, 96, 127], yticks: [0, 128, 255], xlabel: "column", ylabel: "brightness",
    lines: [...samples.map((ys) => ({ name: "ghost", xs, ys })), { name: "truthline", xs, ys: at(0) }, { name: "predictor", xs, ys: at(1) }, { name: "mean", xs, ys: middle }] });
  $(".rowsays").textContent = r;
  $(".quarters").style.setProperty("--row", `${100 * r / side}%`);
}

slider.addEventListener("input", average);
row.addEventListener("input", line);
$(".map").addEventListener("click", (event) => { const g = event.target.closest(".point"); if (g) pick(Number(g.dataset.k)); });
$(".map").addEventListener("keydown", (event) => {
  const g = event.target.closest(".point");
  if (g && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); pick(Number(g.dataset.k)); }
});

once((value) => {
  found = value;
  lumas = bytes(found.rows);
  slider.max = found.samples.length;
  entries = [...found.samples.map((p, k) => ({ ...p, kind: "sample", label: `Sample ${k + 1}` })),
    ...found.means.slice(1).map((p, k) => ({ ...p, kind: "mean", n: k + 2, label: `Mean of ${k + 2} samples` })),
    { ...found.predictor, kind: "predictor", label: "Predictor, without any sampling" }, { ...found.single, kind: "single", label: "Diffusion in one step" }];
  $(".clean").src = found.clean;
  draw();
  average();
  $("img.single").src = found.single.src;
  $("img.regression").src = found.predictor.src;
  const captions = $$(".onestep figcaption");
  captions[0].innerHTML = `<strong>diffusion in one step</strong><br>${numbers(found.single)}`;
  captions[1].innerHTML = `<strong>regression: the predictor</strong><br>${numbers(found.predictor)}`;
  $(".tells").textContent = `Ask the denoiser once, at pure noise, and take its answer: noise tells nothing of the photo, so its best answer is the mean of all possibilities, and that is what regression learns too. The two pictures agree to ${found.agree_single} dB. Diffusion gets its detail not from another network but from asking ${found.calls} times.`;
  $("tbody").innerHTML = [...entries, { ...found.input, label: "Damaged photo, enlarged" }].map((e) => `<tr><td>${e.label}</td><td>${e.psnr.toFixed(2)}</td><td>${e.lpips.toFixed(3)}</td></tr>`).join("");
});
