// Fetches an npm package with `npm pack`, checks it against its hash, and keeps it unpacked in node_modules/.cache. Installing
// it would bring others along, none of which is needed to read what it holds.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './forge.mjs';

/** The package's files, unpacked; a folder to read from. */
export function unpacked({ name, version, integrity }) {
  const cache = join(root, 'node_modules', '.cache');
  const folder = join(cache, `${name.split('/').pop()}-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(join(cache, 'fetching-'));
  try {
    // On Windows npm is a script, which only a shell starts; no argument holds anything a shell would read.
    const windows = process.platform === 'win32';
    const npm = ['pack', `${name}@${version}`, '--silent', '--pack-destination', windows ? `"${scratch}"` : scratch];
    execFileSync('npm', npm, { stdio: ['ignore', 'ignore', 'inherit'], shell: windows });
    const archive = join(scratch, readdirSync(scratch).find((file) => file.endsWith('.tgz')));
    const found = 'sha512-' + createHash('sha512').update(readFileSync(archive)).digest('base64');
    if (found !== integrity) throw new Error(`${name}@${version}: expected ${integrity}, got ${found}`);
    // Relative names: some tars take the colon of a Windows path for a host.
    execFileSync('tar', ['-xzf', archive.slice(scratch.length + 1)], { cwd: scratch });
    renameSync(join(scratch, 'package'), folder);
    return folder;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Writes `text` to `target`; with --check, compares the two and ends the process where they differ. */
export function keep(target, text, { name, version }) {
  if (!process.argv.includes('--check')) return writeFileSync(target, text);
  if (!existsSync(target) || readFileSync(target, 'utf8') !== text) {
    console.error(`${target} differs from ${name}@${version}; run: node ${process.argv[1]}`);
    process.exit(1);
  }
}
