// Tables of the report and of the dashboard: sort, filter, choose columns, page, save all rows or those that pass.
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

  const delayed = (action) => {
    let timer = null;
    return () => {
      clearTimeout(timer);
      timer = setTimeout(action, WAIT);
    };
  };
  const wordsOf = (column) => column.header ?? column.name;

  // A menu where values repeat, else a box. `changed` is told a test of one value and what it says, or nothing;
  // `set` fills the control as a reader would.
  const columnFilter = (column, label, changed) => {
    const name = `Filter ${wordsOf(column)} of ${label}`;
    if (column.levels && column.levels.length > 1 && column.levels.length <= MENU_LIMIT) {
      const levels = [...column.levels].sort(collator.compare);
      const menu = make("select", { "aria-label": name }, make("option", { value: "", text: "all" }));
      levels.forEach((level, i) => menu.append(make("option", { value: String(i + 1), text: level === "" ? "–" : level })));
      const told = () => {
        const level = levels[Number(menu.value) - 1];
        if (menu.value === "") changed(null);
        else changed((value) => value === level, `${wordsOf(column)}: ${level || "–"}`);
      };
      menu.addEventListener("change", told);
      return { node: menu, set: (text) => { menu.value = text; told(); } };
    }
    const box = make("input", { type: "text", "aria-label": name, placeholder: { text: "text", pvalue: "< 0.05" }[column.kind] ?? ">= 2" });
    const told = () => {
      const text = box.value.trim();
      const sign = column.kind !== "text" && /^[<>=]/.test(text) ? " " : ": ";
      changed(matcher(column, text), `${wordsOf(column)}${sign}${text}`);
    };
    box.addEventListener("input", delayed(told));
    return { node: box, set: (text) => { box.value = text; told(); } };
  };

  const searchBox = (label, changed) => {
    const box = make("input", { type: "search", placeholder: "Search all columns", "aria-label": `Search ${label}` });
    const told = () => changed(searcher(box.value), `any column: ${box.value.trim()}`);
    box.addEventListener("input", delayed(told));
    return { node: box, set: (text) => { box.value = text; told(); } };
  };

  // header of a column: a click sorts; pointer and keyboard are told what the column means
  const header = (column, tip, sort) => {
    const button = make("button", { type: "button" }, wordsOf(column));
    if (column.unit) button.append(" ", make("small", { text: `(${column.unit})` }));
    button.addEventListener("click", sort);
    const parts = () => [make("strong", { text: wordsOf(column) }), ` ${column.help ?? ""} `, make("code", { text: column.name })];
    if (column.help || column.header) tip.attach(button, parts);
    return make("th", { scope: "col", class: kindOf(column) }, button);
  };

  // boxes to tick; the last column that is shown stays
  const columnChooser = (columns, title, changed) => {
    const summary = make("summary", { "aria-label": `Columns of ${title}` });
    const boxes = columns.map((column) => make("input", { type: "checkbox", checked: true }));
    const told = () => {
      const shown = boxes.filter((box) => box.checked);
      boxes.forEach((box, i) => {
        columns[i].shown = box.checked;
        box.disabled = box.checked && shown.length === 1;
      });
      summary.textContent = shown.length === columns.length ? "Columns" : `Columns (${shown.length} of ${columns.length})`;
      changed();
    };
    const list = make("div", { class: "choices" }, ...boxes.map((box, i) => make("label", {}, box, ` ${wordsOf(columns[i])}`)));
    const all = make("button", { type: "button", class: "quiet", text: "All columns" });
    all.addEventListener("click", () => {
      for (const box of boxes) box.checked = true;
      told();
    });
    for (const box of boxes) box.addEventListener("change", told);
    return { node: make("details", { class: "chooser" }, summary, list, all), told };
  };

  // buttons that save: all rows whatever is shown, and the rows that pass. Where the page does not hold all rows,
  // `whole` gives them: a function, or the address of the file
  const savers = (table, columns, { title, file, whole }, passing) => {
    const content = (rows) => csv(columns.map((c) => c.name), rows.map((row) => columns.map((c) => c.data[row])));
    const count = (n) => format(n, "integer");
    const total = table.total ?? table.n;
    const rows = (n) => `${count(n)} ${n === 1 ? "row" : "rows"}`;
    let all = null;
    if (whole?.href) {
      const label = `All ${rows(total)}: file in the run folder${whole.size ? ` (${whole.size})` : ""}`;
      all = make("a", { class: "quiet", href: whole.href, download: true, text: label, title: "The complete table is too large for this page; the link works as long as this page lies in its run folder" });
    } else {
      all = make("button", { type: "button", class: "quiet", text: `Save all ${rows(total)}`, title: "Save every row and column as CSV, whatever is shown" });
      all.addEventListener("click", () => {
        if (whole?.save) whole.save();
        else save(file, content(Array.from({ length: table.n }, (_, i) => i)), "text/csv");
      });
    }
    const some = make("button", { type: "button", class: "quiet", title: "Save the rows that pass the filters, in this order, with every column, as CSV" });
    some.addEventListener("click", () => save(file.replace(/(\.csv)?$/, "-filtered.csv"), content(passing()), "text/csv"));
    for (const node of [all, some]) node.append(make("span", { class: "hidden", text: ` of ${title}` }));
    const told = () => { some.firstChild.data = `Save filtered ${rows(passing().length)}`; };
    some.prepend("");
    return { nodes: [some, all], told };
  };

  // what is filtered by, said above the table; a click takes a filter away
  const filterLine = (filtered) => {
    const line = make("div", { class: "chips" });
    const told = () => {
      const active = filtered.filter((item) => item.test);
      line.hidden = !active.length;
      line.replaceChildren("Only rows with ", ...active.map((item) => {
        const chip = make("button", { type: "button", class: "chip", "aria-label": `Remove the filter ${item.said}` }, item.said, make("span", { "aria-hidden": "true", text: " ×" }));
        chip.addEventListener("click", () => item.control.set(""));
        return chip;
      }));
    };
    return { node: line, told };
  };

  const pager = (title, state, show) => {
    const last = () => Math.max(0, Math.floor((state.rows.length - 1) / state.size) * state.size);
    const step = (text, name, move) => {
      const button = make("button", { type: "button", class: "quiet", text, "aria-label": `${name} page of ${title}` });
      button.addEventListener("click", () => {
        state.start = move();
        show();
      });
      return button;
    };
    const steps = [
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
    const told = (end) => {
      steps[0].disabled = steps[1].disabled = state.start === 0;
      steps[2].disabled = steps[3].disabled = end >= state.rows.length;
    };
    return { nodes: [sizes, ...steps], told };
  };

  const searches = new WeakMap();
  // shows the rows of a table that hold a text, whatever it was filtered by; false where it is not drawn yet
  const find = (root, text) => searches.has(root) && (searches.get(root)(text), true);

  // puts a table into `root`; `table` is what report/tables.py makes: n and columns
  const build = (root, table, { title, file, tableClass = null, whole = null }) => {
    const columns = table.columns.map((column) => ({ ...column, data: valuesOf(column), test: null, shown: true }));
    const all = Array.from({ length: table.n }, (_, i) => i);
    const state = { sort: null, sign: 1, start: 0, size: SIZES[0], rows: all };
    const long = table.n > SIZES[0]; // a table of one page needs no filters by column
    const change = (item) => (test, said) => {
      Object.assign(item, { test, said });
      refresh();
    };
    const search = { test: null };
    search.control = searchBox(title, change(search));
    for (const column of columns) column.control = columnFilter(column, title, change(column));
    const line = filterLine([search, ...columns]);
    const saving = savers(table, columns, { title, file, whole }, () => state.rows);
    const chooser = columnChooser(columns, title, () => show());
    const tools = make("div", { class: "tools" }, search.control.node, ...(columns.length > 2 ? [chooser.node] : []), make("span", { class: "gap" }), ...saving.nodes);

    const tip = common.tooltip(root);
    for (const column of columns) {
      column.head = header(column, tip, () => {
        if (state.sort === column && state.sign === -1) state.sort = null;
        else if (state.sort === column) state.sign = -1;
        else Object.assign(state, { sort: column, sign: 1 });
        refresh();
      });
      column.filter = make("td", { class: kindOf(column) }, column.control.node);
    }
    const head = make("tr");
    const filters = make("tr", { class: "filters" });
    const body = make("tbody");
    const frame = make("div", { class: "scroll held", tabindex: "0", role: "region", "aria-label": title },
      make("table", { class: tableClass }, make("caption", { class: "hidden", text: title }), make("thead", {}, head, ...(long ? [filters] : [])), body));
    const status = make("span", { role: "status" });
    const pages = pager(title, state, () => show());

    const show = () => {
      const shown = columns.filter((column) => column.shown);
      head.replaceChildren(...shown.map((column) => column.head));
      filters.replaceChildren(...shown.map((column) => column.filter));
      body.replaceChildren(...state.rows.slice(state.start, state.start + state.size).map((row) =>
        make("tr", {}, ...shown.map((column) => cell(column, column.data[row])))));
      const count = (n) => format(n, "integer");
      const end = Math.min(state.start + state.size, state.rows.length);
      const of = state.rows.length === table.n ? count(table.n) : `${count(state.rows.length)} that pass the filters (of ${count(table.n)})`;
      status.textContent = state.rows.length ? `${count(state.start + 1)}–${count(end)} of ${of}` : table.n ? "No row passes the filters" : "No rows";
      pages.told(end);
    };
    const refresh = () => {
      const tested = columns.filter((column) => column.test);
      state.rows = all.filter((row) => tested.every((column) => column.test(column.data[row]))
        && (!search.test || search.test(textOf(columns.map((column) => column.data[row]).join("\t")))));
      if (state.sort) state.rows.sort(compare(state.sort, state.sign));
      for (const column of columns) {
        if (column === state.sort) column.head.setAttribute("aria-sort", state.sign === 1 ? "ascending" : "descending");
        else column.head.removeAttribute("aria-sort");
      }
      state.start = 0;
      line.told();
      saving.told();
      show();
    };
    root.classList.toggle("narrow", columns.length <= 3);
    root.replaceChildren(tools, line.node, frame, make("div", { class: "tools" }, status, make("span", { class: "gap" }), ...pages.nodes), tip.node);
    searches.set(root, (text) => {
      for (const column of columns) if (column.test) column.control.set("");
      search.control.set(text);
    });
    chooser.told();
    refresh();
    // a long table begins with the rows that matter, where there are some and not all do
    for (const column of long ? columns : []) {
      const passes = column.first && matcher(column, column.first);
      if (passes && column.data.some(passes) && !column.data.every(passes)) column.control.set(column.first);
    }
  };

  return { build, find };
})();
