// Photos that come: what is dropped is uploaded here, a few at a time, and taken in the order in which it was dropped.
const AT_ONCE = 3, queue = [];
let flying = 0, arrived = 0, refused = [], line = Promise.resolve();

async function take(file, coming) {
  try {
    const { path } = await coming, told = await server.take({ id, path, name: file.name });
    if (told.id) remember(told.id);
    if (told.said) refused.push(`${file.name}: ${told.said}`);
    if (told.full) queue.length = 0;
  } catch (error) {
    const why = error?.message?.includes(" ") ? ` (${error.message.replace(/[.\s]+$/, "")})` : "";
    refused.push(`${file.name} did not arrive on the server${why}. Drop it again.`);
  }
  flying -= 1;
  arrived += 1;
  arriving();
  look();
  next();
}

function next() {  // uploads go side by side, but are taken in the order in which they were dropped
  while (queue.length && flying < AT_ONCE) {
    const file = queue.shift(), coming = upload(file);
    flying += 1;
    coming.catch(() => {});  // told when its turn comes
    line = line.then(() => take(file, coming));
  }
}

function arriving() {
  const place = head(".arriving"), total = arrived + flying + queue.length;
  place.hidden = !flying && !queue.length;
  set(place, place.hidden ? "" : `${arrived} of ${count(total, "photo")} uploaded`);
  if (place.hidden) { complain(refused.slice(0, 5).concat(refused.length > 5 ? [`${refused.length - 5} more were not taken.`] : [])); arrived = 0; refused = []; }
}

function come(files) {
  queue.push(...files);
  if (!queue.length) return;
  complain([]);
  next();
  arriving();
}

const PICTURE = /\.(jpe?g?|png|webp|tiff?|bmp|gif|heic|heif)$/i;

async function dropped(transfer) {  // a folder's pictures, and those of the folders in it; of what is no folder, everything
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.() || item.getAsFile());
  const found = await Promise.all(entries.map((entry) => (entry instanceof File ? [entry] : inside(entry, true))));
  return found.flat();
}

async function inside(entry, loose) {
  if (entry.isFile) return loose || PICTURE.test(entry.name) ? [await new Promise((done, fail) => entry.file(done, fail))] : [];
  const reader = entry.createReader(), found = [];
  for (;;) {  // a hundred at a time
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return found.flat();
    found.push(...(await Promise.all(some.sort((a, b) => a.name.localeCompare(b.name)).map((inner) => inside(inner, false)))));
  }
}
