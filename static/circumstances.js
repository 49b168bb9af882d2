// Switches that try on other circumstances: what is chosen is sent as `context` over the public API, as any shop would.

export class Circumstances {
  /** send(context): resolves to whether it was taken. kept: what this visit remembers, {tried, found}. keep(change) saves it. */
  constructor(root, send, kept, keep) {
    this.root = root;
    this.send = send;
    this.kept = kept;
    this.keep = keep;
    this.said = root.querySelector("[role=status]");
    this.trying = false;
    for (const select of root.querySelectorAll("select")) {
      select.value = this.tried[select.name] ?? "";
      select.addEventListener("change", () => this.choose(select));
    }
    root.hidden = false;
  }

  get tried() {
    return this.kept.tried ?? {};
  }

  /** What the system knew by itself, before anything was tried: what "as it is" goes back to. */
  found(profile) {
    if (!this.trying && !Object.keys(this.tried).length) this.keep({ found: profile.evidence_used ?? {} });
  }

  async choose(select) {
    const value = select.value || (this.kept.found?.[select.name] ?? "");
    const words = select.selectedOptions[0].textContent;
    this.said.textContent = "";
    this.trying = true; // a profile that counts it may come before the answer does
    const taken = await this.send({ [select.name]: value });
    this.trying = false;
    if (!taken) {
      select.value = this.tried[select.name] ?? "";
      this.said.textContent = "That could not be sent just now; nothing changed.";
      return;
    }
    this.keep({ tried: { ...this.tried, [select.name]: select.value } });
    this.said.textContent = `${select.dataset.label}: ${words.toLowerCase()}. The belief above counts it now.`;
  }
}
