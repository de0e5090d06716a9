import assert from "node:assert/strict";
import { awaitLock, takeLock } from "../../files/folder_lock.ts";

const path = Deno.makeTempFileSync({ prefix: "codebook-lock-" });
Deno.test.afterAll(() => Deno.removeSync(path));
const MODULE = new URL("../../files/folder_lock.ts", import.meta.url).href;

/** Another process that holds the lock until it is killed. */
async function holder(): Promise<Deno.ChildProcess> {
  const program = `import { takeLock } from ${JSON.stringify(MODULE)};
const lock = await takeLock(${JSON.stringify(path)});
console.log(typeof lock);
await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", program],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assert.equal(new TextDecoder().decode(value).trim(), "object");
  await reader.cancel();
  return child;
}

Deno.test("a lock tells others its holder, and is released when the holder's process ends or is killed", async () => {
  const child = await holder();
  const refused = await takeLock(path);
  assert.ok(typeof refused === "string");
  assert.match(refused, new RegExp(`^process ${child.pid} on [\\w .-]+, since \\d{4}-`));
  child.kill("SIGKILL");
  await child.status;
  const lock = await takeLock(path);
  assert.ok(typeof lock !== "string", "no lock is stale");
  lock[Symbol.dispose]();
});

Deno.test("a process can wait for a lock, and then holds it", async () => {
  const child = await holder();
  const told: string[] = [];
  const waiting = awaitLock(path, (words) => {
    told.push(words);
    child.kill("SIGKILL");
  });
  await child.status;
  await waiting;
  assert.equal(told.length, 1);
  const lock = await takeLock(path);
  assert.ok(typeof lock !== "string");
  assert.match(
    await takeLock(path) as string,
    new RegExp(`^process ${Deno.pid} `),
    "it is taken once",
  );
  lock[Symbol.dispose]();
});

Deno.test("unexpected text in a lock file is not shown", async () => {
  const child = await holder();
  Deno.writeTextFileSync(path, "process 1 on \x1b[2J, since <script>");
  assert.equal(await takeLock(path), "another process");
  child.kill("SIGKILL");
  await child.status;
});
