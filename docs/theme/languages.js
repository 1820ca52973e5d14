// Code blocks of several languages become tabs; the choice holds for the whole site. Without scripts they stand below
// each other.
(() => {
  const names = { kotlin: "Kotlin", swift: "Swift", python: "Python", rust: "Rust", bash: "Shell", toml: "TOML" };
  const groups = [...document.querySelectorAll(".languages")];
  const languageOf = (block) =>
    Object.keys(names).find((name) => block.querySelector("code").classList.contains(`language-${name}`));

  const choose = (language) => {
    for (const group of groups) {
      const blocks = [...group.querySelectorAll("pre")].filter(languageOf);
      const there = blocks.some((block) => languageOf(block) === language);
      const shown = there ? language : languageOf(blocks[0]);
      for (const block of blocks) block.hidden = languageOf(block) !== shown;
      for (const tab of group.querySelectorAll("[role=tab]")) {
        tab.setAttribute("aria-selected", String(tab.dataset.language === shown));
      }
    }
  };

  for (const group of groups) {
    const tabs = document.createElement("div");
    tabs.className = "choice";
    tabs.setAttribute("role", "tablist");
    for (const block of group.querySelectorAll("pre")) {
      const language = languageOf(block);
      if (!language) continue;
      const tab = document.createElement("button");
      tab.type = "button";
      tab.setAttribute("role", "tab");
      tab.dataset.language = language;
      tab.textContent = names[language];
      tab.addEventListener("click", () => {
        localStorage.setItem("pocketlens-language", language);
        choose(language);
      });
      tabs.append(tab);
    }
    group.prepend(tabs);
  }
  choose(localStorage.getItem("pocketlens-language") || "kotlin");
})();
