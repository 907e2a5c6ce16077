// The U: each box is a part that ran, as low as its picture is small, with one of its channels inside.
const svg = $("svg"), BOX = 74, GAP = 30, DROP = 112, TOP = 64;
let found = null, chosen = 0;
const shape = ([c, h, w]) => `${c} × ${h} × ${w}`;
const many = (n) => (n >= 1e6 ? (n / 1e6).toFixed(2) + " million" : n >= 1e4 ? Math.round(n / 1000) + " thousand" : n.toLocaleString("en"));

function draw() {
  const tallest = found.enters[1], depth = (h) => Math.max(0, Math.log2(tallest / h));
  const boxes = [{ name: "in", shape: found.enters, end: found.seen }, ...found.parts, { name: "out", shape: found.leaves, end: found.answer }];
  const places = boxes.map((part, k) => ({ x: 10 + k * (BOX + GAP), y: TOP + depth(part.shape[1]) * DROP * 0.62 }));
  const width = 20 + boxes.length * (BOX + GAP) - GAP, height = Math.max(...places.map((p) => p.y)) + BOX + 62;
  const arrow = (from, to) => `<path class="flow" d="M${from.x + BOX + 2} ${from.y + BOX / 2}C${from.x + BOX + GAP / 2} ${from.y + BOX / 2} ${to.x - GAP / 2} ${to.y + BOX / 2} ${to.x - 3} ${to.y + BOX / 2}" marker-end="url(#learn-arrow)"/>`;
  const bridge = ([i, j]) => {
    const from = places[i + 1], to = places[j + 1], over = Math.min(from.y, to.y) - 16;
    return `<path class="bridge" d="M${from.x + BOX / 2} ${from.y - 2}V${over + 8}Q${from.x + BOX / 2} ${over} ${from.x + BOX / 2 + 8} ${over}H${to.x + BOX / 2 - 8}Q${to.x + BOX / 2} ${over} ${to.x + BOX / 2} ${over + 8}V${to.y - 3}" marker-end="url(#learn-arrow)"/>`;
  };
  const box = (part, k) => {
    const { x, y } = places[k], count = part.repeats > 1 ? ` ×${part.repeats}` : "";
    const inside = `<image href="${part.end || part.maps[0]}" x="${x + 2}" y="${y + 2}" width="${BOX - 4}" height="${BOX - 4}" preserveAspectRatio="none"/>`;
    const open = part.end ? `<g class="box end">` : `<g class="box" role="button" tabindex="0" data-k="${k - 1}" aria-label="${part.name}: ${part.role}, ${shape(part.shape)}">`;
    return `${open}<rect x="${x}" y="${y}" width="${BOX}" height="${BOX}" rx="9"/>${inside}<text class="name" x="${x + BOX / 2}" y="${y + BOX + 16}" text-anchor="middle">${part.name + count}</text><text x="${x + BOX / 2}" y="${y + BOX + 31}" text-anchor="middle">${shape(part.shape)}</text></g>`;
  };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.minWidth = `${Math.min(width, 980)}px`;
  const note = found.told ? `<text class="name" x="10" y="18">noise level → sines → 128 numbers → a scale and a shift in every block</text>` : "";
  svg.innerHTML = `<defs><marker id="learn-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8Z"/></marker></defs>${note}`
    + found.skips.map(bridge).join("") + places.slice(1).map((to, k) => arrow(places[k], to)).join("") + boxes.map(box).join("");
}

function pick(k) {
  chosen = k;
  const part = found.parts[k], bridge = found.skips.find(([i, j]) => i === k || j === k);
  $$(".box[data-k]").forEach((g) => g.classList.toggle("now", Number(g.dataset.k) === k));
  $(".maps").innerHTML = part.maps.map((src, i) => `<img src="${src}" alt="One of the channels of ${part.name}">`).join("");
  const joined = bridge ? bridge[0] === k ? ` Its output also crosses the bridge to ${found.parts[bridge[1]].name}.` : ` What comes over the bridge from ${found.parts[bridge[0]].name} is added here.` : "";
  $(".part p").innerHTML = `<strong>${part.name}</strong>: ${part.role}${part.repeats > 1 ? `, ${part.repeats} of them` : ""}. It gives ${part.shape[0]} channels of ${part.shape[1]} × ${part.shape[2]}, and has learned ${many(part.parameters)} numbers.${joined} The small pictures are the four of its channels with most to see.`;
}

svg.addEventListener("click", (event) => { const g = event.target.closest(".box[data-k]"); if (g) pick(Number(g.dataset.k)); });
svg.addEventListener("focusin", (event) => { const g = event.target.closest(".box[data-k]"); if (g) pick(Number(g.dataset.k)); });

once((value) => {
  found = value;
  $(".words").textContent = found.says;
  draw();
  pick(Math.min(chosen, found.parts.length - 1));
});
