// The number beside one of Gradio's sliders: typed beyond its ends, or cleared, it is not told to the server, which
// would refuse it. When the field is left it is brought to the nearer end, or back to where the slider stands, and told.
() => {
  function allowed(box) {
    const slider = box.type === "number" && box.closest(".block")?.querySelector('[data-testid="range-input"]');
    if (!slider) return box.value;
    if (box.value === "") return slider.value;
    const number = Number(box.value);
    return number < Number(slider.min) ? slider.min : number > Number(slider.max) ? slider.max : box.value;
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
