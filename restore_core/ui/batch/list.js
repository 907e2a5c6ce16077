// The list of photos: drop.js brings them, rows.js draws them, look() on the server says what is new. One script.
const $ = (selector) => element.querySelector(selector);
const head = (selector) => document.querySelector(`#batch-head ${selector}`);
const KEY = "stepback-batch";
let id = read(), since = 0, asked = 0, asking = false, stale = false, eager = 0, opened = null;

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

// what is new

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
