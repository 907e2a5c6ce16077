// The list of photos. What is dropped is uploaded here, a few at a time; look() on the server says what is new.
const $ = (selector) => element.querySelector(selector);
const head = (selector) => document.querySelector(`#batch-head ${selector}`);
const KEY = "stepback-batch", AT_ONCE = 3, SPOKEN = 4000;
const rows = new Map(), queue = [];
let id = read(), since = 0, asked = 0, asking = false, stale = false, eager = 0, last = null, opened = null;
let flying = 0, arrived = 0, refused = [], spoken = 0, words = "", line = Promise.resolve();

function read() { try { return sessionStorage.getItem(KEY); } catch { return null; } }
function remember(key) { id = key; try { key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY); } catch { /* this page alone */ } }

function make(kind, name, parent, text = "") {
  const made = document.createElement(kind);
  if (name) made.className = name;
  if (text) made.textContent = text;
  parent.append(made);
  return made;
}

function set(node, text) { if (node.textContent !== text) node.textContent = text; }
function able(button, can) { button?.setAttribute("aria-disabled", !can); }
function count(n, what) { return `${n} ${what}${n === 1 ? "" : "s"}`; }
function complain(sentences) { const place = head(".said"); place.replaceChildren(); for (const s of sentences) make("p", "error", place, s); }

// photos that come

async function take(file, coming) {
  try {
    const { path } = await coming, told = await server.take({ id, path, name: file.name });
    if (told.id) remember(told.id);
    if (told.said) refused.push(`${file.name}: ${told.said}`);
    if (told.full) queue.length = 0;
  } catch (error) {
    const why = error?.message?.includes(" ") ? ` (${error.message.replace(/[.\s]+$/, "")})` : "";
    refused.push(`${file.name} did not arrive on the server${why}. Drop it again.`);
  }
  flying -= 1;
  arrived += 1;
  arriving();
  look();
  next();
}

function next() {  // uploads go side by side, but are taken in the order in which they were dropped
  while (queue.length && flying < AT_ONCE) {
    const file = queue.shift(), coming = upload(file);
    flying += 1;
    coming.catch(() => {});  // told when its turn comes
    line = line.then(() => take(file, coming));
  }
}

function arriving() {
  const place = head(".arriving"), total = arrived + flying + queue.length;
  place.hidden = !flying && !queue.length;
  set(place, place.hidden ? "" : `${arrived} of ${count(total, "photo")} uploaded`);
  if (place.hidden) { complain(refused.slice(0, 5).concat(refused.length > 5 ? [`${refused.length - 5} more were not taken.`] : [])); arrived = 0; refused = []; }
}

function come(files) {
  queue.push(...files);
  if (!queue.length) return;
  complain([]);
  next();
  arriving();
}

const PICTURE = /\.(jpe?g?|png|webp|tiff?|bmp|gif|heic|heif)$/i;

async function dropped(transfer) {  // a folder's pictures, and those of the folders in it; of what is no folder, everything
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.() || item.getAsFile());
  const found = await Promise.all(entries.map((entry) => (entry instanceof File ? [entry] : inside(entry, true))));
  return found.flat();
}

async function inside(entry, loose) {
  if (entry.isFile) return loose || PICTURE.test(entry.name) ? [await new Promise((done, fail) => entry.file(done, fail))] : [];
  const reader = entry.createReader(), found = [];
  for (;;) {  // a hundred at a time
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return found.flat();
    found.push(...(await Promise.all(some.sort((a, b) => a.name.localeCompare(b.name)).map((inner) => inside(inner, false)))));
  }
}

// how it stands

const STATES = { new: "Being looked at", waiting: "Waiting", failed: "Failed" };

function row(told) {
  let item = rows.get(told.n);
  if (!item) {
    item = make("tr", "", $("tbody"));
    const first = make("th", "", item), photo = make("div", "photo", first);
    first.scope = "row";
    item.setAttribute("role", "row");  // said again, for a phone's layout is no table's
    first.setAttribute("role", "rowheader");
    make("img", "", photo).alt = "";
    const text = make("span", "text", photo);
    make("span", "name", text);
    make("small", "", text);
    make("td", "seen", item).setAttribute("role", "cell");
    const state = make("td", "state", item);
    state.setAttribute("role", "cell");
    make("span", "word", state);
    make("progress", "", state).max = 1;
    const deeds = make("td", "deeds", item);
    deeds.setAttribute("role", "cell");
    for (const [deed, label] of [["open", "Look"], ["retry", "Try again"], ["remove", "Remove"]]) {
      const button = make("button", "", deeds, label);
      button.type = "button";
      Object.assign(button.dataset, { do: deed, n: told.n });
    }
    rows.set(told.n, item);
  }
  fill(item, told);
}

