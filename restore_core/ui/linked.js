
// Films of one group: where one rests, the others go to the same noise level; a view is changed in all.
const linkBox = $(".link"), linked = $(".link input");

function tell(what) {
  if (!props.group || (what.link === undefined && !linked.checked)) return;
  document.dispatchEvent(new CustomEvent("film", { detail: { ...what, group: props.group, from: element } }));
}

function nearest(level) {
  let best = 0;
  moments.forEach((m, k) => { if (Math.abs(m.level - level) < Math.abs(moments[best].level - level)) best = k; });
  return best;
}

function hear({ detail }) {
  if (!element.isConnected) return document.removeEventListener("film", hear);
  if (detail.group !== props.group || detail.from === element) return;
  if (detail.link !== undefined) linked.checked = detail.link;
  if (!linked.checked) return;
  if (detail.view) look(detail.view);
  if (detail.level === null) follow();
  else if (detail.level !== undefined && moments.length) rest(nearest(detail.level));
}

if (props.group) {
  film.dataset.group = props.group;
  film.setAttribute("aria-label", `Film of ${props.name}`);
  $(".name").textContent = props.name;
  $(".name").hidden = linkBox.hidden = false;
  linked.addEventListener("change", () => tell({ link: linked.checked }));
  document.addEventListener("film", hear);
}
look(props.view || "both");
