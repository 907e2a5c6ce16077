// How far the work is, in the window's title: for who looks at something else meanwhile. That it has ended stays there
// until the page is looked at again.
() => {
  const AT_WORK = '.film:is([data-state="running"], [data-state="waiting"]) .bar, .batch-head:has([data-do="stop"][aria-disabled="false"]) .bar';
  const name = document.title;
  let worked = false;

  function tell() {
    const bar = document.querySelector(AT_WORK);
    if (bar) document.title = `${bar.getAttribute("aria-valuenow")} % · ${name}`;
    else if (worked) document.title = document.hidden ? `Ended · ${name}` : name;
    worked = bar !== null;
  }

  new MutationObserver(tell).observe(document.body, { subtree: true, attributeFilter: ["aria-valuenow", "data-state", "aria-disabled"] });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !worked) document.title = name; });
}
