// Follows /events: by fetch, for an EventSource wants to know each type of event beforehand.

const RETRY = 3000; // ms after which a broken stream is begun again

/**
 * Call back with each event {id, type, data} until the signal stops it; a stream that breaks off
 * goes on where it ended.
 */
export async function follow(address, { heard, signal, lost = () => {}, after = null }) {
  let position = after;
  while (!signal.aborted) {
    try {
      const headers = position === null ? {} : { "Last-Event-ID": position };
      const reply = await fetch(address, { headers, signal, credentials: "same-origin", cache: "no-store" });
      if (!reply.ok) throw new Error(`${reply.status}`);
      let rest = "";
      const text = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await text.read();
        if (done) break;
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        for (const part of parts) {
          const event = parsed(part);
          position = event.id ?? position;
          if (event.type) heard(event);
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      lost(error);
    }
    await new Promise((resume) => { setTimeout(resume, RETRY); });
  }
}

function parsed(frame) {
  const event = { id: null, type: null, data: null };
  for (const line of frame.split("\n")) {
    const at = line.indexOf(": ");
    const [name, value] = [line.slice(0, at), line.slice(at + 2)];
    if (name === "id") event.id = value;
    else if (name === "event") event.type = value;
    else if (name === "data") event.data = value;
  }
  return event;
}