function fill(item, told) {
  const part = (selector) => item.querySelector(selector);
  item.dataset.state = told.state;
  if (told.thumbnail && part("img").src !== told.thumbnail) part("img").src = told.thumbnail;
  set(part(".name"), told.name);
  set(part("small"), [told.size, told.bytes].filter(Boolean).join(", "));
  set(part(".seen"), told.state === "failed" ? told.said : told.seen);
  const percent = Math.round(100 * told.share);
  set(part(".word"), told.state === "working" ? `At work, ${percent} %` : told.state === "done" ? `Done in ${told.seconds} s` : STATES[told.state]);
  part("progress").hidden = told.state !== "working";
  part("progress").value = told.share;
  part("progress").setAttribute("aria-label", `Progress of ${told.name}`);
  const shown = { open: told.state === "done", retry: told.state === "failed", remove: told.state !== "working" };
  for (const button of item.querySelectorAll("button")) {
    button.hidden = !shown[button.dataset.do];
    button.setAttribute("aria-label", `${button.textContent}: ${told.name}`);
  }
}

function sentence(h) {
  const { done, failed, waiting } = h.counts, open = h.total - done - failed;
  const faults = failed ? `, ${failed} failed` : "";
  if (h.running && h.stopping) return "Stopping";
  if (h.running && h.queued) return `${done} of ${h.total} done${faults}. Somebody else has a turn first.`;
  if (h.running) return `${done} of ${h.total} done${faults}.${h.left ? ` ${h.left[0].toUpperCase()}${h.left.slice(1)} left.` : ""}`;
  if (h.counts.new) return `Looking at ${count(h.counts.new, "photo")}`;
  const need = h.left && open ? ` That takes ${h.left}.` : "";
  if (!done && !failed) return `${count(waiting, "photo")} waiting.${need}`;
  return open ? `${done} of ${h.total} done${faults}, ${open} waiting.${need}` : `${done} of ${h.total} done${faults}.`;
}

function whole(h) {
  last = h;
  const { done, failed } = h.counts, open = h.total - done - failed, some = h.total > 0;
  const start = head("[data-do=start]");
  if (!start) return;
  set(start, h.running ? "Restoring" : done && open ? `Go on: ${open} left` : `Restore${open ? " " + count(open, "photo") : ""}`);
  able(start, some && open && !h.running);
  able(head("[data-do=stop]"), h.running && !h.stopping);
  able(head("[data-do=zip]"), done > 0);
  set(head("[data-do=zip]"), done ? `Download zip (${done})` : "Download zip");
  head(".all").hidden = !some;
  head(".bar").setAttribute("aria-valuenow", Math.round(100 * h.share));
  head(".bar i").style.width = `${100 * h.share}%`;
  set(head(".told"), sentence(h));
  if (h.said !== words) { words = h.said; complain(words ? [words] : []); }
  $(".empty").hidden = some;
  $("table").hidden = !some;
  $(".rest").hidden = !some;
  $("[data-do=retry]:not([data-n])").hidden = !failed || h.running;
  $("[data-do=anew]").hidden = !done || h.running;
  able($("[data-do=clear]"), !h.running);
  speak(h, done + failed);
}

let heard = "", told = "";
function speak(h, ended) {  // a screen reader hears when photos end and when the run does, not every per cent
  const now = `${ended}/${h.total}/${h.running}/${h.queued}/${h.stopping}`;
  if (now === heard || (h.running && Date.now() - spoken < SPOKEN)) return;
  heard = now;
  const words = h.total ? sentence(h) : "";
  if (words === told) return;
  spoken = Date.now();
  told = words;
  set(head(".heard"), words);
}

function draw(news) {
  if (news.lost !== undefined) { forget(); complain([news.lost]); return; }
  const there = new Set(news.rows.map((r) => r.n)), gone = news.fresh ? [...rows.keys()].filter((n) => !there.has(n)) : news.gone;
  for (const n of gone) { rows.get(n)?.remove(); rows.delete(n); if (n === opened) close(); }
  news.rows.forEach(row);
  since = news.version;
  whole(news.head);
}

