// Tables of one stage: choose one, sort, filter, page, save as CSV.
const PAGE = 15;

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function show(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

// "<0.05" or ">= 3" compares numbers, "a|b" means either, anything else is searched as text
function matcher(text) {
  const comparison = text.match(/^\s*(<=|>=|<|>|=)\s*(-?[\d.]+(?:e-?\d+)?)\s*$/i);
  if (comparison) {
    const [, sign, digits] = comparison;
    const limit = Number(digits);
    const test = { "<": (v) => v < limit, ">": (v) => v > limit, "<=": (v) => v <= limit, ">=": (v) => v >= limit,
      "=": (v) => v === limit }[sign];
    return (value) => typeof value === "number" && test(value);
  }
  const words = text.toLowerCase().split("|").map((word) => word.trim()).filter(Boolean);
  return (value) => words.some((word) => String(value ?? "").toLowerCase().includes(word));
}

class View {
  constructor(el, model) {
    this.el = el;
    this.model = model;
    this.number = 0;
    this.data = null;
    this.reset();
  }

  reset() {
    this.sort = null;
    this.down = false;
    this.page = 0;
    this.search = "";
    this.filters = {};
  }

  get item() {
    return this.model.get("items")[this.number];
  }

  layout() {
    const items = this.model.get("items");
    this.number = Math.min(this.number, Math.max(0, items.length - 1));
    this.el.replaceChildren();
    if (!items.length) return;
    const choice = make("select", {});
    items.forEach((item, i) => choice.append(make("option", { value: i }, `${item.title} (${item.rows.toLocaleString("en")} rows)`)));
    choice.value = this.number;
    choice.addEventListener("change", () => this.choose(Number(choice.value)));
    const search = make("input", { type: "search", placeholder: "all columns" });
    search.addEventListener("input", () => this.filter(() => { this.search = search.value; }));
    this.searchBox = search;
    const save = make("button", { type: "button", class: "mn-button" }, "CSV");
    save.setAttribute("aria-label", "Save this table as CSV");
    save.addEventListener("click", () => this.model.send({ kind: "csv", id: this.item.name }));
    const bar = make("div", { class: "mn-table-bar" }, make("label", {}, "Table ", choice), make("label", {}, "Find ", search), save);
    this.caption = make("p", { class: "mn-help" });
    this.frame = make("div", { class: "mn-table-frame", tabindex: "0", role: "region" });
    this.count = make("span", { role: "status" });
    this.previous = this.step("‹ Previous", -1);
    this.next = this.step("Next ›", 1);
    const pager = make("div", { class: "mn-table-said" }, this.previous, this.count, this.next);
    this.el.replaceChildren(make("div", { class: "mn-tables" }, bar, this.caption, this.frame, pager));
    this.choose(this.number);
  }

  step(text, by) {
    const button = make("button", { type: "button", class: "mn-button" }, text);
    button.disabled = true;
    button.addEventListener("click", () => {
      this.page += by;
      this.body();
    });
    return button;
  }

  choose(number) {
    this.number = number;
    this.data = null;
    this.reset();
    this.searchBox.value = "";
    this.caption.textContent = this.item.caption;
    this.frame.setAttribute("aria-label", this.item.title);
    this.frame.replaceChildren(make("p", { class: "mn-help" }, "Loading …"));
    this.model.send({ kind: "table", id: this.item.name });
  }

  received(message, buffers) {
    if (message.kind === "problem") {
      this.count.textContent = message.text;
    } else if (message.kind === "csv") {
      const url = URL.createObjectURL(new Blob([buffers[0]], { type: "text/csv" }));
      make("a", { href: url, download: message.name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } else if (message.kind === "table" && message.id === this.item?.name) {
      this.data = JSON.parse(new TextDecoder().decode(buffers[0]));
      this.head();
      this.body();
    }
  }

  filter(change) {
    change();
    this.page = 0;
    this.body();
  }

  head() {
    const titles = make("tr", {});
    const boxes = make("tr", { class: "mn-filters" });
    this.headers = this.data.columns.map((column, i) => {
      const button = make("button", { type: "button" }, column.name);
      button.addEventListener("click", () => {
        this.down = this.sort === i && !this.down;
        this.sort = i;
        this.page = 0;
        this.body();
      });
      const header = make("th", { scope: "col", class: column.numeric ? "mn-number" : "" }, button);
      titles.append(header);
      const box = make("input", { type: "text", "aria-label": `Filter ${column.name}`, placeholder: column.numeric ? "< 0.05" : "text" });
      box.addEventListener("input", () => this.filter(() => { this.filters[i] = box.value; }));
      boxes.append(make("td", {}, box));
      return header;
    });
    this.rows = make("tbody", {});
    const title = make("caption", { class: "mn-hidden" }, this.item.title);
    this.frame.replaceChildren(make("table", { class: "mn-table" }, title, make("thead", {}, titles, boxes), this.rows));
  }

  chosen() {
    const { columns, data, n } = this.data;
    let out = Array.from({ length: n }, (_, i) => i);
    for (const [i, text] of Object.entries(this.filters)) {
      if (!text.trim()) continue;
      const test = matcher(text);
      out = out.filter((row) => test(data[i][row]));
    }
    if (this.search.trim()) {
      const test = matcher(this.search);
      out = out.filter((row) => columns.some((_, i) => test(data[i][row])));
    }
    if (this.sort !== null) {
      const values = data[this.sort];
      const order = new Intl.Collator("en", { numeric: true }).compare;
      out.sort((a, b) => {
        const [x, y] = [values[a], values[b]];
        if (x === null || y === null) return (x === null) - (y === null) || a - b; // missing values last
        const sign = typeof x === "number" ? x - y : order(String(x), String(y));
        return (this.down ? -sign : sign) || a - b;
      });
    }
    return out;
  }

  body() {
    if (!this.data) return;
    const rows = this.chosen();
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    this.page = Math.min(this.page, pages - 1);
    this.headers.forEach((header, i) => {
      header.setAttribute("aria-sort", this.sort === i ? (this.down ? "descending" : "ascending") : "none");
    });
    this.rows.replaceChildren(
      ...rows.slice(this.page * PAGE, (this.page + 1) * PAGE).map((row) =>
        make("tr", {}, ...this.data.columns.map((column, i) =>
          make("td", { class: column.numeric ? "mn-number" : "" }, show(this.data.data[i][row]))))),
    );
    const found = rows.length === this.data.n ? `${rows.length.toLocaleString("en")} rows` : `${rows.length.toLocaleString("en")} of ${this.data.n.toLocaleString("en")} rows`;
    const cut = this.data.n < this.data.total ? ` The first ${this.data.n.toLocaleString("en")} of ${this.data.total.toLocaleString("en")} rows are here; the CSV has all.` : "";
    this.count.textContent = `Page ${this.page + 1} of ${pages}, ${found}.${cut}`;
    this.previous.disabled = this.page === 0;
    this.next.disabled = this.page >= pages - 1;
  }
}

function render({ model, el }) {
  const view = new View(el, model);
  const layout = () => view.layout();
  const received = (message, buffers) => view.received(message, buffers);
  model.on("change:items", layout);
  model.on("msg:custom", received);
  view.layout();
  return () => {
    model.off("change:items", layout);
    model.off("msg:custom", received);
  };
}

export default { render };
