// What of an agent's HTML is shown. The server has sanitised it before; this is
// the second lock, so that a page is safe with any server.
const kept = new Set(["b", "blockquote", "br", "caption", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5",
  "h6", "hr", "i", "ins", "li", "ol", "p", "pre", "s", "small", "span", "strong", "sub", "sup", "table", "tbody",
  "td", "tfoot", "th", "thead", "tr", "u", "ul"]);
const dropped = new Set(["iframe", "math", "noembed", "noframes", "noscript", "object", "script", "style", "svg",
  "template", "textarea", "title"]);
const attributes = { dir: /^(ltr|rtl|auto)$/i, lang: /^[a-z-]{1,40}$/i, colspan: /^\d{1,2}$/, rowspan: /^\d{1,2}$/, start: /^\d{1,6}$/ };
const schemes = new Set(["http:", "https:", "mailto:", "tel:"]);

// safeHTML makes a fragment of new elements: text and allowed elements only, and
// what picture gives for the address of one. The parsed document is inert,
// nothing in it loads or runs. Where the page's trusted types forbid to parse,
// it gives null.
export function safeHTML(markup, picture) {
  const fragment = document.createDocumentFragment();
  try {
    copyChildren(new DOMParser().parseFromString(trusted(markup), "text/html").body, fragment, picture);
  } catch {
    return null;
  }
  return fragment;
}

let policy; // of trusted types; made once, a page may allow its name only once

function trusted(markup) {
  policy ??= window.trustedTypes?.createPolicy("deskbridge-chat", { createHTML: (text) => text }) ?? { createHTML: (text) => text };
  return policy.createHTML(markup);
}

function copyChildren(from, to, picture) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
    else if (node.nodeType === Node.ELEMENT_NODE) copyElement(node, to, picture);
  }
}

function copyElement(from, to, picture) {
  const name = from.localName;
  if (name === "img") return to.append(picture?.(from.getAttribute("src")) ?? "");
  if (dropped.has(name)) return;
  const link = name === "a" && address(from.getAttribute("href"));
  if (!link && !kept.has(name)) return copyChildren(from, to, picture); // its text stays
  const element = document.createElement(name);
  for (const [attribute, allowed] of Object.entries(attributes)) {
    const value = from.getAttribute(attribute);
    if (value !== null && allowed.test(value)) element.setAttribute(attribute, value);
  }
  if (link) {
    element.href = link;
    element.target = "_blank";
    element.rel = "noopener noreferrer nofollow";
  }
  copyChildren(from, element, picture);
  to.append(element);
}

// address gives an absolute link of an allowed scheme, else nothing.
export function address(href) {
  try {
    const url = new URL(href); // relative addresses are none
    return schemes.has(url.protocol) ? url.href : "";
  } catch {
    return "";
  }
}
