// A file that this browser cannot show as a picture, a TIFF or none at all, leaves its frame without a broken image.
() => {
  const shown = ({ type, target }) => {
    const frame = target.closest?.(".image-frame");
    if (frame) frame.classList.toggle("unseen", type === "error");
  };
  for (const event of ["load", "error"]) document.addEventListener(event, shown, true);
}
