// Curves on axes, drawn as SVG: no library. Colours come from the page's style sheet, by class.
const $ = (selector) => element.querySelector(selector);
const $$ = (selector) => [...element.querySelectorAll(selector)];
const fixed = (v, digits = 2) => (v < -0.5 * 10 ** -digits ? "−" : "") + Math.abs(v).toFixed(digits);

function plot(svg, { x, y, xticks = [], yticks = [], xlabel = "", ylabel = "", lines = [], logx = false, logy = false, W = 400, H = 230 }) {
  const left = 44, right = 14, top = 28, bottom = 34;
  const fx = logx ? Math.log : (v) => v, fy = logy ? Math.log : (v) => v;
  const px = (v) => left + (fx(v) - fx(x[0])) / (fx(x[1]) - fx(x[0])) * (W - left - right);
  const py = (v) => H - bottom - (fy(v) - fy(y[0])) / (fy(y[1]) - fy(y[0])) * (H - top - bottom);
  const pair = (t) => Array.isArray(t) ? t : [t, String(t).replace("-", "−")];
  const parts = [`<text class="axis" x="${left - 34}" y="12">${ylabel}</text>`,
    `<text class="axis" x="${W - right}" y="${H - 3}" text-anchor="end">${xlabel}</text>`];
  for (const [v, text] of yticks.map(pair)) {
    parts.push(`<line class="grid" x1="${left}" x2="${W - right}" y1="${py(v)}" y2="${py(v)}"/>`,
      `<text class="tick" x="${left - 6}" y="${py(v) + 4}" text-anchor="end">${text}</text>`);
  }
  for (const [v, text] of xticks.map(pair)) {
    parts.push(`<line class="grid" x1="${px(v)}" x2="${px(v)}" y1="${H - bottom}" y2="${H - bottom + 4}"/>`,
      `<text class="tick" x="${px(v)}" y="${H - bottom + 17}" text-anchor="middle">${text}</text>`);
  }
  for (const line of lines) {
    const points = line.xs.map((v, i) => `${px(v).toFixed(1)},${py(line.ys[i]).toFixed(1)}`).join(" ");
    parts.push(`<polyline class="line ${line.name}" points="${points}"/>`);
  }
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  svg.innerHTML = parts.join("") + `<g class="moving"></g>`;
  const moving = svg.querySelector(".moving");
  return { px, py, W, H, left, right, top, bottom,
    move(markup) { moving.innerHTML = markup; },
    cursor(v, dots) {  // a line at v and a dot on each curve
      moving.innerHTML = `<line class="cursor" x1="${px(v)}" x2="${px(v)}" y1="${top - 6}" y2="${H - bottom}"/>`
        + dots.map(([name, at]) => `<circle class="dot ${name}" cx="${px(v)}" cy="${py(at)}" r="5"/>`).join("");
    } };
}

const STOPS = [[0, 18, 14, 52], [0.3, 92, 22, 110], [0.6, 205, 65, 76], [0.82, 249, 150, 40], [1, 252, 246, 190]];
function heat(share) {  // dark to light, as the spread maps are
  const k = Math.max(1, STOPS.findIndex((s) => s[0] >= share)), [a, b] = [STOPS[k - 1], STOPS[k]];
  const part = (share - a[0]) / (b[0] - a[0]);
  return `rgb(${[1, 2, 3].map((c) => Math.round(a[c] + part * (b[c] - a[c]))).join(" ")})`;
}

function density(values, bins, edge) {  // a histogram of area 1 over [-edge, edge]; what lies beyond counts at the ends
  const counts = new Float64Array(bins), scale = bins / (2 * edge);
  for (const v of values) counts[Math.min(bins - 1, Math.max(0, Math.floor((v + edge) * scale)))] += scale / values.length;
  return counts;
}

function moments(values) {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length) };
}

function bytes(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

function once(draw) {  // now, if the value is there already, and whenever it changes
  const drawn = () => {
    if (!props.value || !props.value.scene) return;
    element.firstElementChild.dataset.ready = "true";
    draw(props.value);
  };
  watch("value", drawn);
  drawn();
}
