//! JSON-RPC and the Beacon API without a library between us and the node.

import { createHmac } from 'node:crypto';

export class RpcError extends Error {
    constructor(method, { code, message, data }) {
        super(`${method}: ${message} (${code})`);
        this.code = code;
        this.data = data;
    }
}

async function post(url, body, headers = {}) {
    const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    try {
        return JSON.parse(text);
    } catch {
        throw new Error(`${body.method}: HTTP ${response.status}: ${text.slice(0, 200)}`);
    }
}

let lastId = 0;

/** `rpc(url)` returns a function `(method, ...params) => result`; `headers` may be a function. */
export function rpc(url, headers = () => ({})) {
    return async (method, ...params) => {
        const answer = await post(url, { jsonrpc: '2.0', id: ++lastId, method, params }, headers());
        if (answer.error) throw new RpcError(method, answer.error);
        return answer.result;
    };
}

/** The Engine API, with a fresh token for every call (a token is good for a minute). */
export function engine(url, secret) {
    const base64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    return rpc(url, () => {
        const signed = `${base64({ alg: 'HS256', typ: 'JWT' })}.${base64({ iat: Math.floor(Date.now() / 1000) })}`;
        const signature = createHmac('sha256', Buffer.from(secret, 'hex')).update(signed).digest('base64url');
        return { authorization: `Bearer ${signed}.${signature}` };
    });
}

/** `beacon(url)` returns a function `(path) => body`, which throws what the API says on failure. */
export function beacon(url) {
    return async (path) => {
        const response = await fetch(url + path, { signal: AbortSignal.timeout(30_000) });
        if (!response.ok) {
            const error = new Error(`GET ${path}: HTTP ${response.status}: ${(await response.text()).slice(0, 200)}`);
            error.status = response.status;
            throw error;
        }
        return response.json();
    };
}
