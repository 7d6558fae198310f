// What scripts of the report and of the dashboard share: making elements, saving files, CSV, numbers as text, help.
const common = (() => {
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") node.textContent = value;
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };

  const save = (name, content, type) => {
    const url = typeof content === "string" && content.startsWith("data:")
      ? content : URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    const link = make("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    if (url.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(url), 10000);
  };

  const csvCell = (value) => {
    if (value === null || value === undefined) return "";
    let text = String(value);
    // as in the files of the run folder: a spreadsheet must not take a name for a formula
    if (/^[=+\-@\t\r]/.test(text) && !/^([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]|[-+]?inf)$/.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csv = (header, rows) => `${[header, ...rows].map((row) => row.map(csvCell).join(",")).join("\n")}\n`;

  // four figures, commas between thousands, powers of ten where a reader would want them
  const superscript = (n) => String(n).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
  const scientific = (value, digits) => {
    const [mantissa, exponent] = value.toExponential(digits).split("e");
    return `${mantissa.replace("-", "−")} × 10${superscript(Number(exponent))}`;
  };
  const grouped = (text) => {
    const [whole, fraction] = text.split(".");
    const spaced = whole.replace(/\B(?=(\d{3})+$)/g, ",");
    return fraction === undefined ? spaced : `${spaced}.${fraction}`;
  };
  const format = (value, kind) => {
    if (value === null || value === undefined || value === "") return "–";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    const sign = value < 0 ? "−" : "";
    if (kind === "integer") return sign + grouped(String(size));
    if (kind === "pvalue") return size === 0 ? "0" : size < 1e-3 ? scientific(value, 2) : String(Number(value.toPrecision(3)));
    if (size === 0) return "0";
    if (size < 1e-3 || size >= 1e7) return scientific(value, 2);
    return sign + grouped(String(Number(size.toPrecision(4))));
  };

  // one box of help: shown beside what the pointer or the keyboard rests on, put away by Escape
  let tooltips = 0;
  const tooltip = (host, id = `tip-${tooltips += 1}`) => {
    const tip = make("div", { class: "tip", id, role: "tooltip", hidden: true });
    host.append(tip);
    let shown = null;
    const place = () => {
      if (!shown) return;
      tip.style.left = tip.style.top = "0px";
      const origin = tip.getBoundingClientRect(); // a box around it may have moved the corner that positions count from
      const box = shown.getBoundingClientRect();
      const left = Math.max(8, Math.min(box.left, innerWidth - origin.width - 8));
      const top = box.top - origin.height - 6 > 0 ? box.top - origin.height - 6 : box.bottom + 6;
      tip.style.left = `${left - origin.left}px`;
      tip.style.top = `${top - origin.top}px`;
    };
    const onKey = (event) => { if (event.key === "Escape") hide(); };
    const hide = () => {
      shown?.removeAttribute("aria-describedby");
      shown = null;
      tip.hidden = true;
      removeEventListener("keydown", onKey);
      removeEventListener("scroll", place, true);
    };
    const show = (node, parts) => {
      hide();
      shown = node;
      tip.replaceChildren(...parts);
      tip.hidden = false;
      node.setAttribute("aria-describedby", tip.id);
      addEventListener("keydown", onKey);
      addEventListener("scroll", place, { passive: true, capture: true });
      place();
    };
    // `parts` is asked for what to show; a click keeps it shown, as a finger has no other way
    const attach = (node, parts) => {
      for (const kind of ["mouseenter", "focus", "click"]) node.addEventListener(kind, () => show(node, parts()));
      for (const kind of ["mouseleave", "blur"]) node.addEventListener(kind, hide);
    };
    return { node: tip, attach };
  };

  return { make, save, csv, format, tooltip };
})();
