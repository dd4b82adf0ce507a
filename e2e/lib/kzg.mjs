//! KZG on a thread of its own: its set-up alone takes seconds, in which nobody else could meet a deadline.

import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { loadKZG } from 'kzg-wasm';

let worker;
let lastId = 0;
const waiting = new Map();

/** Calls a function of the KZG library by its name, for example `ask('blobToKZGCommitment', blob)`. */
export function ask(name, ...values) {
    if (!worker) {
        worker = new Worker(new URL(import.meta.url));
        worker.on('message', ({ id, value, failure }) => {
            const { resolve, reject } = waiting.get(id);
            waiting.delete(id);
            if (failure) reject(new Error(failure));
            else resolve(value);
        });
        // Listening holds the process; whoever waits for an answer has a deadline that does so instead.
        worker.unref();
    }
    const id = ++lastId;
    return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        worker.postMessage({ id, name, values });
    });
}

if (!isMainThread) {
    const kzg = loadKZG();
    parentPort.on('message', async ({ id, name, values }) => {
        try {
            parentPort.postMessage({ id, value: (await kzg)[name](...values) });
        } catch (error) {
            parentPort.postMessage({ id, failure: error.message });
        }
    });
}
