// The latest requests, which several views show. All views share one connection.
import { follow, useEffect, useState } from "../ui.js";

export const MAXIMUM_REQUESTS = 10_000;
let items = [], listeners = new Set(), stop, problem = "";
const HOUR = 3600_000;

function notify() {
  for (const listener of listeners) listener({ items, problem });
}

// Adds requests. Ignores requests that an earlier connection already received. Tests call this too.
export function append(added) {
  const known = new Set(items.slice(-1000).map(key));
  const fresh = added.filter((item) => !known.has(key(item)));
  if (fresh.length) items = [...items, ...fresh].slice(-MAXIMUM_REQUESTS);
  notify();
}

export const key = (item) => `${item.correlation_id} ${item.time} ${item.route}`;

// Returns the latest requests, newest last. The connection is open while a view uses it.
export function useRequests() {
  const [state, setState] = useState({ items, problem });
  useEffect(() => {
    listeners.add(setState);
    stop ??= follow("requests", items.at(-1)?.time + 1 || Date.now() - HOUR, (added) => {
      append(added);
    }, (text) => { problem = text; notify(); });
    return () => {
      listeners.delete(setState);
      if (listeners.size === 0) { stop?.(); stop = undefined; }
    };
  }, []);
  return state;
}
