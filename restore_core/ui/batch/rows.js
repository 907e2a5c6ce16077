// How it stands: a row for each photo, the head for all of them.
const SPOKEN = 4000, rows = new Map();
let last = null, spoken = 0, words = "";
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
