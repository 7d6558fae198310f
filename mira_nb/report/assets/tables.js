// Tables of the report and of the dashboard: sort, filter by column or in all columns, page, save what is shown.
const tables = (() => {
  const { make, format, save, csv } = common;
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const MENU_LIMIT = 60;
  const LONG_TEXT = 64;
  const SIZES = [10, 25, 100];
  const WAIT = 120;

  const valuesOf = (column) => column.values ?? column.codes.map((code) => column.levels[code]);
  const asNumber = (value) => (value === "inf" ? Infinity : value === "-inf" ? -Infinity : value);
  const isMissing = (value) => value === null || value === undefined || value === "";
  const kindOf = (column) => (column.kind === "text" ? "text" : "number");

  const compare = (column, sign) => (a, b) => {
    const x = column.data[a];
    const y = column.data[b];
    if (isMissing(x) || isMissing(y)) return isMissing(x) - isMissing(y); // missing values last, whichever way
    return sign * (column.kind === "text" ? collator.compare(x, y) : asNumber(x) - asNumber(y));
  };

  // every word must be found; "a|b" finds either
  const searcher = (text) => {
    const words = text.toLocaleLowerCase().split(/\s+/).map((word) => word.split("|").filter(Boolean)).filter((word) => word.length);
    return words.length ? (value) => words.every((either) => either.some((part) => value.includes(part))) : null;
  };
  const textOf = (value) => String(value ?? "").toLocaleLowerCase();

  // "< 0.05" or ">= 3" compares numbers; anything else is searched for as text
  const matcher = (column, text) => {
    const comparison = column.kind === "text" ? null : text.match(/^\s*(<=|>=|<|>|=)\s*([-+]?[\d.]+(?:e[-+]?\d+)?)\s*$/i);
    if (!comparison) {
      const found = searcher(text);
      return found && ((value) => found(textOf(value)));
    }
    const limit = Number(comparison[2]);
    const holds = { "<": (v) => v < limit, ">": (v) => v > limit, "<=": (v) => v <= limit, ">=": (v) => v >= limit, "=": (v) => v === limit }[comparison[1]];
    return (value) => !isMissing(value) && holds(asNumber(value));
  };

  const cell = (column, value) => {
    const text = format(value, column.kind);
    const node = make("td", { class: kindOf(column) });
    if (/\S{28}/.test(text)) node.classList.add("long");
    else if (text.length <= 28) node.classList.add("short");
    if (text.length <= LONG_TEXT) node.textContent = text;
    else node.append(make("details", {}, make("summary", { text: `${text.slice(0, LONG_TEXT - 8)}…` }), text));
    return node;
  };

  // a menu where values repeat, else a box; `changed` is called with a test of one value, or null
  const columnFilter = (column, label, changed) => {
    const name = `Filter ${column.name} of ${label}`;
    if (column.levels && column.levels.length > 1 && column.levels.length <= MENU_LIMIT) {
      const levels = [...column.levels].sort(collator.compare);
      const menu = make("select", { "aria-label": name }, make("option", { value: "", text: "all" }));
      levels.forEach((level, i) => menu.append(make("option", { value: String(i + 1), text: level === "" ? "–" : level })));
      menu.addEventListener("change", () => {
        const level = levels[Number(menu.value) - 1];
        changed(menu.value === "" ? null : (value) => value === level);
      });
      return menu;
    }
    const box = make("input", { type: "text", "aria-label": name, placeholder: { text: "text", pvalue: "< 0.05" }[column.kind] ?? ">= 2" });
    let timer = null;
    box.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => changed(matcher(column, box.value)), WAIT);
    });
    return box;
  };

  const searchBox = (label, changed) => {
    const box = make("input", { type: "search", placeholder: "Search all columns", "aria-label": `Search ${label}` });
    let timer = null;
    box.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => changed(searcher(box.value)), WAIT);
    });
    return box;
  };

  // puts a table into `root`; `table` is what report/tables.py makes: n and columns
  const build = (root, table, { title, file, tableClass = null }) => {
    const columns = table.columns.map((column) => ({ ...column, data: valuesOf(column), test: null }));
    const all = Array.from({ length: table.n }, (_, i) => i);
    const state = { search: null, sort: null, sign: 1, start: 0, size: SIZES[0], rows: all };

    const search = searchBox(title, (test) => {
      state.search = test;
      refresh();
    });
    const saver = make("button", { type: "button", class: "quiet", text: "Save CSV", title: "Save the rows that pass the filters, in this order" });
    saver.addEventListener("click", () => save(file, csv(columns.map((c) => c.name), state.rows.map((row) => columns.map((c) => c.data[row]))), "text/csv"));
    const tools = make("div", { class: "tools" }, search, make("span", { class: "gap" }), saver);

    const head = make("tr");
    const filters = make("tr", { class: "filters" });
    const headers = columns.map((column) => {
      const button = make("button", { type: "button", text: column.name });
      const th = make("th", { scope: "col", class: kindOf(column) }, button);
      button.addEventListener("click", () => {
        if (state.sort === column && state.sign === -1) state.sort = null;
        else if (state.sort === column) state.sign = -1;
        else Object.assign(state, { sort: column, sign: 1 });
        refresh();
      });
      head.append(th);
      filters.append(make("td", { class: kindOf(column) }, columnFilter(column, title, (test) => {
        column.test = test;
        refresh();
      })));
      return th;
    });
    const body = make("tbody");
    // a table of one page needs no filters by column
    const top = make("thead", {}, head, ...(table.n > SIZES[0] ? [filters] : []));
    const frame = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
      make("table", { class: tableClass }, make("caption", { class: "hidden", text: title }), top, body));

    const status = make("span", { role: "status" });
    const last = () => Math.max(0, Math.floor((state.rows.length - 1) / state.size) * state.size);
    const step = (text, name, move) => {
      const button = make("button", { type: "button", class: "quiet", text, "aria-label": `${name} page of ${title}` });
      button.addEventListener("click", () => {
        state.start = move();
        show();
      });
      return button;
    };
    const pager = [
      step("«", "First", () => 0), step("‹", "Previous", () => Math.max(0, state.start - state.size)),
      step("›", "Next", () => Math.min(last(), state.start + state.size)), step("»", "Last", last),
    ];
    const sizes = make("select", { "aria-label": `Rows per page of ${title}` },
      ...SIZES.map((n) => make("option", { value: String(n), text: `${n} rows` })));
    sizes.addEventListener("change", () => {
      state.size = Number(sizes.value);
      state.start = 0;
      show();
    });
    const foot = make("div", { class: "tools" }, status, make("span", { class: "gap" }), sizes, ...pager);

    const show = () => {
      body.replaceChildren(...state.rows.slice(state.start, state.start + state.size).map((row) =>
        make("tr", {}, ...columns.map((column) => cell(column, column.data[row])))));
      const count = (n) => format(n, "integer");
      const end = Math.min(state.start + state.size, state.rows.length);
      const of = state.rows.length === table.n ? count(table.n) : `${count(state.rows.length)} that pass the filters (of ${count(table.n)})`;
      status.textContent = state.rows.length ? `${count(state.start + 1)}–${count(end)} of ${of}` : table.n ? "No row passes the filters" : "No rows";
      pager[0].disabled = pager[1].disabled = state.start === 0;
      pager[2].disabled = pager[3].disabled = end >= state.rows.length;
    };
    const refresh = () => {
      const tested = columns.filter((column) => column.test);
      state.rows = all.filter((row) => tested.every((column) => column.test(column.data[row]))
        && (!state.search || state.search(textOf(columns.map((column) => column.data[row]).join("\t")))));
      if (state.sort) state.rows.sort(compare(state.sort, state.sign));
      columns.forEach((column, i) => {
        if (column === state.sort) headers[i].setAttribute("aria-sort", state.sign === 1 ? "ascending" : "descending");
        else headers[i].removeAttribute("aria-sort");
      });
      state.start = 0;
      show();
    };
    root.classList.toggle("narrow", columns.length <= 3);
    root.replaceChildren(tools, frame, foot);
    refresh();
  };

  return { build };
})();
