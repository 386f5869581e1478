// JSON-RPC over a WebSocket, subscriptions included, on no client library.

import { once } from "node:events";
import { WebSocket } from "ws";

/** JSON-RPC over one WebSocket. */
export class Socket {
  static async open(url) {
    const socket = new WebSocket(url);
    await once(socket, "open");
    return new Socket(socket);
  }

  constructor(socket) {
    this.socket = socket;
    this.waiting = new Map();
    this.heard = new Map();
    this.sent = 0;
    socket.on("message", (data) => this.take(JSON.parse(data)));
  }

  take({ id: number, result, error, params }) {
    if (params) this.events(params.subscription).push(params.result);
    else if (error) this.waiting.get(number).reject(Object.assign(new Error(error.message), error));
    else this.waiting.get(number).resolve(result);
  }

  call(method, ...params) {
    const number = ++this.sent;
    this.socket.send(JSON.stringify({ jsonrpc: "2.0", id: number, method, params }));
    return new Promise((resolve, reject) => this.waiting.set(number, { resolve, reject }));
  }

  /** What a subscription has told so far. */
  events(subscription) {
    if (!this.heard.has(subscription)) this.heard.set(subscription, []);
    return this.heard.get(subscription);
  }

  close() {
    this.socket.close();
  }
}
