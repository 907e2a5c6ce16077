// A picture that is dropped beside its frame would be opened by the browser in place of the page, and what was made there
// be lost: it goes to the open tab's frame instead. So does one that is pasted. On the window, so that whoever takes what
// is dropped on him has done so already.
() => {
  let own = false;  // a picture of the page itself, moved by mistake
  const holds = (data) => [...(data?.types ?? [])].includes("Files");
  const places = () => [...document.querySelectorAll('#tabs > .tabitem input[type="file"]')];

  function take(files) {
    const place = places().find((input) => input.closest("#tabs > .tabitem").offsetParent !== null);
    if (!place || place.disabled || !files.length) return;
    const taken = new DataTransfer();
    for (const file of place.multiple ? files : [files[0]]) taken.items.add(file);
    place.files = taken.files;
    place.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function come(event) {
    const data = event.dataTransfer ?? event.clipboardData;
    if (own || event.defaultPrevented || !holds(data)) return;
    event.preventDefault();
    if (event.type !== "dragover") take([...data.files]);
  }

  addEventListener("dragstart", () => { own = true; }, true);
  addEventListener("dragend", () => { own = false; }, true);
  for (const kind of ["dragover", "drop", "paste"]) addEventListener(kind, come);
}
