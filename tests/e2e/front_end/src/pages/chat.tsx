import { useEffect, useRef, useState } from "react";
import type { Api, Config } from "../api";
import { type Message, Room, type State } from "../room";

export default function Chat({ api, config, roomId }: { api: Api; config: Config; roomId: string }) {
  const [state, setState] = useState<State>("connecting");
  const [messages, setMessages] = useState<Message[]>([]);
  const room = useRef<Room | null>(null);

  useEffect(() => {
    const opened = new Room(api, config, roomId, (next, all) => {
      setState(next);
      setMessages(all);
    });
    room.current = opened;
    return () => opened.close();
  }, [api, config, roomId]);

  function send(event: React.FormEvent<HTMLFormElement>): void {
    event.preventDefault();
    const field = event.currentTarget.elements.namedItem("content") as HTMLInputElement;
    room.current?.send(field.value);
    field.value = "";
  }

  return (
    <>
      <h1>Room {roomId}</h1>
      <p role="status">{state}</p>
      <ol id="messages" aria-live="polite">
        {messages.map((message) => (
          <li key={message.seq}>{message.content}</li>
        ))}
      </ol>
      <form onSubmit={send}>
        <label>
          Message <input name="content" required />
        </label>
        <button disabled={state !== "joined"}>Send</button>
      </form>
    </>
  );
}
