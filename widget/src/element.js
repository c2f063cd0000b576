// <deskbridge-chat>: the element, its attributes, and where it stands.
import { Memory } from "./memory.js";
import { Talk } from "./talk.js";
import { View, h, icon, put } from "./view.js";
import { direction, filled, languagesOfTexts, sameLanguage, textsFor } from "./texts.js";
import { styles } from "./styles.js";

// A module script does not know its own address; a plain one does.
const origin = document.currentScript?.src ? new URL(document.currentScript.src).origin : location.origin;

let sheet; // shared by all elements of the page

// dress gives a shadow root its styles, in a way that strict pages allow; older
// browsers have only the other.
function dress(root) {
  try {
    if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(styles);
    root.adoptedStyleSheets = [sheet];
  } catch {
    root.append(h("style", {}, styles));
  }
}

class DeskbridgeChat extends HTMLElement {
  static observedAttributes = ["server", "region", "language", "device", "heading", "launcher"];

  #authorize = null;
  #talk = null;
  #view = null;
  #open = false;
  #listening = null;
  #chosen = null; // language
  #connected = false;

  constructor() {
    super();
    this.attachShadow({ mode: "open" });
  }

  connectedCallback() {
    if (Object.hasOwn(this, "authorize")) { // it was set before the script arrived
      const { authorize } = this;
      delete this.authorize;
      this.authorize = authorize;
    }
    this.#connected = true;
    this.#begin();
  }

  disconnectedCallback() {
    this.#connected = false;
    this.#leave();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.#connected || before === now) return;
    if (!this.#view) {
      this.#begin();
    } else if (name === "language") {
      this.#chosen = null;
      this.#speak();
    } else if (name === "heading") {
      this.#view.draw();
    } else {
      this.#leave();
      this.#begin();
    }
  }

  // authorize is async () => token, for regions that want one.
  get authorize() { return this.#authorize; }
  set authorize(value) { this.#authorize = value; }

  // --- what the view asks

  get server() { return this.getAttribute("server") || origin; }
  get region() { return this.getAttribute("region") || ""; }
  get heading() { return this.getAttribute("heading"); }
  get #launches() { return this.hasAttribute("launcher"); }

  talk() { return this.#talk; }

  languages() {
    const all = this.#document?.languages;
    return all?.length > 0 ? all : [{ code: this.language() }];
  }

  // language is what was chosen here, else what the page says, else what was
  // chosen earlier, else the browser's; of these the first that the region has.
  language() {
    const codes = this.#document?.languages?.map((l) => l.code) ?? [];
    const known = codes.length > 0 ? codes : [this.getAttribute("language"), ...languagesOfTexts()].filter(Boolean);
    for (const wanted of [this.#chosen, this.getAttribute("language"), this.#memory.recall("language"), ...navigator.languages]) {
      if (!wanted) continue;
      const match = known.find((c) => c.toLowerCase() === wanted.toLowerCase()) ?? known.find((c) => sameLanguage(c, wanted));
      if (match) return match;
    }
    return known[0];
  }

  choose(code) {
    this.#chosen = code;
    this.#memory.remember("language", code);
    this.#speak();
  }

  attended() {
    return document.visibilityState === "visible" && (this.#open || !this.#launches);
  }

  close() {
    this.#show(false);
    this.launcher.focus();
  }

  // anew begins with a new device, after the former one was erased.
  anew() {
    this.#talk.stop();
    this.#view.attachments.forget();
    this.#start();
  }

  drawn() {
    const unread = this.#talk?.unread ?? 0;
    if (this.launcher) this.#label(unread);
    if (unread === this.unread) return;
    this.unread = unread;
    this.dispatchEvent(new CustomEvent("deskbridge-unread", { detail: { unread }, bubbles: true, composed: true }));
  }

  // --- beginning and end

  get #memory() { return new Memory(this.server); }
  #document = null; // of the region

  #begin() {
    if (!this.region) return console.error("deskbridge-chat needs the attribute region");
    this.#view = new View(this);
    const root = h("div", { class: "root" }, this.#view.panel);
    root.classList.toggle("launches", this.#launches);
    this.#view.shut.hidden = !this.#launches;
    if (this.#launches) {
      this.launcher = h("button", { id: "launcher", class: "launcher", part: "launcher", type: "button", "aria-controls": "panel", "aria-expanded": "false", onclick: () => this.#show(!this.#open) }, icon("chat"), icon("close"), h("span", { class: "badge", hidden: "" }));
      root.append(this.launcher);
      this.#view.panel.hidden = true;
      root.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || !this.#open || event.isComposing) return;
        event.stopPropagation();
        this.close();
      });
    }
    this.shadowRoot.replaceChildren(root);
    dress(this.shadowRoot);
    this.#listen();
    this.#speak();
    // Who only passes by gets no device id, and the server no questions.
    if (!this.#launches || Talk.known(this.server, this.region)) this.#start();
  }

  #start() {
    this.#talk = new Talk({
      server: this.server, region: this.region, device: this.getAttribute("device"),
      authorize: () => this.authorize, language: () => this.language(), changed: (more) => this.#changed(more),
    });
    this.#talk.reader.attend(this.attended());
    this.#changed();
    this.#talk.start();
  }

  #changed(more) {
    if (this.#talk?.region && this.#document !== this.#talk.region) {
      this.#document = this.#talk.region;
      this.#speak();
    }
    this.#view?.changed(more);
  }

  #leave() {
    this.#listening?.abort();
    this.#talk?.stop();
    this.#view?.attachments.forget();
    this.#talk = this.#view = this.#document = this.launcher = null;
    this.#open = false;
  }

  #listen() {
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    addEventListener("online", () => this.#talk?.wake(), { signal });
    addEventListener("offline", () => this.#talk?.reader.offline(), { signal });
    addEventListener("storage", (event) => { // another tab has written
      if (!event.key?.startsWith("deskbridge ")) return;
      if (this.#talk?.isFormer) this.anew();
      this.#talk?.wake();
      this.#changed();
    }, { signal });
    document.addEventListener("visibilitychange", () => this.#attend(), { signal });
  }

  #attend() {
    this.#talk?.reader.attend(this.attended());
    this.#view?.look();
  }

  #show(open) {
    this.#open = open;
    this.#view.panel.hidden = !open;
    this.launcher.setAttribute("aria-expanded", String(open));
    this.shadowRoot.firstElementChild.classList.toggle("open", open);
    if (open && !this.#talk) this.#start();
    this.#attend();
    this.#view.draw();
    if (!open) return;
    this.#view.toEnd();
    this.#view.text.focus();
  }

  #label(unread) {
    const say = textsFor(this.language());
    const words = this.#open ? say.close : say.open + (unread > 0 ? `, ${filled(say.unread, { n: unread })}` : "");
    this.launcher.setAttribute("aria-label", words);
    this.launcher.title = words;
    const badge = this.launcher.lastElementChild;
    badge.hidden = unread === 0;
    put(badge, unread > 0 ? String(unread) : "");
  }

  #speak() {
    const code = this.language();
    this.shadowRoot.firstElementChild.dir = direction(code);
    this.#view.speak(code);
    if (this.launcher) this.#label(this.#talk?.unread ?? 0);
  }
}

if (!customElements.get("deskbridge-chat")) customElements.define("deskbridge-chat", DeskbridgeChat);
