// Four runs for each eta: flicking through them shows what chance decides.
const slider = $("input.t");
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
let found = null, timer = 0;

function show() {
  const k = Number(slider.value) - 1;
  $("output").textContent = `${k + 1} of ${slider.max}`;
  $$(".thirds .run").forEach((img, i) => { img.src = found.etas[i].runs[k]; });
}

function stop() { clearInterval(timer); timer = 0; $(".play").textContent = "Flicker"; }

slider.addEventListener("input", () => { stop(); show(); });
$(".play").addEventListener("click", () => {
  if (timer) return stop();
  $(".play").textContent = "Stop";
  timer = setInterval(() => { slider.value = Number(slider.value) % slider.max + 1; show(); }, calm ? 1500 : 450);
});

once((value) => {
  found = value;
  $(".thirds").innerHTML = found.etas.map((one) =>
    `<figure><b>eta ${one.eta}</b><div class="pair"><img class="run" alt="A run with eta ${one.eta}"><img src="${one.map}" alt="How far the four runs with eta ${one.eta} part at each pixel: ${one.grey} grey levels on average"></div><figcaption>spread <strong>${fixed(one.grey, 1)}</strong> grey levels</figcaption></figure>`).join("");
  slider.max = found.etas[0].runs.length;
  const start = found.same ? "All runs begin with the same noise." : "Each run begins with noise of its own.";
  $(".words").textContent = `${start} Beside each: how far its four runs part at each pixel, black 0, brightest ${found.top} grey levels or more.`;
  show();
});
