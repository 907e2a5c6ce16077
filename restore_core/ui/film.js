// The live film. `value` brings differences: {run, aspect, i, n, p, caption, src_xt, src_x0, new, all, done, error}.
const $ = (selector) => element.querySelector(selector);
const film = $(".film"), range = $(".scrub input"), strip = $(".strip"), live = $(".live");
const radios = [...element.querySelectorAll(".views input")];
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
let run = null, moments = [], latest = null, at = null, timer = 0, spoken = 0, late = 0, drawn = 0;

const radioName = "film-view-" + Math.random().toString(36).slice(2);
function look(view) {
  film.dataset.view = view;
  for (const radio of radios) radio.checked = radio.value === view;
  drawStrip();
}
for (const radio of radios) {
  radio.name = radioName;
  radio.addEventListener("change", () => { look(radio.value); tell({ view: radio.value }); });
}

function show(picture) {
  if (picture.src_xt) $(".noisy img").src = picture.src_xt;
  if (picture.src_x0) $(".guess img").src = picture.src_x0;
  if (picture.caption !== undefined) $(".badge").textContent = picture.caption;
}

function say(text, now) {
  clearTimeout(late);
  const wait = now ? 0 : Math.max(0, spoken + 2000 - Date.now());  // a screen reader cannot follow twelve a second
  late = setTimeout(() => { $(".say").textContent = text; spoken = Date.now(); }, wait);
}

function thumbnail(moment) {
  return film.dataset.view === "guess" ? moment.guess : moment.src;
}

function drawStrip() {
  strip.querySelectorAll("img").forEach((img, k) => { img.src = thumbnail(moments[k]); });
}

function add(moment) {
  const k = moments.push(moment) - 1;
  const button = document.createElement("button"), img = document.createElement("img");
  button.type = "button";
  button.setAttribute("aria-label", moment.caption);
  button.title = moment.caption;
  img.alt = "";
  img.src = thumbnail(moment);
  button.append(img);
  button.addEventListener("click", () => choose(k));
  button.addEventListener("focus", () => { if (button.matches(":focus-visible")) choose(k); });
  strip.append(button);
  range.max = k;
  range.disabled = k < 1;
  if (at === null) { range.value = k; strip.scrollLeft = strip.scrollWidth; }
}

function mark(k) {
  [...strip.children].forEach((button, j) => button.setAttribute("aria-current", String(j === k)));
  range.value = k;
  range.setAttribute("aria-valuetext", moments[k].caption);
}

function rest(k) {  // look at one moment; the thumbnail at once, the sharp picture when the reader stays
  const moment = moments[k];
  if (!moment) return;
  at = k;
  film.dataset.rest = "true";
  live.textContent = film.dataset.state === "running" ? "Live" : "Close";
  live.hidden = false;
  mark(k);
  show({ src_xt: moment.full_xt || moment.src, src_x0: moment.full_x0 || moment.guess, caption: moment.caption });
  const button = strip.children[k], box = strip.getBoundingClientRect(), own = button.getBoundingClientRect();
  if (own.left < box.left || own.right > box.right) strip.scrollLeft += own.left - box.left - box.width / 2;
  clearTimeout(timer);
  if (moment.full_xt) return;
  timer = setTimeout(async () => {
    const asked = run, full = await server.moment([run, moment.k]);
    if (!full || asked !== run) return;
    [moment.full_xt, moment.full_x0] = full;
    if (at === k) show({ src_xt: full[0], src_x0: full[1] });
  }, 80);
}

function follow() {
  at = null;
  film.dataset.rest = "false";
  live.hidden = true;
  if (latest) show(latest);
  if (moments.length) mark(moments.length - 1);
}

function begin(value) {
  run = value.run;
  moments = [];
  latest = { src_xt: "", src_x0: "", caption: "" };
  strip.replaceChildren();
  element.querySelectorAll(".stage img").forEach((img) => img.removeAttribute("src"));
  range.disabled = true;
  follow();
  film.style.setProperty("--aspect", Math.min(3, Math.max(0.4, value.aspect || 1.5)));  // a strip would have no height
  film.dataset.tall = value.aspect < 0.9;
  if (!value.done) comeIntoView();  // else it is a refusal, and its sentence stands beside the button
}

function comeIntoView() {  // the first of a group for all of it
  const { top, bottom } = $(".stage").getBoundingClientRect();
  const first = [...document.querySelectorAll(".film")].find((other) => other.dataset.group === film.dataset.group);
  if (first !== film || (top >= 0 && bottom <= innerHeight)) return;
  film.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: props.group ? "start" : "nearest" });
}

watch("value", () => {
  const value = props.value;
  if (!value || !value.run) return;
  if (value.run !== run) begin(value);
  const have = new Set(moments.map((m) => m.k));
  for (const moment of value.all || value.new || []) if (!have.has(moment.k)) add(moment);
  const seen = value.src_xt || latest.src_xt || moments.length;
  film.dataset.state = value.done ? (!seen ? "empty" : value.error ? "error" : "done") : seen ? "running" : "waiting";
  for (const key of ["src_xt", "src_x0", "caption"]) if (value[key] !== undefined) latest[key] = value[key];
  if (at === null && (!calm || value.done || Date.now() - drawn > 500)) {
    drawn = Date.now();
    show(latest);
    if (moments.length) mark(moments.length - 1);
  }
  if (value.p !== undefined) {
    $(".bar i").style.width = 100 * value.p + "%";
    $(".bar").setAttribute("aria-valuenow", Math.round(100 * value.p));
  }
  if (value.done && at !== null) rest(at);
  say(value.caption, value.done);
});

function choose(k) {  // by hand: linked films come along
  rest(k);
  if (moments[k]) tell({ level: moments[k].level });
}

range.addEventListener("input", () => choose(Number(range.value)));
live.addEventListener("click", () => { follow(); tell({ level: null }); });
strip.addEventListener("keydown", (event) => {
  const now = at === null ? moments.length - 1 : at;
  const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: moments.length - 1 }[event.key];
  if (to === undefined || !moments[to]) return;
  event.preventDefault();
  strip.children[to].focus({ preventScroll: true });
  choose(to);
});
