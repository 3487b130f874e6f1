"use strict";
// Search, sorting and opening. Without a script everything is there, and open.
(() => {
  const byId = (id) => document.getElementById(id);
  const lists = [...document.querySelectorAll("table.list")];
  const find = byId("find"), show = byId("show"), sort = byId("sort"), count = byId("count");
  const images = byId("images");
  const first = new Map(lists.map((list) => [list, [...list.tBodies]]));

  for (const list of lists) {
    for (const body of list.tBodies) {
      body.dataset.text = body.textContent.toLowerCase();
      const more = body.querySelector(":scope > .more"), button = body.querySelector(".open");
      if (more && button) {
        button.hidden = false;
        button.addEventListener("click", () => open(body, more.hidden));
        open(body, false);
      }
    }
    list.querySelectorAll("th[data-key]").forEach((head) => {
      head.firstElementChild.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending"
          || (head.dataset.down !== undefined && head.getAttribute("aria-sort") !== "descending");
        arrange(list, head.dataset.key, down);
        if (list === images) { sort.value = `${head.dataset.key}${down ? "-down" : ""}`; keep(); }
      });
    });
  }
  document.querySelectorAll(".tools").forEach((tools) => { tools.hidden = false; });

  function open(body, yes) {
    body.querySelector(":scope > .more").hidden = !yes;
    body.querySelector(".open").setAttribute("aria-expanded", String(yes));
  }

  // Every word must be there; a word in quotes may have blanks in it.
  function filter() {
    const words = (find.value.toLowerCase().match(/"[^"]+"|[^\s"]+/g) || [])
      .map((word) => word.replaceAll('"', ""));
    let shown = 0;
    for (const [list, bodies] of first) {
      let any = false;
      for (const body of bodies) {
        const fits = words.every((word) => body.dataset.text.includes(word))
          && (!show.value || body.dataset.is === undefined
            || body.dataset.is.split(" ").includes(show.value));
        body.hidden = !fits;
        any = any || fits;
        if (fits && list === images) shown += 1;
      }
      if (list !== images) list.closest("section").hidden = !any;
    }
    const all = first.get(images) || [];
    count.textContent = shown === all.length
      ? `${all.length} images` : `${shown} of ${all.length} images`;
  }

  function arrange(list, key, down) {
    list.querySelectorAll("th").forEach((head) => head.removeAttribute("aria-sort"));
    const bodies = [...first.get(list)];
    const head = key && list.querySelector(`th[data-key="${CSS.escape(key)}"]`);
    if (head) {
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (body) => body.rows[0].cells[head.cellIndex].dataset.v || "";
      const isNumber = head.dataset.number !== undefined;
      bodies.sort((one, other) => {
        const [a, b] = [value(one), value(other)];
        const order = isNumber ? a - b : a.localeCompare(b, "en", { numeric: true });
        return down ? -order : order;
      });
    }
    list.append(...bodies);
  }

  // What is looked for stands in the address, so that it can be passed on.
  function keep() {
    const state = new URLSearchParams();
    if (find.value) state.set("find", find.value);
    if (show.value) state.set("show", show.value);
    if (sort.value) state.set("sort", sort.value);
    const text = state.toString();
    try {
      history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    } catch { /* some browsers forbid it for files */ }
  }

  function recall() {
    const state = new URLSearchParams(location.hash.slice(1));
    find.value = state.get("find") || "";
    show.value = state.get("show") || "";
    sort.value = state.get("sort") || "";
    if (show.selectedIndex < 0) show.value = "";
    if (sort.selectedIndex < 0) sort.value = "";
    const [key, down] = sort.value.split("-");
    if (images) arrange(images, key, down === "down");
    filter();
    if (state.has("open")) openAll();
  }

  function openAll() {
    const bodies = [...first.values()].flat()
      .filter((body) => !body.hidden && body.querySelector(":scope > .more"));
    const yes = bodies.some((body) => body.querySelector(":scope > .more").hidden);
    bodies.forEach((body) => open(body, yes));
  }

  if (find) {
    find.addEventListener("input", () => { filter(); keep(); });
    show.addEventListener("change", () => { filter(); keep(); });
    sort.addEventListener("change", () => {
      const [key, down] = sort.value.split("-");
      arrange(images, key, down === "down");
      keep();
    });
    byId("open-all").addEventListener("click", openAll);
    byId("print").addEventListener("click", () => window.print());
    window.addEventListener("hashchange", recall);
    recall();
  }
})();
