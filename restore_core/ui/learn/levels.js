// Every answer is here already: 8 true levels under 8 told ones.
const real = $("input.true"), said = $("input.told");
let found = null, chart = null;

function table() {
  const n = found.levels.length, cell = 40, left = 42, top = 22, all = found.psnr.flat();
  const low = Math.min(...all), high = Math.max(...all);
  const rows = found.psnr.map((row, i) => row.map((v, j) =>
    `<rect class="cell" x="${left + j * cell}" y="${top + i * cell}" width="${cell - 1}" height="${cell - 1}" rx="4" fill="${heat((v - low) / (high - low))}" data-i="${i}" data-j="${j}"><title>true ${found.levels[i]}, told ${found.levels[j]}: ${v} dB</title></rect>`
    + (v === Math.max(...row) ? `<circle class="best" cx="${left + (j + 0.5) * cell}" cy="${top + (i + 0.5) * cell}" r="5"/>` : "")).join("")).join("");
  const names = found.levels.map((v, k) => `<text x="${left + (k + 0.5) * cell}" y="14" text-anchor="middle">${v}</text><text x="${left - 6}" y="${top + (k + 0.5) * cell + 4}" text-anchor="end">${v}</text>`).join("");
  $("svg").setAttribute("viewBox", `0 0 ${left + n * cell} ${top + n * cell}`);
  $("svg").innerHTML = rows + names + `<rect class="here" width="${cell - 1}" height="${cell - 1}" rx="4"/>`;
}

function show() {
  const i = Number(real.value), j = Number(said.value), v = found.psnr[i][j], best = Math.max(...found.psnr[i]);
  $(".seen").src = found.seen[i];
  $(".answer").src = found.answers[i][j];
  $$("output").forEach((o, k) => { o.textContent = found.levels[k ? j : i]; });
  real.setAttribute("aria-valuetext", found.levels[i]);
  said.setAttribute("aria-valuetext", found.levels[j]);
  $(".answer + figcaption").textContent = `its answer: ${v.toFixed(1)} dB`;
  $(".here").setAttribute("x", 42 + j * 40);
  $(".here").setAttribute("y", 22 + i * 40);
  const ratio = found.levels[j] / found.levels[i];
  const why = ratio === 1 ? "Told the truth: this is what it was trained for." : ratio < 1 ? "Told too little: it takes part of the noise for texture and leaves it in." : "Told too much: it trusts the noisy picture less than it could, and detail goes with the noise.";
  $(".words").textContent = `${why} ${v.toFixed(1)} dB; the best of this row is ${best.toFixed(1)} dB, told ${found.levels[found.psnr[i].indexOf(best)]}.`;
}

real.addEventListener("input", show);
said.addEventListener("input", show);
$(".same").addEventListener("click", () => { said.value = real.value; show(); });
$("svg").addEventListener("click", (event) => {
  if (event.target.dataset.i === undefined) return;
  [real.value, said.value] = [event.target.dataset.i, event.target.dataset.j];
  show();
});

once((value) => {
  found = value;
  real.max = said.max = found.levels.length - 1;
  $(".clean").src = found.clean;
  table();
  show();
});
