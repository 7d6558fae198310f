// Words of the method are explained where the pointer or the keyboard rests on them; once in each text.
const glossary = (() => {
  const { make } = common;
  const TEXTS = "figcaption, .lead, .help, .alert p, .caption, .findings li > div, .topic-page p, .table > p, .about p, .metrics dt";
  const WITHIN = "a, button, summary, code, .term";

  const setUp = () => {
    const words = page.json("glossary");
    const meaning = new Map(words.flatMap(({ name, forms, meaning: text }) => forms.map((form) => [form.toLowerCase(), { name, text, form }])));
    const escaped = [...meaning.keys()].sort((a, b) => b.length - a.length).map((form) => form.replace(/[^\w ]/g, "\\$&"));
    const pattern = new RegExp(`(?<![\\w-])(?:${escaped.join("|")})(?![\\w-])`, "i");
    // names in capitals are words only as they stand: "lite" is not LITE
    const known = (form) => {
      const found = meaning.get(form.toLowerCase());
      return found && (found.form.slice(1) === found.form.slice(1).toLowerCase() || found.form === form) ? found : null;
    };
    const tip = common.tooltip(page.byId("main"), "term-tip");
    const explained = (node) => {
      const found = meaning.get(node.textContent.toLowerCase());
      return [make("strong", { text: found.name }), ` ${found.text}`];
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
            tip.attach(button, () => explained(button));
          }
          node = rest;
        }
      }
    };
    for (const root of document.querySelectorAll(TEXTS)) mark(root);
  };

  return { setUp };
})();
