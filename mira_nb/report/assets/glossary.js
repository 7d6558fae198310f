// Words of the method are explained where the pointer or the keyboard rests on them; once in each text.
const glossary = (() => {
  const { make } = common;
  const TEXTS = "figcaption, .lead, .help, .alert p, .caption, .findings li > div, .topic-page p, .table > p, .metrics dt";
  const WITHIN = "a, button, summary, code, .term";

  const setUp = () => {
    const words = page.json("glossary");
    const meaning = new Map(words.flatMap(({ name, forms, meaning: text }) => forms.map((form) => [form.toLowerCase(), { name, text }])));
    const escaped = [...meaning.keys()].sort((a, b) => b.length - a.length).map((form) => form.replace(/[^\w ]/g, "\\$&"));
    const pattern = new RegExp(`(?<![\\w-])(?:${escaped.join("|")})(?![\\w-])`, "i");
    // names in capitals are words only as they stand: "lite" is not LITE
    const known = (form) => {
      const found = meaning.get(form.toLowerCase());
      return found && (found.name.slice(1) === found.name.slice(1).toLowerCase() || found.name === form) ? found : null;
    };
    const tip = make("div", { id: "term-tip", role: "tooltip", hidden: true });
    page.byId("main").append(tip);
    let shown = null;
    const hide = () => {
      tip.hidden = true;
      shown?.removeAttribute("aria-describedby");
      shown = null;
    };
    const show = (node) => {
      hide();
      shown = node;
      const found = meaning.get(node.textContent.toLowerCase());
      tip.replaceChildren(make("strong", { text: found.name }), ` ${found.text}`);
      tip.hidden = false;
      node.setAttribute("aria-describedby", "term-tip");
      place();
    };
    const place = () => {
      const box = shown?.getBoundingClientRect();
      if (!box) return;
      const { width, height } = tip.getBoundingClientRect();
      tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`;
      tip.style.top = `${box.top - height - 6 > 0 ? box.top - height - 6 : box.bottom + 6}px`;
    };
    const mark = (root) => {
      const seen = new Set();
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      const nodes = [];
      while (walker.nextNode()) nodes.push(walker.currentNode);
      for (let node of nodes) {
        if (node.parentElement.closest(WITHIN)) continue;
        for (let found = pattern.exec(node.data); found; found = pattern.exec(node.data)) {
          const rest = node.splitText(found.index + found[0].length);
          const entry = known(found[0]);
          if (entry && !seen.has(entry.name)) {
            seen.add(entry.name);
            const word = node.splitText(found.index);
            const button = make("button", { type: "button", class: "term", text: found[0] });
            word.replaceWith(button);
            button.addEventListener("mouseenter", () => show(button));
            button.addEventListener("mouseleave", hide);
            button.addEventListener("focus", () => show(button));
            button.addEventListener("blur", hide);
            button.addEventListener("click", () => show(button));
          }
          node = rest;
        }
      }
    };
    addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    addEventListener("scroll", place, { passive: true });
    for (const root of document.querySelectorAll(TEXTS)) mark(root);
  };

  return { setUp };
})();
