// The package as others import it: by its name, from what is built. It needs `npm run build`, which comes before the
// tests in `npm test`; without a build there is nothing to prove.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { builtFile } from '../support/built.ts';
import { firstId, MadeJournal } from '../support/made-journal.ts';

const root = path.resolve(import.meta.dirname, '../..');

test.skipIf(builtFile('src/index.ts') === undefined)('a program reads a journal through the package', async () => {
  const journal = await MadeJournal.open();
  await journal.fullSync(firstId, 1000);
  await journal.write(['SET', 'a', '1']);
  await journal.stop();
  const program = `
    import { chooseSource, loadCatalog, localDisk, parseTarget, planRestore, planToJson, readRange } from 'journal';
    import { parseTimelineFolder } from 'journal/format';
    const tree = await chooseSource(localDisk, ${JSON.stringify(journal.root)}, undefined);
    const { timelines: [timeline] } = await loadCatalog(localDisk, tree);
    let text = '';
    for await (const { bytes } of readRange(localDisk, timeline.segments, 1001, timeline.end)) text += bytes;
    const target = parseTarget('latest', { now: 0, zone: undefined });
    const plan = await planRestore(localDisk, tree, { target, text: 'latest', mode: 'at', now: 0, relativeTtl: 'refuse' });
    console.log(JSON.stringify({ text, reached: planToJson(plan).reached.position, folder: parseTimelineFolder('0000000a') }));
  `;
  const argv = ['--input-type=module', '--eval', program];
  const { stdout, stderr } = spawnSync(process.execPath, argv, { cwd: root, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual({
    text: '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n',
    reached: `${firstId}:1027`,
    folder: 10,
  });
});
