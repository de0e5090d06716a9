/** A browser for the tests of pages: Chromium, without a window. */

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

async function isThere(name: string): Promise<boolean> {
  return await new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" })
    .output().then(({ success }) => success, () => false);
}

/** The name of the browser; none where there is no such program, which is then named in the output.
 * @throws {Error} CI is set and there is none
 */
export async function findBrowser(): Promise<string | undefined> {
  for (const name of NAMES) if (await isThere(name)) return name;
  const missing = `MISSING browser: none of ${NAMES.join(", ")} is installed, its tests do not run`;
  if (Deno.env.get("CI") !== undefined) throw new Error(missing);
  console.log(missing);
}

/** Opens a page and gives what the browser printed.
 * @param flags what it is to do: `--dump-dom`, `--screenshot=PATH`
 */
export async function browse(
  browser: string,
  page: string,
  flags: readonly string[],
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const profile = await Deno.makeTempDir({ prefix: "codebook-browser-" });
  try {
    const { code, stdout, stderr } = await new Deno.Command(browser, {
      args: [
        ...["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"],
        ...["--enable-logging=stderr", "--v=0", `--user-data-dir=${profile}`, ...flags, page],
      ],
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    if (code !== 0) {
      throw new Error(`Cannot browse: ${browser} ended with ${code}: ${text(stderr)}`);
    }
    return { stdout: text(stdout), stderr: text(stderr) };
  } finally {
    await Deno.remove(profile, { recursive: true });
  }
}

/** Opens a page and leaves it open until something has come of it.
 * @param flags besides those of every test
 * @param answer what the page was opened for; it is waited for at most ten minutes
 * @throws {Error} the browser ended or that time passed before
 */
export async function visit<T>(
  browser: string,
  page: string,
  flags: readonly string[],
  answer: Promise<T>,
): Promise<T> {
  const profile = await Deno.makeTempDir({ prefix: "codebook-browser-" });
  const child = new Deno.Command(browser, {
    args: [
      ...["--headless", "--no-sandbox", "--no-first-run", `--user-data-dir=${profile}`],
      ...["--enable-logging=stderr", "--v=0", ...flags, page],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  const timer = setTimeout(() => child.kill(), 600_000);
  const ended = child.status.then(async () => {
    throw new Error(`Cannot visit ${page}: ${browser} ended before an answer: ${await errors}`);
  });
  try {
    return await Promise.race([answer, ended]);
  } finally {
    clearTimeout(timer);
    ended.catch(() => {});
    try {
      child.kill();
    } catch {
      // It has ended.
    }
    await Promise.all([child.status, errors]);
    await Deno.remove(profile, { recursive: true });
  }
}
