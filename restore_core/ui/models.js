// The list of weights. look() and act() on the server say how everything stands; only what changed is drawn anew.
const $ = (selector) => element.querySelector(selector);
const places = $(".groups"), trouble = $(".models > .error"), needed = $(".needed");
let wanted = {}, busy = false, asked = 0, sure = null;

function swap(place, html) {  // new content; what was unfolded or focused stays so
  if (place.dataset.html === html) return;
  const open = place.querySelector("details")?.open, focus = place.contains(document.activeElement) && document.activeElement;
  const choice = place.querySelector("select")?.value;
  place.dataset.html = html;
  place.innerHTML = html;
  if (open && place.querySelector("details")) place.querySelector("details").open = true;
  if (choice) place.querySelector("select").value = choice;
  if (focus) (place.querySelector(`[data-do="${focus.dataset.do}"]`) || place.querySelector("button, summary"))?.focus();
}

function make(kind, name, parent) {
  const made = document.createElement(kind);
  made.className = name;
  parent.append(made);
  return made;
}

function group(told) {
  let place = [...places.children].find((p) => p.dataset.title === told.title);
  if (!place) {
    place = make("details", "group", places);
    place.dataset.title = told.title;
    place.open = told.open;
    const line = make("summary", "", place);
    make("span", "title", line).textContent = told.title;
    make("span", "count", line);
    make("p", "error", place);
    make("ul", "", place);
  }
  place.querySelector(".count").textContent = told.count;
  place.querySelector(".error").textContent = told.said;
  const list = place.querySelector("ul"), rows = new Map([...list.children].map((row) => [row.dataset.id, row]));
  for (const row of told.rows) {
    const item = rows.get(row.id) || make("li", "row", list);
    item.dataset.id = row.id;
    rows.delete(row.id);
    swap(item, row.html);
  }
  rows.forEach((row) => row.remove());
}

function draw(news) {
  busy = news.busy;
  swap($(".machine"), news.machine);
  const titles = new Set(news.groups.map((g) => g.title));
  [...places.children].forEach((place) => { if (!titles.has(place.dataset.title)) place.remove(); });
  news.groups.forEach(group);
  if (places.firstChild && places.firstChild.dataset.title !== news.groups[0].title) {
    news.groups.forEach((g) => places.append([...places.children].find((p) => p.dataset.title === g.title)));
  }
  if (news.said !== undefined) trouble.textContent = news.said;
  mark();
}

function mark() {  // what another tab asked for
  const rows = [...places.querySelectorAll(".row")], keys = wanted.needed || [];
  rows.forEach((row) => row.classList.toggle("wanted", keys.includes(row.dataset.id)));
  const open = keys.filter((key) => rows.find((r) => r.dataset.id === key)?.querySelector('.chip:not(.good)'));
  needed.hidden = !open.length;
}

async function look() {
  asked = Date.now();
  try { draw(await server.look([])); } catch { /* the server is gone; the page says so itself */ }
}

async function press(button) {
  const { do: deed, key } = button.dataset;
  if (deed === "remove" && sure !== key) {  // once more, to be sure
    sure = key;
    button.textContent = "Really remove?";
    setTimeout(() => { if (sure === key) { sure = null; button.textContent = "Remove"; } }, 4000);
    return;
  }
  sure = null;
  const more = button.parentElement.querySelector("select")?.value || "";
  button.disabled = true;
  draw(await server.act([deed, key, more]));
  button.disabled = false;
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button) press(button);
});

async function arrive() {  // another tab asks for weights
  if (!props.value) return;
  wanted = await server.want(props.value);
  if (!wanted.needed) { mark(); return; }
  needed.replaceChildren();
  make("p", "", needed).textContent = wanted.said;
  if (wanted.get) {
    const button = make("button", "first", needed);
    button.type = "button";
    Object.assign(button.dataset, { do: "get", key: wanted.get });
    button.textContent = wanted.words;
  }
  await look();
  const first = [...places.querySelectorAll(".row")].find((row) => wanted.needed.includes(row.dataset.id));
  for (const key of wanted.needed) {
    const place = [...places.querySelectorAll(".row")].find((row) => row.dataset.id === key)?.closest(".group");
    if (place) place.open = true;
  }
  first?.scrollIntoView({ block: "center" });
}

watch("value", arrive);

const clock = setInterval(() => {
  if (!element.isConnected) clearInterval(clock);
  else if (element.offsetParent && !document.hidden && Date.now() - asked > (busy ? 400 : 2000)) look();
}, 200);
look();
arrive();
