// What a page remembers in the browser's storage; where that is blocked or full, for this page only.

const spare = new Map();

function place(kind) {
  return {
    /** What was set, null if nothing was, or nothing that can be read. */
    get(key) {
      try {
        return JSON.parse(spare.get(kind + key) ?? window[kind].getItem(key));
      } catch {
        return null;
      }
    },
    /** Whether later pages will find it. */
    set(key, value) {
      const text = JSON.stringify(value);
      try {
        window[kind].setItem(key, text);
        spare.delete(kind + key);
        return true;
      } catch {
        spare.set(kind + key, text);
        return false;
      }
    },
    drop(key) {
      spare.delete(kind + key);
      try { window[kind].removeItem(key); } catch { /* nothing is kept there */ }
    },
  };
}

export const ofTab = place("sessionStorage");
export const ofBrowser = place("localStorage");
