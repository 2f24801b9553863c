// What scenarios in JavaScript ask of their surroundings.
import net from "node:net";

/** Cuts every connection through the proxy, as a broken network would; resolves when that is done. */
export function cut() {
  return new Promise((resolve, reject) => {
    const cutter = net.connect(Number(process.env.CUTTER_PORT), "127.0.0.1");
    cutter.on("error", reject).on("end", () => cutter.end()).on("close", resolve).resume();
  });
}

/** A list to wait on: `push` from a callback, `await next()` in the scenario. */
export class Things {
  #things = [];
  #waiting = [];

  push = (thing) => {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(thing);
    else this.#things.push(thing);
  };

  get length() {
    return this.#things.length;
  }

  next() {
    if (this.#things.length > 0) return Promise.resolve(this.#things.shift());
    return new Promise((resolve, reject) => {
      const patience = setTimeout(() => reject(new Error("nothing came")), 20_000);
      this.#waiting.push((thing) => {
        clearTimeout(patience);
        resolve(thing);
      });
    });
  }

  async take(count) {
    const taken = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }
}
