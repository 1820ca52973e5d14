// Snippets are cut out of tests, where they are indented; links that leave the pages lead to files of the repository,
// which the site does not have.
(() => {
  for (const code of document.querySelectorAll("pre code")) {
    const lines = code.textContent.split("\n").filter((line) => line.trim());
    const indent = Math.min(...lines.map((line) => line.length - line.trimStart().length));
    if (indent > 0 && Number.isFinite(indent)) {
      code.innerHTML = code.innerHTML.replace(new RegExp(`^ {${indent}}`, "gm"), "");
    }
  }
  const root = new URL(typeof path_to_root === "string" ? path_to_root || "." : ".", location.href);
  for (const link of document.querySelectorAll("main a[href]")) {
    const inside = link.origin === location.origin && link.href.startsWith(new URL(".", new URL("x", root)).href);
    if (inside || link.origin !== location.origin) continue;
    const name = document.createElement("span");
    name.title = "a file of the repository";
    name.append(...link.childNodes);
    link.replaceWith(name);
  }
})();
