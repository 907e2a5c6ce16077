// A stored run: nothing is asked of the server while stepping through it.
const slider = $("input.t"), strip = $(".film-strip");
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
let run = null, timer = 0;

function show() {
  const k = Number(slider.value), step = run.steps[k];
  $(".now").src = k ? run.steps[k - 1].after : run.start;
  $(".guess").src = step.guess;
  $(".after").src = step.after;
  $("output").textContent = `${k + 1} of ${run.steps.length}`;
  $(".words").textContent = step.says;
  slider.setAttribute("aria-valuetext", step.says);
  const cells = step.terms.map((term, i) => {
    const sign = term.c < 0 ? "−" : i ? "+" : "", number = term.role === "state" ? "" : `${Math.abs(term.c).toFixed(3)} ×`;
    return `<span class="sign" aria-hidden="true">${sign}</span><figure class="term ${term.role}"><b>${number || "x"}</b>`
      + `<img src="${term.src || run.y}" alt="${term.name}"><figcaption>${term.name}</figcaption></figure>`;
  });
  $(".terms").innerHTML = cells.join("") + `<span class="sign" aria-hidden="true">=</span><figure class="term x"><b>x′</b><img src="${step.after}" alt="The next x"><figcaption>after the step</figcaption></figure>`;
  const bracket = (v) => (v < 0 ? `(${fixed(v, 3)})` : fixed(v, 3));
  const sums = step.terms.map((term, i) => `${term.c < 0 ? "− " : i ? "+ " : ""}${Math.abs(term.c).toFixed(3)} · ${bracket(term.pixel[0])}`);
  $(".pixel").textContent = `Red of the middle pixel: ${sums.join(" ")} = ${fixed(step.pixel[0], 3)}`;
  [...strip.children].forEach((button, j) => button.setAttribute("aria-current", String(j === k)));
  const button = strip.children[k];
  if (button) strip.scrollLeft = button.offsetLeft - strip.clientWidth / 2;
  formulas(k);
}

function formulas(k) {  // the Markdown below holds two formulas a step: the law, and the same with its numbers
  document.querySelectorAll("#learn-back-law .katex-display").forEach((node, j) =>
    node.classList.toggle("now", j >> 1 === k));
}

function stop() { clearInterval(timer); timer = 0; $(".play").textContent = "Play"; }
function go(k) { slider.value = k; show(); }

slider.addEventListener("input", () => { stop(); show(); });
$(".back").addEventListener("click", () => { stop(); go(Number(slider.value) - 1); });
$(".on").addEventListener("click", () => { stop(); go(Number(slider.value) + 1); });
$(".play").addEventListener("click", () => {
  if (timer) return stop();
  if (Number(slider.value) >= slider.max) go(0);
  $(".play").textContent = "Pause";
  timer = setInterval(() => {
    go(Number(slider.value) + 1);
    if (Number(slider.value) >= slider.max) stop();
  }, calm ? 1500 : 700);
});
strip.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) { stop(); go([...strip.children].indexOf(button)); }
});
const law = document.querySelector("#learn-back-law");
if (law) new MutationObserver(() => run && formulas(Number(slider.value))).observe(law, { childList: true, subtree: true });

once((value) => {
  stop();
  const share = run ? Number(slider.value) / Math.max(1, slider.max) : 0.5;
  run = value;
  slider.max = run.steps.length - 1;
  slider.value = Math.round(share * slider.max);
  $(".clean").src = run.clean;
  strip.innerHTML = run.steps.map((step, k) => `<button type="button" aria-label="Step ${k + 1}"><img src="${step.guess}" alt=""><img src="${k ? run.steps[k - 1].after : run.start}" alt=""></button>`).join("");
  show();
});
