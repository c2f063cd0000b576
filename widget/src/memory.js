// What this device keeps: its id, what it has written and not yet sent, a few
// choices. Messages that were sent or received are not kept, for the device may
// be one that several people use.
import { parsed } from "./logic.js";

// Where the browser refuses to keep something (private windows, a full disk),
// it is kept until the page is closed.
const ofThisPage = new Map();

export class Memory {
  constructor(...place) {
    this.prefix = `deskbridge ${place.join(" ")} `;
  }

  recall(name) {
    const key = this.prefix + name;
    if (ofThisPage.has(key)) return parsed(ofThisPage.get(key));
    try {
      return parsed(localStorage.getItem(key));
    } catch {
      return null;
    }
  }

  remember(name, value) {
    const key = this.prefix + name, text = JSON.stringify(value);
    try {
      localStorage.setItem(key, text);
      ofThisPage.delete(key);
    } catch {
      ofThisPage.set(key, text);
    }
  }

  // forget drops everything of this place.
  forget() {
    for (const key of ofThisPage.keys()) if (key.startsWith(this.prefix)) ofThisPage.delete(key);
    try {
      for (const key of Object.keys(localStorage)) if (key.startsWith(this.prefix)) localStorage.removeItem(key);
    } catch {
      // It is kept nowhere else.
    }
  }
}

// randomID makes device ids and keys of messages. crypto.randomUUID exists on
// https and this machine only.
export const randomID = () => crypto.randomUUID?.() ??
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

// Files keeps the files of messages that wait, by the message's key: in
// IndexedDB, because localStorage has room for text only.
export class Files {
  constructor() {
    this.here = new Map(); // this page's own, and all where there is no IndexedDB
  }

  async put(key, files) {
    this.here.set(key, files);
    await this.#ask("readwrite", (store) => store.put(files, key));
  }

  // get gives null where the files are gone.
  async get(key) {
    return this.here.get(key) ?? (await this.#ask("readonly", (store) => store.get(key))) ?? null;
  }

  async drop(key) {
    this.here.delete(key);
    await this.#ask("readwrite", (store) => store.delete(key));
  }

  async #ask(mode, act) {
    try {
      this.database ??= settled(Object.assign(indexedDB.open("deskbridge", 1), {
        onupgradeneeded: ({ target }) => target.result.createObjectStore("files"),
      }));
      return await settled(act((await this.database).transaction("files", mode).objectStore("files")));
    } catch {
      return null;
    }
  }
}

const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
