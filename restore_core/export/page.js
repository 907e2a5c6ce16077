for (const film of document.querySelectorAll(".film")) {
  const moments = [...film.querySelectorAll("figure")], range = film.querySelector("input");
  const show = () => moments.forEach((moment, k) => { moment.hidden = k !== Number(range.value); });
  range.addEventListener("input", show);
  show();
}
