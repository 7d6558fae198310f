// A page of tables without the report's navigation: it follows the light or dark of the system.
{
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; };
  dark.addEventListener("change", follow);
  follow();
  for (const root of document.querySelectorAll(".table")) {
    const table = JSON.parse(document.getElementById(`data-${root.id}`).textContent);
    tables.build(root, table, { title: root.dataset.title, file: root.dataset.file });
  }
}
