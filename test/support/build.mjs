// Compiles src and journal-format into a fresh dist/, so that a file deleted from the sources does not live on there,
// and marks the command as executable, which the compiler does not do.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const compiler = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
const command = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

rmSync(fileURLToPath(new URL('../../dist', import.meta.url)), { recursive: true, force: true });
const compiled = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.json'], { cwd: root, stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);
if (existsSync(command)) chmodSync(command, 0o755);
