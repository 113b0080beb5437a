// Elements out of names, attributes and text. Text is only ever text: nothing here parses markup.

/** An element. Attributes that are functions listen; null and false are left out. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else if (key === "class") element.className = value;
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** Puts children, in lists or not, behind what an element has. */
export function append(element, children) {
  for (const child of [children].flat(9)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Has an element hold these children and nothing else. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** A labelled choice. Options are pairs of value and text. */
export function choice(label, options, value, changed) {
  const select = h(
    "select",
    { change: () => changed(select.value) },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)),
  );
  return h("label", { class: "field" }, h("span", {}, label), select);
}

/** Offers a file for saving. */
export function save(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Calls back before the next frame, once however often it is asked to. */
export function oncePerFrame(callback) {
  let due = 0;
  return () => {
    if (due) return;
    due = requestAnimationFrame(() => {
      due = 0;
      callback();
    });
  };
}
