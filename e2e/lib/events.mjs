//! Server-sent events.

/** Yields `{ event, data }` until `signal` aborts. */
export async function* eventsOf(url, signal) {
    const response = await fetch(url, { headers: { accept: 'text/event-stream' }, signal });
    if (!response.ok) throw new Error(`GET ${url}: HTTP ${response.status}`);
    let text = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        text += chunk.replaceAll('\r\n', '\n');
        const messages = text.split('\n\n');
        text = messages.pop();
        for (const message of messages) {
            const fields = message.split('\n').filter((line) => line !== '' && !line.startsWith(':'));
            const value = (name) =>
                fields
                    .filter((line) => line.startsWith(`${name}:`))
                    .map((line) => line.slice(name.length + 1).trimStart())
                    .join('\n');
            if (fields.length > 0) yield { event: value('event'), data: value('data') };
        }
    }
}
