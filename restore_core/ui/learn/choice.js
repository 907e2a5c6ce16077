// The pictures as a radio group, the chosen one with a ring; the rest is the page's own.
once((value) => {
  const group = $(".learn-picture");
  group.innerHTML = value.pictures.map(([key, label, src]) =>
    `<label title="${label}"><input type="radio" name="learn-picture" value="${key}"${key === value.scene ? " checked" : ""}><img src="${src}" alt="${label}"></label>`).join("");
});
element.addEventListener("change", (event) => trigger("select", { key: event.target.value }));
