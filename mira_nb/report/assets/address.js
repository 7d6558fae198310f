// What the reader chose, kept in the page's address: menus, isolated entries, open folds, the section in view.
// The same menu in several figures of a section follows, unless that is switched off.
const address = (() => {
  const WAIT = 250;
  const SPLIT = ".";
  const chosen = new Map();
  const followers = [];
  let joined = true;
  let moved = false;
  let timer = null;

  const sectionOf = (node) => node.closest("section")?.id ?? "";
  const scopes = (figure) => (joined ? [figure.id, sectionOf(figure.root)] : [figure.id]);
  const keyOf = (scope, signal) => `${scope}${SPLIT}${signal}`;

  const folds = () => {
    const out = new Map();
    const counts = new Map();
    for (const node of document.querySelectorAll("main details.folded")) {
      const section = sectionOf(node);
      counts.set(section, (counts.get(section) ?? 0) + 1);
      out.set(`${section}.${counts.get(section)}`, node);
    }
    return out;
  };

  // the link of the section in view becomes the address once the reader has moved
  const place = () => {
    const now = document.querySelector("#contents a[aria-current]")?.hash.slice(1) ?? "";
    return moved && now && !page.anchor().startsWith("explore:") ? now : page.anchor();
  };
  // behind the anchor, not before it: with another query, what a drawing refers to would be no part of the page any more
  const show = (anchor) => {
    const state = new URLSearchParams([...chosen].map(([key, value]) => [key, String(value)]));
    const open = [...folds()].filter(([, node]) => node.open).map(([name]) => name);
    if (open.length) state.set("open", open.join(" "));
    if (!joined) state.set("menus", "apart");
    const text = `${anchor}${state.size ? `?${state}` : ""}`;
    if (text === location.hash.slice(1)) return;
    try {
      history.replaceState(null, "", `#${text}`);
    } catch { /* pages in a frame may not change their address */ }
  };
  const write = () => show(place());
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(write, WAIT);
  };

  // menus of a chart and their choices: variables bound to a control, selections bound to one
  const menusOf = (spec) => {
    const out = new Map();
    const walk = (node) => {
      if (Array.isArray(node)) node.forEach(walk);
      else if (node !== null && typeof node === "object") {
        for (const { name, bind, select } of node.params ?? []) {
          if (!bind || typeof bind !== "object") continue;
          const fields = select?.fields;
          if (!fields) out.set(name, bind.options ?? null);
          else for (const field of fields) out.set(`${name}_${interact.bare(interact.plain(field))}`, (bind[field] ?? bind).options ?? null);
        }
        for (const part of ["layer", "concat", "hconcat", "vconcat", "spec"]) if (node[part]) walk(node[part]);
      }
    };
    walk(spec);
    return out;
  };

  const valid = (options, text) => (options ? options.find((option) => String(option) === text) : Number(text));

  // values that a figure opens with
  const wanted = (figure) => {
    const out = {};
    for (const scope of scopes(figure).reverse()) {
      for (const [signal, options] of figure.menus) {
        const key = keyOf(scope, signal);
        if (!chosen.has(key)) continue;
        const value = valid(options, String(chosen.get(key)));
        if (value !== undefined && !Number.isNaN(value)) out[signal] = value;
      }
    }
    figure.fields.forEach((_, k) => {
      const key = keyOf(figure.id, `only_${k}`);
      if (chosen.has(key)) out[`only_${k}`] = String(chosen.get(key));
    });
    return out;
  };

  const follow = (figure, signal, value) => {
    for (const other of followers) {
      if (other === figure || sectionOf(other.root) !== sectionOf(figure.root) || !other.menus?.has(signal)) continue;
      const options = other.menus.get(signal);
      if (options && !options.includes(value)) continue;
      if (other.kept) other.kept[signal] = value;
      const view = other.result?.view;
      if (view && view.signal(signal) !== value) view.signal(signal, value).runAsync();
    }
  };

  const connect = (figure) => {
    const { view } = figure.result;
    if (!followers.includes(figure)) followers.push(figure);
    for (const signal of figure.menus.keys()) {
      view.addSignalListener(signal, (_, value) => {
        const section = keyOf(sectionOf(figure.root), signal);
        if (joined && chosen.get(section) === value) return;
        chosen.set(joined ? section : keyOf(figure.id, signal), value);
        if (joined) {
          chosen.delete(keyOf(figure.id, signal));
          follow(figure, signal, value);
        }
        later();
      });
    }
    figure.fields.forEach((_, k) => view.addSignalListener(`only_${k}`, (name, value) => {
      if (value === null) chosen.delete(keyOf(figure.id, name));
      else chosen.set(keyOf(figure.id, name), value);
      later();
    }));
  };

  const read = () => {
    const names = folds();
    for (const [key, value] of new URLSearchParams(location.hash.split("?").slice(1).join("?"))) {
      if (key === "open") for (const name of value.split(" ")) names.get(name)?.setAttribute("open", "");
      else if (key === "menus") joined = value !== "apart";
      else if (key.includes(SPLIT)) chosen.set(key, value);
    }
  };

  // a link that is followed inside the page: with a state it is taken, without one it gets that of the page
  const followed = () => {
    read();
    for (const figure of followers) {
      const values = Object.entries(wanted(figure));
      if (figure.kept) Object.assign(figure.kept, Object.fromEntries(values));
      if (!figure.result) continue;
      for (const [signal, value] of values) figure.result.view.signal(signal, value);
      figure.result.view.runAsync();
    }
    later();
  };

  const setUp = () => {
    read();
    const button = page.byId("joined");
    const press = () => button.setAttribute("aria-pressed", String(joined));
    press();
    button.addEventListener("click", () => {
      joined = !joined;
      press();
      later();
    });
    addEventListener("hashchange", followed);
    document.addEventListener("toggle", later, { capture: true });
    for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"]) addEventListener(kind, () => { moved = true; }, { passive: true });
    addEventListener("scroll", () => moved && later(), { passive: true });
  };

  return { setUp, menusOf, wanted, connect, show };
})();
