/** Those who look again when a history has changed. */
export class Watchers {
  readonly #all = new Set<() => void>();

  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  /** The result ends it. */
  add(changed: () => void): () => void {
    this.#all.add(changed);
    return () => {
      this.#all.delete(changed);
    };
  }

  /** Who is added or leaves meanwhile changes nothing of this round. */
  tell(): void {
    for (const changed of [...this.#all]) changed();
  }
}
