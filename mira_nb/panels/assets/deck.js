// Tables of one stage, one at a time. Common.js and tables.js of the report are put before this script.
class Deck {
  constructor(el, model) {
    this.el = el;
    this.model = model;
    this.number = 0;
  }

  get item() {
    return this.model.get("items")[this.number];
  }

  layout() {
    const { make } = common;
    const items = this.model.get("items");
    this.number = Math.min(this.number, Math.max(0, items.length - 1));
    this.el.replaceChildren();
    if (!items.length) return;
    const choice = make("select");
    items.forEach((item, i) => choice.append(make("option", { value: String(i), text: `${item.title} (${item.rows.toLocaleString("en")} rows)` })));
    choice.value = String(this.number);
    choice.addEventListener("change", () => this.choose(Number(choice.value)));
    this.caption = make("p", { class: "mn-help" });
    this.note = make("p", { class: "mn-help", role: "status" });
    this.view = make("div");
    const bar = make("div", { class: "mn-table-bar" }, make("label", {}, "Table ", choice));
    this.el.replaceChildren(make("div", { class: "mn-tables" }, bar, this.caption, this.note, this.view));
    this.choose(this.number);
  }

  choose(number) {
    this.number = number;
    this.caption.textContent = this.item.caption;
    this.note.textContent = "";
    this.view.replaceChildren(common.make("p", { class: "mn-help", text: "Loading …" }));
    this.model.send({ kind: "table", id: this.item.name });
  }

  received(message, buffers) {
    if (message.kind === "problem") {
      this.view.replaceChildren();
      this.note.textContent = message.text;
    } else if (message.kind === "csv") {
      common.save(message.name, buffers[0], "text/csv");
    } else if (message.kind === "table" && message.id === this.item?.name) {
      const table = JSON.parse(new TextDecoder().decode(buffers[0]));
      this.note.textContent = table.note;
      const whole = { save: () => this.model.send({ kind: "csv", id: this.item.name }) };
      tables.build(this.view, table, { title: this.item.title, file: `${this.item.name}.csv`, tableClass: "mn-table", whole });
    }
  }
}

function render({ model, el }) {
  const deck = new Deck(el, model);
  const layout = () => deck.layout();
  const received = (message, buffers) => deck.received(message, buffers);
  model.on("change:items", layout);
  model.on("msg:custom", received);
  deck.layout();
  return () => {
    model.off("change:items", layout);
    model.off("msg:custom", received);
  };
}

export default { render };
