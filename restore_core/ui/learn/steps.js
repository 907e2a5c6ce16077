// Errors on logarithmic axes: a sampler's order is the slope of its line.
once((value) => {
  $(".thirds").innerHTML = value.shown.map((one) =>
    `<figure><b>${one.steps} steps</b><img src="${one.picture}" alt="The result of ${one.steps} steps"><img src="${one.map}" alt="Its difference from the end of the path"><figcaption>error <strong>${fixed(one.grey, 1)}</strong> grey levels</figcaption></figure>`).join("");
  const all = value.lines.flatMap((line) => line.points);
  const low = Math.min(...all.map((p) => p[1])), high = Math.max(...all.map((p) => p[1]));
  const floor = 10 ** Math.floor(Math.log10(low)), ceiling = 10 ** Math.ceil(Math.log10(high));
  const ticks = [0.01, 0.1, 0.3, 1, 3, 10, 30, 100].filter((v) => v >= floor && v <= ceiling);
  const chart = plot($("svg"), { x: [3.5, 120], y: [floor, ceiling], logx: true, logy: true, xticks: [4, 8, 15, 30, 60, 100],
    yticks: ticks, xlabel: "network calls", ylabel: "error, grey levels",
    lines: value.lines.map((line) => ({ name: line.key, xs: line.points.map((p) => p[0]), ys: line.points.map((p) => p[1]) })) });
  const shape = { ddim: (x, y) => `<circle cx="${x}" cy="${y}" r="5"`, heun: (x, y) => `<rect x="${x - 4.5}" y="${y - 4.5}" width="9" height="9"`,
    multistep: (x, y) => `<path d="M${x} ${y - 6}L${x + 6} ${y + 5}H${x - 6}Z"` };
  chart.move(value.lines.map((line) => line.points.map(([calls, error, steps]) =>
    `${shape[line.key](chart.px(calls), chart.py(error))} class="mark ${line.key}"><title>${line.label}, ${steps} steps, ${calls} calls: ${error} grey levels</title>${{ ddim: "</circle>", heun: "</rect>", multistep: "</path>" }[line.key]}`).join("")).join(""));
  $(".key2").innerHTML = value.lines.map((line) => `<i class="${line.key}">${{ ddim: "●", heun: "■", multistep: "▲" }[line.key]} ${line.label}, order ${line.order}</i>`).join("");
  $(".words").textContent = `Error: the distance from the end of the path, which was followed in ${value.reference}. Below each picture: where it differs.`;
  $("tbody").innerHTML = value.lines.flatMap((line) => line.points.map(([calls, error, steps]) =>
    `<tr><td>${line.label}</td><td>${steps}</td><td>${calls}</td><td>${error.toFixed(2)}</td></tr>`)).join("");
});
