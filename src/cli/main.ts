#!/usr/bin/env node
/**
 * The `journal` command. It only looks whether this Node can run the rest, which must therefore not be imported before:
 * an older Node would fail on it with a syntax error or a missing module that says nothing to anybody.
 */
const nodeNeeded = 24;

if (Number.parseInt(process.versions.node, 10) < nodeNeeded) {
  process.stderr.write(
    `journal: Node ${nodeNeeded} or later is needed, this is Node ${process.versions.node} (${process.execPath})\n`,
  );
  process.exitCode = 1;
} else {
  const { runProcess } = await import('./process.ts');
  await runProcess();
}

export {};
