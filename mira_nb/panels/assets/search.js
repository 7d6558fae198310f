// A search box with its list of matches, after the combobox pattern of ARIA.
// `onText` takes what was typed and is no match; without it only matches can be picked.
function makeSearch({ label: title, placeholder = "", ask, onPick, onText = null }) {
  const list = make("ul", { class: "mn-found", role: "listbox", id: `found-${Math.random().toString(36).slice(2)}`, "aria-label": "Matches", hidden: true });
  const input = make("input", {
    type: "text", role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", "aria-controls": list.id,
    autocomplete: "off", spellcheck: "false", placeholder,
  });
  let items = []; let active = -1; let asked = 0; let wanted = ""; let shown = 0; let entered = false;
  const label = make("label", { class: "mn-search" }, make("span", {}, title), input);
  function open(flag) { list.hidden = !flag; input.setAttribute("aria-expanded", String(flag)); }
  function mark(i) {
    active = i;
    [...list.children].forEach((item, k) => item.setAttribute("aria-selected", String(k === i)));
    if (i >= 0) input.setAttribute("aria-activedescendant", list.children[i].id); else input.removeAttribute("aria-activedescendant");
  }
  function pick(i) {
    if (!items[i]) return;
    input.value = items[i].label;
    open(false);
    onPick(items[i]);
  }
  function show(found, id) {
    if (id !== asked) return;
    items = found;
    shown = id;
    list.replaceChildren(...found.map((item, i) => {
      const row = make("li", { role: "option", id: `${list.id}-${i}`, "aria-selected": "false" },
        make("span", {}, item.label), make("span", { class: "mn-kind" }, item.kind));
      row.addEventListener("mousedown", (event) => { event.preventDefault(); pick(i); });
      return row;
    }));
    if (!found.length) list.replaceChildren(make("li", { class: "mn-none", role: "option", "aria-disabled": "true", "aria-selected": "false" }, "nothing of this name"));
    // where any text is taken, only a match that is wanted is marked: Enter keeps what was typed
    const equal = found.findIndex((item) => item.label.toLowerCase() === wanted.trim().toLowerCase());
    const first = onText && !wanted.trim() ? -1 : Math.max(equal, 0);
    mark(found.length ? first : -1);
    open(document.activeElement === input);
    if (entered) enter();
  }
  function search(text) { asked += 1; wanted = text; ask(text, asked); }
  // a list that has not come yet is waited for: its first match is meant, not that of the list before
  function enter() {
    entered = shown !== asked;
    if (entered) return;
    if (items[active]) pick(active); else if (onText) { open(false); onText(input.value); }
  }
  input.addEventListener("input", () => search(input.value));
  input.addEventListener("focus", () => { input.select(); search(""); });
  input.addEventListener("blur", () => open(false));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && items.length) mark((active + 1) % items.length);
    else if (event.key === "ArrowUp" && items.length) mark((Math.max(active, 0) + items.length - 1) % items.length);
    else if (event.key === "Enter") enter();
    else if (event.key === "Escape") open(false);
    else return;
    event.preventDefault();
  });
  return { node: make("div", { class: "mn-searchbox" }, label, list), input, show, say(text) { if (document.activeElement !== input) input.value = text; } };
}
