// One of Gradio's numbers, alone or beside a slider: typed beyond its ends, or cleared beside a slider, it is not told to
// the server, which would refuse it and everything sent with it. When the field is left it is brought to the nearer end,
// or back to where the slider stands, and told.
() => {
  function allowed(box) {
    if (box.type !== "number" || box.closest(".html-container")) return box.value;
    const slider = box.closest(".block")?.querySelector('[data-testid="range-input"]');
    if (box.value === "") return slider ? slider.value : "";
    const { min, max } = slider ?? box, number = Number(box.value);
    return min !== "" && number < Number(min) ? min : max !== "" && number > Number(max) ? max : box.value;
  }

  document.addEventListener("input", (event) => {
    if (allowed(event.target) !== event.target.value) event.stopImmediatePropagation();
  }, true);

  document.addEventListener("change", ({ target: box }) => {
    if (allowed(box) === box.value) return;
    box.value = allowed(box);
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }, true);
}
