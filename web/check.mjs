// Builds the page anew beside the committed one and compares the bytes.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const committed = new URL('../crates/serve/page/', import.meta.url).pathname;
const fresh = mkdtempSync(join(tmpdir(), 'tickhouse-page-'));
try {
  const build = spawnSync('npx', ['vite', 'build', '--outDir', fresh, '--logLevel', 'warn'], { stdio: 'inherit' });
  if (build.status !== 0) {
    process.exit(build.status ?? 1);
  }
  const names = [...new Set([...readdirSync(committed), ...readdirSync(fresh)])].sort();
  const read = (folder, name) => {
    try {
      return readFileSync(join(folder, name));
    } catch {
      return Buffer.alloc(0);
    }
  };
  const stale = names.filter((name) => !read(committed, name).equals(read(fresh, name)));
  if (stale.length > 0) {
    console.error(`crates/serve/page is stale: ${stale.join(', ')}; run npm run build and commit it`);
    process.exit(1);
  }
  console.log(`crates/serve/page is fresh: ${names.join(', ')}`);
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
