// Light or dark, before anything is drawn: as was chosen here, or else as the system has it.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const chosen = () => {
    try { return localStorage.getItem("dalla-scheme"); } catch { return null; }
  };
  const apply = () => {
    root.dataset.scheme = chosen() ?? (system.matches ? "dark" : "light");
    dispatchEvent(new Event("scheme"));
  };
  system.addEventListener("change", apply);
  apply();

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("scheme");
    const tell = () => button.setAttribute("aria-pressed", root.dataset.scheme === "dark");
    button.addEventListener("click", () => {
      const scheme = root.dataset.scheme === "dark" ? "light" : "dark";
      try {
        // What the system says is followed again, where it says the same.
        if ((scheme === "dark") === system.matches) localStorage.removeItem("dalla-scheme");
        else localStorage.setItem("dalla-scheme", scheme);
      } catch { /* a private window: for this page only */ }
      root.dataset.scheme = scheme;
      dispatchEvent(new Event("scheme"));
    });
    addEventListener("scheme", tell);
    tell();
  });

  // Paper is white.
  addEventListener("beforeprint", () => { root.dataset.scheme = "light"; dispatchEvent(new Event("scheme")); });
  addEventListener("afterprint", apply);
})();
