// Draws the diagrams of a page in the colors of the selected theme. Wide ones scroll.
const chosen = document.body.dataset.theme;
const isDark =
  chosen === "dark" ||
  (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
mermaid.initialize({
  startOnLoad: true,
  theme: isDark ? "dark" : "default",
  flowchart: { useMaxWidth: false },
  sequence: { useMaxWidth: false },
});
