// Folding: main figures or everything, per section and for the whole page; and one box that finds anything.
const folds = (() => {
  const { make } = common;
  const LIMIT = 12;
  const WAIT = 80;
  const within = (root) => [...root.querySelectorAll("details.folded")];

  const press = (button, open) => {
    button.setAttribute("aria-expanded", String(open));
    button.firstChild.textContent = open ? "Main figures only" : "Show everything";
  };
  const unfold = (section, open) => {
    for (const node of within(section)) node.open = open;
    const button = section.querySelector("button[data-unfold]");
    if (button) press(button, open);
  };
  const setUp = () => {
    for (const button of document.querySelectorAll("button[data-unfold]")) {
      const section = page.byId(button.dataset.unfold);
      button.addEventListener("click", () => unfold(section, button.getAttribute("aria-expanded") !== "true"));
    }
    const everything = page.byId("everything");
    everything.addEventListener("click", () => {
      const open = everything.getAttribute("aria-pressed") !== "true";
      everything.setAttribute("aria-pressed", String(open));
      for (const section of document.querySelectorAll("main section")) unfold(section, open);
    });
    setUpSearch();
  };

  // what the explorer can be sent to: genes, motifs, topics and columns
  const explored = (add) => {
    if (!page.byId("explore-data")) return;
    const send = (kind, name, title) => add(`explore ${kind}`, title, `explore:${kind}/${encodeURIComponent(name)}`);
    const { sets } = page.json("explore-values");
    for (const [set, kind] of [["genes", "gene"], ["motifs", "motif"]]) {
      for (const name of sets.find((item) => item.name === set)?.features ?? []) send(kind, name, name);
    }
    for (const { kind, name, title } of page.json("explore-data").features) send(kind, name, title);
  };

  // what can be found: titles stand in the page, genes in the tables' columns of that name
  const entries = () => {
    const out = [];
    const add = (kind, text, id, filter = "") => out.push({ kind, text, id, filter, key: text.toLowerCase() });
    explored(add);
    const title = (node) => node.querySelector("h3.item")?.firstChild?.nextSibling?.textContent?.trim();
    for (const node of document.querySelectorAll("main figure[id]:not(.shown)")) add("figure", title(node) ?? node.id, node.id);
    for (const node of document.querySelectorAll("main .table[id]")) add("table", title(node) ?? node.id, node.id);
    for (const node of document.querySelectorAll("#result-topics tbody tr")) {
      add("topic", [...node.cells].slice(0, 3).map((cell) => cell.textContent.trim().replace(/\s+/g, " ")).join(" · "), "result-topics");
    }
    for (const node of document.querySelectorAll("#alerts .alert .title")) add("alert", node.textContent.trim(), "alerts");
    const seen = new Set();
    for (const view of document.querySelectorAll(".table-view")) {
      const table = page.json(`data-${view.id}`);
      const column = table.columns.find((c) => c.name === "gene");
      const values = column?.levels ?? column?.values ?? [];
      for (const gene of values) {
        if (typeof gene !== "string" || seen.has(gene)) continue;
        seen.add(gene);
        add("gene", gene, view.id.replace(/-view$/, ""), gene);
      }
    }
    return out;
  };

  const choose = (entry) => {
    if (location.hash === `#${entry.id}`) dispatchEvent(new Event("hashchange"));
    else location.hash = entry.id;
    if (!entry.filter) return;
    const started = performance.now();
    const fill = () => {
      const view = page.byId(`${entry.id}-view`);
      if (!tables.find(view, entry.filter) && performance.now() - started < 5000) setTimeout(fill, 50);
    };
    fill();
  };

  const setUpSearch = () => {
    const box = page.byId("find");
    const list = page.byId("found");
    let known = null;
    let timer = null;
    const show = () => {
      const text = box.value.trim().toLowerCase();
      known ??= entries();
      const rank = (entry) => (entry.key === text ? 0 : entry.key.startsWith(text) ? 1 : 2);
      const hits = text ? known.filter((entry) => entry.key.includes(text)).sort((a, b) => rank(a) - rank(b)) : [];
      list.replaceChildren(...hits.slice(0, LIMIT).map((entry) => {
        const link = make("a", { href: `#${entry.id}` }, make("small", { text: `${entry.kind} ` }), entry.text);
        link.addEventListener("click", (event) => {
          event.preventDefault();
          list.hidden = true;
          choose(entry);
        });
        return make("li", {}, link);
      }));
      if (text && hits.length !== Math.min(hits.length, LIMIT)) list.append(make("li", {}, make("small", { text: `and ${hits.length - LIMIT} more` })));
      if (text && !hits.length) list.append(make("li", {}, make("small", { text: "Nothing found" })));
      list.hidden = !text;
    };
    box.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(show, WAIT);
    });
    addEventListener("keydown", (event) => {
      if (event.key === "Escape") list.hidden = true;
    });
    document.addEventListener("click", (event) => {
      if (!event.target.closest(".find")) list.hidden = true;
    });
  };

  return { setUp, unfold };
})();
