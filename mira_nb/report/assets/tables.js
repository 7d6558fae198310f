// Tables: sort, filter, page, save what is shown.
const tables = (() => {
  const { make, format } = page;
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const MENU_LIMIT = 60;
  const LONG_TEXT = 64;

  const valuesOf = (column) => column.values ?? column.codes.map((code) => column.levels[code]);
  const asNumber = (value) => (value === "inf" ? Infinity : value === "-inf" ? -Infinity : value);
  const isMissing = (value) => value === null || value === undefined || value === "";

  const compare = (column, sign) => (a, b) => {
    const x = column.data[a];
    const y = column.data[b];
    if (isMissing(x) || isMissing(y)) return isMissing(x) - isMissing(y); // missing last, whichever way
    return sign * (column.kind === "text" ? collator.compare(x, y) : asNumber(x) - asNumber(y));
  };

  const cell = (column, value) => {
    const text = format(value, column.kind);
    const node = make("td", { class: column.kind === "text" ? "text" : "number" });
    if (/\S{28}/.test(text)) node.classList.add("long");
    else if (text.length <= 28) node.classList.add("short");
    if (text.length <= LONG_TEXT) node.textContent = text;
    else node.append(make("details", {}, make("summary", { text: `${text.slice(0, LONG_TEXT - 8)}…` }), text));
    return node;
  };

  const build = (root) => {
    const table = page.json(`data-${root.id}`);
    const columns = table.columns.map((column) => ({ ...column, data: valuesOf(column) }));
    const all = Array.from({ length: table.n }, (_, i) => i);
    const state = { query: "", picks: new Map(), sort: null, sign: 1, start: 0, size: 10, rows: all };
    const label = root.dataset.title;

    const search = make("input", { type: "search", placeholder: "Filter rows", "aria-label": `Filter rows of ${label}` });
    const tools = make("div", { class: "tools" }, search);
    for (const column of columns) {
      const repeated = column.levels && column.levels.length > 1 && column.levels.length <= MENU_LIMIT;
      if (!repeated || state.picks.size >= 2) continue;
      const levels = [...column.levels].sort(collator.compare);
      const menu = make("select", { "aria-label": `${column.name} of ${label}` }, make("option", { value: "", text: `${column.name}: all` }));
      levels.forEach((level, i) => menu.append(make("option", { value: String(i + 1), text: level === "" ? "–" : level })));
      state.picks.set(column, null);
      menu.addEventListener("change", () => {
        state.picks.set(column, menu.value === "" ? null : levels[Number(menu.value) - 1]);
        refresh();
      });
      tools.append(menu);
    }
    const saver = make("button", { type: "button", class: "quiet", text: "Save CSV", title: "Save the rows that pass the filter, in this order" });
    tools.append(make("span", { class: "gap" }), saver);

    const head = make("tr");
    const headers = columns.map((column) => {
      const button = make("button", { type: "button", text: column.name });
      const th = make("th", { scope: "col", class: column.kind === "text" ? "text" : "number" }, button);
      button.addEventListener("click", () => {
        if (state.sort === column && state.sign === -1) state.sort = null;
        else if (state.sort === column) state.sign = -1;
        else Object.assign(state, { sort: column, sign: 1 });
        refresh();
      });
      head.append(th);
      return th;
    });
    const body = make("tbody");
    const caption = make("caption", { class: "hidden", text: label });
    const frame = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
      make("table", {}, caption, make("thead", {}, head), body));
    const status = make("span", { role: "status" });
    const step = (text, name, move) => {
      const button = make("button", { type: "button", class: "quiet", text, "aria-label": `${name} page of ${label}` });
      button.addEventListener("click", () => {
        state.start = move();
        show();
      });
      return button;
    };
    const last = () => Math.max(0, Math.floor((state.rows.length - 1) / state.size) * state.size);
    const pager = [
      step("«", "First", () => 0), step("‹", "Previous", () => Math.max(0, state.start - state.size)),
      step("›", "Next", () => Math.min(last(), state.start + state.size)), step("»", "Last", last),
    ];
    const sizes = make("select", { "aria-label": `Rows a page of ${label}` },
      ...[10, 25, 100].map((n) => make("option", { value: String(n), text: `${n} rows` })));
    sizes.addEventListener("change", () => {
      state.size = Number(sizes.value);
      state.start = 0;
      show();
    });
    const foot = make("div", { class: "tools" }, status, make("span", { class: "gap" }), sizes, ...pager);

    const show = () => {
      body.replaceChildren(...state.rows.slice(state.start, state.start + state.size).map((row) =>
        make("tr", {}, ...columns.map((column) => cell(column, column.data[row])))));
      const end = Math.min(state.start + state.size, state.rows.length);
      const of = state.rows.length === table.n ? format(table.n, "integer")
        : `${format(state.rows.length, "integer")} of ${format(table.n, "integer")} that pass the filter`;
      status.textContent = state.rows.length ? `${format(state.start + 1, "integer")}–${format(end, "integer")} of ${of}` : "No row passes the filter";
      pager[0].disabled = pager[1].disabled = state.start === 0;
      pager[2].disabled = pager[3].disabled = end >= state.rows.length;
    };
    const refresh = () => {
      const words = state.query.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      state.rows = all.filter((row) => {
        for (const [column, pick] of state.picks) if (pick !== null && column.data[row] !== pick) return false;
        if (!words.length) return true;
        const text = columns.map((column) => column.data[row]).join("\t").toLocaleLowerCase();
        return words.every((word) => text.includes(word));
      });
      if (state.sort) state.rows.sort(compare(state.sort, state.sign));
      columns.forEach((column, i) => {
        if (column === state.sort) headers[i].setAttribute("aria-sort", state.sign === 1 ? "ascending" : "descending");
        else headers[i].removeAttribute("aria-sort");
      });
      state.start = 0;
      show();
    };
    let timer = null;
    search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        state.query = search.value;
        refresh();
      }, 120);
    });
    saver.addEventListener("click", () => page.save(root.dataset.file,
      page.csv(columns.map((c) => c.name), state.rows.map((row) => columns.map((c) => c.data[row]))), "text/csv"));
    root.classList.toggle("narrow", columns.length <= 3);
    root.replaceChildren(tools, frame, foot);
    refresh();
  };

  const setUp = () => page.near(document.querySelectorAll(".table-view"), (root) => {
    try {
      build(root);
    } catch (error) {
      root.replaceChildren(make("p", { class: "problem", text: `This table cannot be shown: ${error.message}` }));
    }
  });

  return { setUp };
})();
