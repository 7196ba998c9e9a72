/** What every page has: the bar with all pages, light and dark, and the help that `?` opens. */

/** Every page there is: another is one line more. */
export const PAGES = [
  { name: "Restore", href: "./" },
  { name: "Watch", href: "watch.html" },
  { name: "Simulate", href: "simulate.html" },
  { name: "Study", href: "study.html" },
  { name: "API", href: "api" },
];

const THEMES = { system: "◐ System", light: "☀ Light", dark: "☾ Dark" };

/** Makes an element: `make("a", { href: "x" }, "text", child)`; `on…` are listeners. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/**
 * Fills `<header>`; `keys` says what the keys of this page do, as [key, what it does], `actions`
 * has some of them do it. Raters of a study have no other `pages`.
 */
export function frame(keys, actions = {}, pages = PAGES) {
  const here = new URL(location.href).pathname.replace(/index\.html$/, "");
  const links = pages.map(({ name, href }) => {
    const link = make("a", { href }, name);
    if (new URL(href, location.href).pathname === here) link.setAttribute("aria-current", "page");
    return link;
  });
  const help = helpOf(keys);
  const ask = make("button", { type: "button", title: "Keys (?)", onclick: () => help.showModal() }, "Keys ?");
  document.querySelector("header").append(
    make("strong", { className: "name" }, "scanmend"),
    make("nav", { ariaLabel: "Pages" }, ...links),
    themeSwitch(),
    ask,
  );
  document.body.append(help);
  onKeys({ ...actions, "?": () => help.open || help.showModal() });
}

/** Has keys do `actions`, unless they are typed into a field or meant for the browser. */
export function onKeys(actions) {
  document.addEventListener("keydown", (event) => {
    const typed = event.target.matches?.("input:not([type=checkbox], [type=radio]), select, textarea");
    const meant = event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented;
    if (typed || meant || !Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key](event);
  });
}

function themeSwitch() {
  const choose = (theme) => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
    document.dispatchEvent(new Event("themechange")); // canvases take their colours anew
  };
  const select = make("select", { ariaLabel: "Light or dark", id: "theme" });
  for (const [value, name] of Object.entries(THEMES)) select.append(make("option", { value }, name));
  select.value = localStorage.getItem("theme") in THEMES ? localStorage.getItem("theme") : "system";
  choose(select.value);
  select.addEventListener("change", () => choose(select.value));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => choose(select.value));
  return select;
}

function helpOf(keys) {
  const rows = keys.map(([key, does]) =>
    make("tr", {}, make("th", { scope: "row" }, make("kbd", {}, key)), make("td", {}, does)),
  );
  const close = make("button", { autofocus: true }, "Close");
  return make(
    "dialog",
    { id: "help", ariaLabel: "Keys" },
    make("h2", {}, "Keys and mouse"),
    make("table", {}, ...rows),
    make("form", { method: "dialog" }, close),
  );
}
