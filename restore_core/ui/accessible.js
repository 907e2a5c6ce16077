// What Gradio leaves out for those who use the keyboard or hear the page. Its radio buttons have a name each, so that
// arrows do nothing and Tab stops at every one: here those of a question share one. Its examples get their file's name,
// and the sliders of five positions the position's word instead of a number.
() => {
  let groups = 0;

  function join(set) {  // Gradio names a radio button anew whenever it is pressed
    for (const radio of set.querySelectorAll('input[type="radio"][name^="radio-"]')) {
      set.dataset.group ||= `group-${++groups}`;
      radio.name = set.dataset.group;
    }
  }

  function call(example) {
    const file = example.querySelector("img").src.split("/").pop();
    example.setAttribute("aria-label", decodeURIComponent(file).replace(/\.\w+$/, "").replaceAll(/[-_]/g, " "));
  }

  function word(said) {
    const slider = document.querySelector(`#${said.id.replace("-word", "")} input[type="range"]`);
    slider?.setAttribute("aria-valuetext", said.querySelector("strong")?.textContent ?? "");
  }

  const sets = (node) => (node.closest("fieldset") ? [node.closest("fieldset")] : node.querySelectorAll("fieldset"));
  sets(document.body).forEach(join);
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) if (type === "attributes" || addedNodes.length) sets(target).forEach(join);
    for (const { target } of changes) if (target.closest?.('[id$="preset-word"]')) word(target.closest('[id$="preset-word"]'));
  }).observe(document.body, { subtree: true, childList: true, attributeFilter: ["name"] });

  document.addEventListener("load", ({ target }) => {
    const example = target.closest?.(".gallery-item");
    if (example) call(example);
  }, true);
  document.querySelectorAll(".gallery-item:has(img[src])").forEach(call);
  document.querySelectorAll('[id$="preset-word"]').forEach(word);
}
