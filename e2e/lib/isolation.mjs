//! A network of its own for programs that listen on every interface.

import { skip } from './checks.mjs';
import { runCommand } from './process.mjs';

/**
 * Returns a function that turns a command into `[command, args]` which runs it, and all that it starts, where
 * nothing but a loopback interface exists; it ends with whatever it started. Skips where that is not possible.
 */
export async function isolated() {
    const user = process.getuid() === 0 ? [] : ['--map-root-user'];
    const isolate = ([command, ...args]) => [
        'unshare',
        [
            ...[...user, '--net', '--pid', '--fork', '--kill-child', '--'],
            ...['sh', '-c', 'ip link set lo up && exec "$@"', 'sh', command, ...args],
        ],
    ];
    try {
        await runCommand(...isolate(['true']));
    } catch (error) {
        skip(`no network namespace here: ${error.message}`);
    }
    return isolate;
}
