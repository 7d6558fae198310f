// What every part of the page uses: finding data, saving files, theme, navigation, printing.
const page = (() => {
  const byId = (id) => document.getElementById(id);

  // rows of charts and tables come compressed, one per line: name, tab, text (embed.archive_block)
  const archive = new Map();
  const unpack = async () => {
    const raw = atob(byId("archive").textContent);
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    for (const line of (await new Response(stream).text()).split("\n")) {
      const tab = line.indexOf("\t");
      archive.set(line.slice(0, tab), line.slice(tab + 1));
    }
    byId("archive").remove();
  };
  const text = (id) => archive.get(id) ?? byId(id).textContent;
  const json = (id) => JSON.parse(text(id));

  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const themeListeners = [];
  const onTheme = (listener) => themeListeners.push(listener);
  const remembered = (value) => {
    // private windows and files opened from disk may refuse storage: the choice then lasts until the page is closed
    try {
      if (value !== undefined) localStorage.setItem("mira-nb-theme", value);
      return localStorage.getItem("mira-nb-theme");
    } catch {
      return null;
    }
  };
  const setTheme = (name) => {
    document.documentElement.dataset.theme = name;
    byId("theme").setAttribute("aria-pressed", String(name === "dark"));
    for (const listener of themeListeners) listener(name === "dark");
  };
  const setUpTheme = () => {
    const chosen = remembered();
    setTheme(chosen === "dark" || chosen === "light" ? chosen : isDark() ? "dark" : "light");
    byId("theme").addEventListener("click", () => {
      const next = isDark() ? "light" : "dark";
      remembered(next);
      setTheme(next);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
      if (!remembered()) setTheme(event.matches ? "dark" : "light");
    });
  };

  // the link of the section in view is marked; the last heading above a quarter of the window counts
  const setUpNavigation = () => {
    const links = new Map([...document.querySelectorAll("#contents a[href^='#']")].map((a) => [a.hash.slice(1), a]));
    const targets = [...links.keys()].map(byId).filter(Boolean);
    let waiting = false;
    let current = null;
    const update = () => {
      waiting = false;
      const line = innerHeight * 0.28;
      let found = targets[0];
      for (const target of targets) if (target.getBoundingClientRect().top <= line) found = target;
      if (innerHeight + scrollY >= document.documentElement.scrollHeight - 4) found = targets.at(-1);
      if (!found || found === current) return;
      current = found;
      for (const [id, link] of links) {
        if (id === found.id) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
      const link = links.get(found.id);
      for (const item of document.querySelectorAll("#contents li.open")) item.classList.remove("open");
      link.closest("li.stage")?.classList.add("open");
      const box = byId("contents");
      const top = link.offsetTop - box.clientHeight / 2;
      if (box.scrollHeight > box.clientHeight) box.scrollTop = top;
    };
    const later = () => {
      if (!waiting) {
        waiting = true;
        requestAnimationFrame(update);
      }
    };
    addEventListener("scroll", later, { passive: true });
    addEventListener("resize", later);
    update();
    const toggle = byId("menu");
    const nav = byId("side");
    const open = (yes) => {
      nav.classList.toggle("open", yes);
      toggle.setAttribute("aria-expanded", String(yes));
    };
    toggle.addEventListener("click", () => open(!nav.classList.contains("open")));
    nav.addEventListener("click", (event) => event.target.closest("a") && open(false));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && nav.classList.contains("open")) {
        open(false);
        toggle.focus();
      }
    });
  };

  // a deep link opens what is folded, and stays in view while charts and tables above it take their room
  let held = null;
  // what the address points at; behind a question mark stands the state of the page (address.js)
  const anchor = () => location.hash.slice(1).split("?")[0];
  const openTarget = () => {
    const target = anchor() && byId(decodeURIComponent(anchor()));
    if (!target) return;
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    held = target;
    setTimeout(() => { held = held === target ? null : held; }, 5000);
    target.scrollIntoView({ behavior: "instant" });
  };
  const setUpLinks = () => {
    new ResizeObserver(() => held?.scrollIntoView({ behavior: "instant" })).observe(byId("main"));
    for (const kind of ["wheel", "touchstart", "pointerdown", "keydown"]) {
      addEventListener(kind, () => { held = null; }, { passive: true });
    }
    addEventListener("hashchange", openTarget);
    openTarget();
  };

  const setUpCopies = () => {
    for (const button of document.querySelectorAll("button[data-save]")) {
      button.addEventListener("click", () => {
        const file = json("texts")[button.dataset.save];
        common.save(file.name, file.text, file.type);
      });
    }
    for (const button of document.querySelectorAll("button[data-copy]")) {
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(byId(button.dataset.copy).textContent);
          button.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(byId(button.dataset.copy));
          button.textContent = "Selected: press Ctrl+C";
        }
      });
    }
  };

  // things are made when they come near the window
  const near = (nodes, action) => {
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          observer.unobserve(entry.target);
          action(entry.target);
        }
      }
    }, { rootMargin: "400px 0px" });
    for (const node of nodes) observer.observe(node);
  };

  return {
    byId, unpack, json, text, isDark, onTheme, near, anchor,
    setUpTheme, setUpNavigation, setUpCopies, setUpLinks,
  };
})();
