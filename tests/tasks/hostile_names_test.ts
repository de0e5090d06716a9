/** What the tasks of a study print, where names and files come from somebody else. */
import assert from "node:assert/strict";
import { folderForTests, lastLine, runTask, snapshot } from "./child.ts";

const folder = folderForTests();
const file = `${folder}/study.json`;
const NAME = "wh\x1b[2Jich\u202e\x9b", VALUE = "good\r\x07\nSecond line";
Deno.writeTextFileSync(
  file,
  JSON.stringify({
    name: "tiny",
    axes: [{ name: NAME, values: { [VALUE]: {}, other: { quantizer: { codebookSize: 8 } } } }],
  }),
);

/** Whether a text has nothing that a terminal takes for more than text. */
const isPlain = (text: string) => !/[^\n\t\P{Cc}]|[\u2028\u2029\u202a-\u202e]/u.test(text);

Deno.test("names are printed without control characters, and unchanged in JSON", async () => {
  const [plain, json] = await Promise.all([
    runTask("ablate", [file, "--out", `${folder}/none`, "--dry-run"]),
    runTask("ablate", [file, "--out", `${folder}/none`, "--dry-run", "--json"]),
  ]);
  for (const { code, stdout, stderr } of [plain, json]) {
    assert.equal(code, 0, stderr);
    assert.ok(isPlain(stdout + stderr), JSON.stringify(stdout + stderr));
  }
  assert.match(plain.stdout, /^\w+ {2}waiting {3}wh�\[2Jich�� good���Second line, seed 42$/m);
  const [{ point }] = lastLine(json.stdout).runs as { point: Record<string, string> }[];
  assert.deepEqual(point, { [NAME]: VALUE });
});

Deno.test("a folder name with control characters is rejected by every launcher", async () => {
  const before = snapshot(folder);
  for (const launcher of ["print", "local"]) {
    const out = `${folder}/a\x1b[2J\n#SBATCH --wrap=id`;
    const { code, stdout, stderr } = await runTask("ablate", [
      ...[file, "--out", out, "--launcher", launcher],
    ]);
    assert.equal(code, 2, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, /^Cannot plan the study tiny: its folder's name must have no control/);
    assert.ok(isPlain(stderr));
    assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
  }
  assert.deepEqual(snapshot(folder), before);
});

Deno.test("collect names a broken file, shows its run as damaged, and continues; ablate does not touch it", async () => {
  const out = `${folder}/study`, launch = [file, "--out", out, "--launcher", "print"];
  const printed = await runTask("ablate", launch);
  assert.equal(printed.code, 0, printed.stderr);
  const commands = printed.stdout.trimEnd().split("\n");
  const [, hash] = commands[0].match(/runs\/(\w+)$/)!;
  Deno.writeTextFileSync(`${out}/runs/${hash}/summary.json`, "null");
  const [plain, json] = await Promise.all([
    runTask("ablate", ["collect", out]),
    runTask("ablate", ["collect", out, "--json"]),
  ]);
  for (const { code, stderr } of [plain, json]) {
    assert.equal(code, 1);
    assert.equal(stderr, "");
  }
  assert.ok(isPlain(plain.stdout));
  const message =
    `damaged: Cannot read ${out}/runs/${hash}/summary.json: it must hold a run's summary, got `;
  assert.ok(plain.stdout.includes(message), plain.stdout);
  assert.match(plain.stdout, /^0 of 2 runs are finished, 0 failed, 1 damaged; all is in /m);
  const { runs, damage } = lastLine(json.stdout) as { runs: { state: string }[]; damage: string[] };
  assert.deepEqual(runs.map(({ state }) => state), ["damaged", "waiting"]);
  assert.equal(damage.length, 1);
  const again = await runTask("ablate", launch);
  assert.equal(again.stdout, `${commands[1]}\n`);
  assert.ok(again.stderr.includes(message), again.stderr);
});