function forget() {
  remember(null);
  since = 0;
  rows.forEach((item) => item.remove());
  rows.clear();
  if (opened !== null) close();
  whole({ counts: { new: 0, waiting: 0, working: 0, done: 0, failed: 0 }, total: 0, share: 0, said: "", left: "" });
}

async function look() {
  if (!id) return;
  if (asking) { stale = true; return; }  // the answer under way may be of before
  [asking, stale, asked] = [true, false, Date.now()];
  try { draw(await server.look({ id, since })); } catch { /* the server is gone; the page says so itself */ }
  asking = false;
  if (stale) look();
}

// what is pressed

function close() {
  const button = rows.get(opened)?.querySelector("[data-do=open]");
  opened = null;
  trigger("select", { id, n: null });
  button?.focus();
}

function open(n) {
  opened = n;
  trigger("select", { id, n });
  setTimeout(arrive, 100, n);
}

function arrive(n, tries = 100) {  // the pictures have come: there the reader goes on
  const place = document.querySelector("#batch-opened");
  if (opened !== n || !tries) return;
  if (!place || place.classList.contains("away")) { setTimeout(arrive, 100, n, tries - 1); return; }
  place.scrollIntoView({ block: "start" });
  document.querySelector("#batch-close").focus({ preventScroll: true });
}

function sure(button) {  // once more, where results are lost
  if (!button.dataset.sure || button.dataset.asked) return true;
  [button.dataset.asked, button.dataset.words] = ["1", button.textContent];
  button.textContent = button.dataset.sure;
  setTimeout(() => { button.textContent = button.dataset.words; delete button.dataset.asked; }, 4000);
  return false;
}

async function press(button) {
  const { do: deed } = button.dataset, n = button.dataset.n ? Number(button.dataset.n) : null;
  if (button.getAttribute("aria-disabled") === "true" || !sure(button)) return;
  complain([]);
  if (deed === "open") { open(n); return; }
  if (deed === "start") { able(button, false); eager = Date.now() + 4000; trigger("submit", { id }); return; }
  const label = button.textContent;
  if (deed === "zip") { button.textContent = "Packing"; able(button, false); }
  let answer = {};
  try { answer = await server.act({ id, do: deed, n }); } catch { complain(["The server did not answer. Try again."]); }
  if (deed === "zip") { button.textContent = label; able(button, true); }
  if (answer.said) complain([answer.said]);
  if (answer.lost) draw(answer);
  if (answer.address) {
    const link = make("a", "", document.body);
    [link.href, link.download] = [answer.address, ""];
    link.click();
    link.remove();
  }
  if (deed === "remove") focusAfter(n);
  look();
}

function focusAfter(n) {  // the removed row's button had the focus: its neighbour's has it next
  const item = rows.get(n), beside = item?.nextElementSibling || item?.previousElementSibling;
  (beside?.querySelector("[data-do=remove]:not([hidden])") || document.querySelector("#batch-drop input"))?.focus();
}

function within(event, selector) { return event.target.closest?.(selector); }

const listeners = {
  click: (event) => {
    if (within(event, "#batch-close")) close();
    const button = within(event, "#batch-head [data-do], #batch-list [data-do]");
    if (button) press(button);
  },
  change: (event) => { if (within(event, "#batch-drop input")) { come(event.target.files); event.target.value = ""; } },
  dragover: (event) => { const zone = within(event, "#batch"); if (zone) { event.preventDefault(); zone.classList.add("over"); } },
  dragleave: (event) => { const zone = within(event, "#batch"); if (zone && !zone.contains(event.relatedTarget)) zone.classList.remove("over"); },
  drop: (event) => {
    const zone = within(event, "#batch");
    if (!zone) return;
    event.preventDefault();
    zone.classList.remove("over");
    dropped(event.dataTransfer).then(come, () => complain(["What was dropped could not be read. Drop the photos themselves."]));
  },
};
for (const kind in listeners) document.addEventListener(kind, listeners[kind]);

const clock = setInterval(() => {
  if (!element.isConnected) {
    clearInterval(clock);
    for (const kind in listeners) document.removeEventListener(kind, listeners[kind]);
    return;
  }
  const busy = last?.running || last?.looking || Date.now() < eager, here = element.offsetParent && !document.hidden;
  if (Date.now() - asked > (here ? (busy ? 500 : 5000) : 20000)) look();
}, 250);
look();
