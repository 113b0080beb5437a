// The service's API. A key is kept for this tab, sent as a header, and never part of an address.

const KEPT = "greenfork-key";

/** A refusal of the service: its words, and the code that programs rely on. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the service answered with ${status}`);
    this.status = status;
    this.code = problem.code ?? "unknown";
  }
}

/** Calls the API of the service that served the page. */
export class Api {
  constructor(base = new URL("../", document.baseURI)) {
    this.base = base;
    this.onUnauthorized = async () => false;
  }

  get key() {
    return sessionStorage.getItem(KEPT) ?? "";
  }

  /** Keeps a key for this tab; an empty one forgets it. */
  keep(key) {
    if (key) sessionStorage.setItem(KEPT, key);
    else sessionStorage.removeItem(KEPT);
  }

  /** The address of a route. */
  url(parts, query = {}) {
    const url = new URL(parts.map((part) => encodeURIComponent(part)).join("/"), this.base);
    for (const [name, value] of Object.entries(query))
      if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
    return url;
  }

  /** The answer of a route as JSON. */
  async get(parts, query = {}, signal = undefined) {
    return (await this.send(this.url(parts, query), { signal })).json();
  }

  /** The answer to a message. */
  async post(parts, message, signal = undefined) {
    const headers = { "Content-Type": "application/json" };
    return (
      await this.send(this.url(parts), {
        method: "POST",
        body: JSON.stringify(message),
        headers,
        signal,
      })
    ).json();
  }

  /** Server-sent events, each one's data as JSON, until the signal or the service ends them. */
  async *events(parts, signal) {
    const response = await this.send(this.url(parts), { signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value.replaceAll("\r\n", "\n");
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const data = block
          .split("\n")
          .filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(5).trimStart());
        if (data.length) yield JSON.parse(data.join("\n"));
      }
    }
  }

  async send(url, options) {
    for (;;) {
      const headers = { ...options.headers };
      if (this.key) headers.Authorization = `Bearer ${this.key}`;
      const response = await fetch(url, {
        ...options,
        headers,
        credentials: "omit",
        cache: "default",
      });
      if (response.ok) return response;
      const problem = await response.json().catch(() => ({}));
      if (response.status === 401 && (await this.onUnauthorized(this.key !== ""))) continue;
      throw new Refusal(response.status, problem);
    }
  }
}
