// One room over a WebSocket: connects with a ticket, reconnects, and fetches missed messages.

import type { Api, Config } from "./api";
import type { paths } from "./openapi";

export type Message =
  paths["/v1/chat/rooms/{roomId}/messages"]["get"]["responses"][200]["content"]["application/json"]["items"][number];
export type State = "connecting" | "joined" | "offline";

const RETRY_MS = 500;
const LONGEST_RETRY_MS = 5000;

export class Room {
  #socket: WebSocket | null = null;
  #messages = new Map<number, Message>();
  #attempts = 0;
  #closed = false;

  constructor(
    private api: Api,
    private config: Config,
    private roomId: string,
    private changed: (state: State, messages: Message[]) => void,
  ) {
    addEventListener("offline", this.#cut);
    addEventListener("online", this.#connect);
    void this.#connect();
  }

  send(content: string): void {
    const frame = { action: "send_message", roomId: this.roomId, content };
    this.#socket?.send(JSON.stringify({ ...frame, requestId: crypto.randomUUID() }));
  }

  close(): void {
    this.#closed = true;
    removeEventListener("offline", this.#cut);
    removeEventListener("online", this.#connect);
    this.#socket?.close();
  }

  // A cut network closes no socket, so the browser would wait for minutes.
  #cut = (): void => {
    this.#socket?.close();
    this.#report("offline");
  };

  #connect = async (): Promise<void> => {
    if (this.#closed || this.#socket || !navigator.onLine) {
      return;
    }
    this.#report("connecting");
    try {
      const { data } = await this.api.POST("/v1/chat/tickets", { body: {} });
      const socket = new WebSocket(`${this.config.wsUrl}?ticket=${data!.ticket}`);
      this.#socket = socket;
      socket.onopen = () =>
        socket.send(JSON.stringify({ action: "join_room", roomId: this.roomId, requestId: "join" }));
      socket.onmessage = (event) => void this.#receive(JSON.parse(event.data));
      socket.onclose = () => {
        this.#socket = null;
        this.#retry();
      };
    } catch {
      this.#retry();
    }
  };

  #retry(): void {
    this.#report(navigator.onLine ? "connecting" : "offline");
    const delay = Math.min(RETRY_MS * 2 ** this.#attempts++, LONGEST_RETRY_MS);
    setTimeout(this.#connect, delay);
  }

  async #receive(frame: { type: string; requestId?: string; message?: Message }): Promise<void> {
    if (frame.type === "ack" && frame.requestId === "join") {
      this.#attempts = 0;
      await this.#fetchMissed();
      this.#report("joined");
    } else if (frame.type === "new_message") {
      const message = frame.message!;
      if (message.seq > this.#last + 1) {
        await this.#fetchMissed();
      }
      this.#messages.set(message.seq, message);
      this.#report("joined");
    }
  }

  get #last(): number {
    return Math.max(0, ...this.#messages.keys());
  }

  async #fetchMissed(): Promise<void> {
    const params = { path: { roomId: this.roomId }, query: { afterSeq: this.#last, limit: 100 } };
    const { data } = await this.api.GET("/v1/chat/rooms/{roomId}/messages", { params });
    data?.items.forEach((message) => this.#messages.set(message.seq, message));
  }

  #report(state: State): void {
    const messages = [...this.#messages.values()].sort((a, b) => a.seq - b.seq);
    this.changed(state, messages);
  }
}
