//! Child processes that never outlive the run: whatever was started here is ended here, by its pid.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Expired, within } from './wait.mjs';

const running = new Set();

/** Kills whatever still runs. */
export function killEverything() {
    for (const child of running) child.kill('SIGKILL');
}

process.on('exit', killEverything);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

function launch(command, args, { env = {}, cwd, stdio }) {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio });
    running.add(child);
    const exited = new Promise((resolve) => {
        child.once('error', (error) => resolve({ error }));
        child.once('exit', (code, signal) => resolve({ code, signal }));
    }).then((end) => {
        running.delete(child);
        return end;
    });
    return { child, exited };
}

/** Starts a server. Its output goes to the file `log`; `line(pattern)` waits for a line of its stdout. */
export function startServer(command, args, { log, ...options }) {
    const { child, exited } = launch(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    const file = createWriteStream(log, { flags: 'a' });
    child.stderr.on('data', (chunk) => file.write(chunk));
    const lines = [];
    const waiting = new Set();
    createInterface({ input: child.stdout }).on('line', (text) => {
        file.write(`${text}\n`);
        lines.push(text);
        for (const look of waiting) look(text);
    });
    const name = command.split('/').pop();

    return {
        pid: child.pid,
        exited,
        log,
        async line(pattern, seconds) {
            const found = lines.find((text) => pattern.test(text));
            if (found !== undefined) return found;
            let look;
            const line = new Promise((resolve) => {
                look = (text) => pattern.test(text) && resolve(text);
                waiting.add(look);
            });
            const end = exited.then(({ error, code, signal }) => {
                throw new Error(
                    `${name} ended (${error?.message ?? code ?? signal}) before it printed ${pattern}; see ${log}`,
                );
            });
            try {
                return await within(seconds, `${name} to print ${pattern} (see ${log})`, Promise.race([line, end]));
            } finally {
                waiting.delete(look);
            }
        },
        /** Ends it and waits until it has ended; one that ignores `signal` is killed after `seconds`, and said so. */
        async stop(signal = 'SIGTERM', seconds = 20) {
            child.kill(signal);
            try {
                return await within(seconds, `${name} to end on ${signal}`, exited);
            } catch (error) {
                if (!(error instanceof Expired)) throw error;
                child.kill('SIGKILL');
                await exited;
                throw error;
            }
        },
    };
}

/** Runs a command to its end and returns its stdout; an exit status other than zero is an error with its stderr. */
export async function runCommand(command, args, { input, seconds = 60, ...options } = {}) {
    const { child, exited } = launch(command, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    const closed = new Promise((resolve) => child.once('close', resolve));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    try {
        const { error, code, signal } = await within(seconds, `${command.split('/').pop()} ${args[0]} to end`, exited);
        if (error) throw error;
        await closed;
        if (code !== 0) {
            const said = (stderr.trim() || stdout.trim()).slice(-2000);
            throw new Error(`${command.split('/').pop()} ${args.join(' ').slice(0, 200)}: ${code ?? signal}: ${said}`);
        }
        return stdout;
    } finally {
        child.kill('SIGKILL');
    }
}
