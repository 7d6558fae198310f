// Linked views: what is brushed in a chart fills a table of group means, and its cells can be saved.
const linked = (() => {
  const { make, format } = common;

  const inRange = (value, range) => value !== null && value >= Math.min(...range) && value <= Math.max(...range);

  // rows inside the brush; every brushed view contributes its fields and their ranges
  const brushed = (columns, n, store) => {
    const out = [];
    for (let i = 0; i < n; i += 1) {
      if (store.some((entry) => entry.fields.every((field, k) => inRange(columns[field.field]?.[i] ?? null, entry.values[k])))) out.push(i);
    }
    return out;
  };

  const mean = (values, rows) => {
    let sum = 0;
    let n = 0;
    for (const i of rows) {
      if (values[i] !== null) {
        sum += values[i];
        n += 1;
      }
    }
    return n ? sum / n : null;
  };

  const connect = (root, view, payload) => {
    const hint = JSON.parse(root.dataset.linked);
    const dataset = payload.packed[hint.dataset];
    const columns = packed.columns(dataset, page.text);
    const place = root.querySelector(".linked");
    const all = Array.from({ length: dataset.n }, (_, i) => i);
    const groups = [...new Set(columns[hint.group].map((g) => g ?? "(none)"))].sort(
      new Intl.Collator(undefined, { numeric: true }).compare);
    let rows = all;

    const status = make("p", { role: "status" });
    const menu = make("select", { "aria-label": `Select one ${hint.group_title} by name` },
      make("option", { value: "", text: `${hint.group_title}: all` }),
      ...groups.map((name) => make("option", { value: name, text: name })));
    const saver = make("button", { type: "button", class: "quiet", text: "Save barcodes" });
    const clear = make("button", { type: "button", class: "quiet", text: "Clear" });
    const frame = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Means of the selected cells" });
    place.replaceChildren(make("div", { class: "tools" }, status, make("span", { class: "gap" }), menu, clear, saver), frame);

    const line = (name, members, total) => make("tr", {}, make("th", { scope: "row", text: name }),
      make("td", { class: "number", text: `${format(members.length, "integer")} of ${format(total, "integer")}` }),
      ...hint.quantities.map((q) => make("td", { class: "number", text: format(mean(columns[q], members), "number") })));

    const show = () => {
      const inside = new Set(rows);
      const table = [line("all selected", rows, dataset.n)];
      if (rows.length < dataset.n) table.push(line("not selected", all.filter((i) => !inside.has(i)), dataset.n));
      for (const name of groups) {
        const members = all.filter((i) => (columns[hint.group][i] ?? "(none)") === name);
        const chosen = members.filter((i) => inside.has(i));
        if (chosen.length) table.push(line(name, chosen, members.length));
      }
      const head = make("tr", {}, make("th", { scope: "col", text: hint.group_title }), make("th", { scope: "col", class: "number", text: "cells" }),
        ...hint.quantities.map((q) => make("th", { scope: "col", class: "number", text: q })));
      frame.replaceChildren(make("table", {}, make("caption", { class: "hidden", text: "Means of the selected cells by group" }),
        make("thead", {}, head), make("tbody", {}, ...table)));
      status.textContent = rows.length === dataset.n ? "Drag over any of the views to select cells."
        : `${format(rows.length, "integer")} of ${format(dataset.n, "integer")} cells selected.`;
      root.dataset.selected = String(rows.length);
    };

    let timer = null;
    const update = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const store = view.data(`${hint.param}_store`);
        rows = store.length ? brushed(columns, dataset.n, store) : all;
        if (menu.value) rows = rows.filter((i) => (columns[hint.group][i] ?? "(none)") === menu.value);
        show();
      }, 60);
    };
    view.addDataListener(`${hint.param}_store`, update);
    menu.addEventListener("change", async () => {
      await view.signal(hint.pick, menu.value).runAsync();
      update();
    });
    clear.addEventListener("click", async () => {
      menu.value = "";
      view.data(`${hint.param}_store`, []);
      await view.signal(hint.pick, "").runAsync();
      update();
    });
    saver.addEventListener("click", () => common.save("barcodes.txt", `${rows.map((i) => columns[hint.barcode][i]).join("\n")}\n`, "text/plain"));
    show();
  };

  return { connect };
})();
