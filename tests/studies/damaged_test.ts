/** Studies of which some files are broken, or were written by somebody who means harm. */
import assert from "node:assert/strict";
import { encode } from "fast-png";
import fc from "fast-check";
import { RunFolder } from "../../training/run_folder.ts";
import { drawSampleGrid } from "../../objectives/sample_grid.ts";
import { collectStudy } from "../../studies/collect_study.ts";
import { showDamage } from "../../studies/damage.ts";
import { PrintLauncher } from "../../studies/launchers/print.ts";
import { launchStudy } from "../../studies/run_study.ts";
import type { Study } from "../../studies/study.ts";

const STUDY: Study = {
  name: "sizes",
  axes: [{ path: "quantizer.codebookSize", values: [8, 16] }],
};
const PROTOCOL = {
  ...{ dataset: "grey", split: "test", images: 4, imageShape: [2, 2, 1], valueRange: [-1, 1] },
  metrics: { mse: "m", psnr: "p", usage: "u", perplexity: "p" },
};
const SUMMARY = {
  ...{ preset: "digits", seed: 42, steps: 2, device: "cpu", imagesPerSecond: 9 },
  test: { images: 4, mse: 0.5, psnr: 9, usage: 1, perplexity: 2, protocol: "aa" },
  protocols: { aa: PROTOCOL },
};
const images = Float32Array.from({ length: 16 }, (_, at) => at / 8 - 1);
const PICTURE = drawSampleGrid({
  ...{ originals: images, reconstructions: images, imageShape: [2, 2, 1] },
});

/** The files of a whole run, by name. */
const FILES: Readonly<Record<string, string | Uint8Array>> = {
  "summary.json": JSON.stringify(SUMMARY),
  "counts.json": "[3,0,1]\n",
  "metrics.jsonl": '{"kind":"step","step":1,"loss":2}\n{"kind":"step","step":2,"loss":1}\n{"kin',
  "samples/epoch-001.png": PICTURE,
};

/** A study of two finished runs; some files of the first are others. */
async function withStudy(
  changed: Readonly<Record<string, string | Uint8Array | null>>,
  test: (out: string) => Promise<void>,
): Promise<void> {
  const out = await Deno.makeTempDir({ prefix: "codebook-damaged-" });
  try {
    await launchStudy(STUDY, new PrintLauncher(), { out });
    const { runs } = JSON.parse(await Deno.readTextFile(`${out}/plan.json`));
    for (const [at, { hash }] of runs.entries()) {
      await Deno.mkdir(`${out}/runs/${hash}/samples`);
      for (const [name, content] of Object.entries({ ...FILES, ...at === 0 && changed })) {
        const path = `${out}/runs/${hash}/${name}`;
        if (content === null) await Deno.mkdir(path);
        else await Deno.writeFile(path, bytesOf(content));
      }
    }
    await test(out);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

const bytesOf = (content: string | Uint8Array) =>
  typeof content === "string" ? new TextEncoder().encode(content) : content;

/** What collecting says of a study whose first run has other files. */
async function collect(changed: Readonly<Record<string, string | Uint8Array | null>>) {
  let seen: { states: string[]; damage: string[]; page: string; table: string } | undefined;
  await withStudy(changed, async (out) => {
    const { records, damage } = await collectStudy(out);
    seen = {
      states: records.map(({ state }) => state),
      damage: damage.map((one) => showDamage(one).replaceAll(out, "OUT")),
      page: await Deno.readTextFile(`${out}/study.html`),
      table: await Deno.readTextFile(`${out}/study.md`),
    };
  });
  return seen!;
}

Deno.test("a study of complete runs has no damage, and a truncated last line is not damage", async () => {
  const { states, damage, page } = await collect({});
  assert.deepEqual([states, damage], [["finished", "finished"], []]);
  assert.doesNotMatch(page, /Damaged/);
  assert.equal(page.match(/alt="original/g)?.length, 4);
});

const without = (name: keyof typeof SUMMARY) => JSON.stringify({ ...SUMMARY, [name]: undefined });
const tested = (test: object) => JSON.stringify({ ...SUMMARY, test: { ...SUMMARY.test, ...test } });

Deno.test("a run with a broken summary or failure file is shown as damaged, with the file, and the others continue", async () => {
  const broken: Readonly<Record<string, string | null>> = {
    "null": "null",
    "cut short": '{"steps": 2',
    "empty": "",
    "a list": "[]",
    "nested too deeply": "[".repeat(200_000),
    "without steps": without("steps"),
    "without protocols": without("protocols"),
    "of another protocol": tested({ protocol: "constructor" }),
    "with a text for a number": tested({ mse: '"><script>alert(1)</script>' }),
    "with an infinite number": JSON.stringify(SUMMARY).replace("0.5", "1e999"),
    "of images without sides": without("protocols").replace(/}$/, ',"protocols":{"aa":{}}}'),
    "a folder": null,
  };
  for (const [why, content] of Object.entries(broken)) {
    const { states, damage, page, table } = await collect({ "summary.json": content });
    assert.deepEqual(states, ["damaged", "finished"], why);
    assert.equal(damage.length, 1, why);
    assert.match(
      damage[0],
      /^quantizer\.codebookSize 8, seed 42: damaged: Cannot read OUT\/runs\/\w+\/summary\.json: it must /,
    );
    assert.match(page, /<h2>Damaged<\/h2>.*\n<p>quantizer\.codebookSize 8, seed 42: <code>Cannot/);
    assert.match(table, /^Damaged: quantizer\.codebookSize 8, seed 42 \(\w+\): Cannot read .*$/m);
    assert.match(table, /^\| 16 +\| 100\.0/m);
  }
  const { "summary.json": _, ...rest } = FILES;
  await withStudy(rest, async (out) => {
    const { records: [{ folder }] } = await collectStudy(out);
    await Deno.remove(`${folder}/summary.json`);
    await Deno.writeTextFile(`${folder}/failure.json`, '{"reason": 3}');
    const { records } = await collectStudy(out);
    assert.equal(records[0].state, "damaged");
    assert.match(records[0].failure!, /failure\.json: it must hold why a run failed, got /);
  });
});

Deno.test("a run with broken counts or records keeps its numbers, and the page names the file", async () => {
  const broken: Readonly<Record<string, readonly (string | null)[]>> = {
    "counts.json": ["", "null", "{}", "[]", "[0,0]", '["<script>"]', "[1e999]", "[-1]", null],
    "metrics.jsonl": [
      "\n",
      "null\n",
      "{}\n",
      '{"step":1\n{"step":2}\n',
      '{"step":"1"}\n',
      '{"step":1,"test":{"protocol":{"toString":1}}}\n',
      null,
    ],
  };
  for (const [name, contents] of Object.entries(broken)) {
    for (const content of contents) {
      const { states, damage, page } = await collect({ [name]: content });
      assert.deepEqual(states, ["finished", "finished"]);
      assert.equal(damage.length, 1, `${name} of ${content}`);
      assert.match(
        damage[0],
        new RegExp(`^.* 8, seed 42: damaged: Cannot read OUT/.*/${name}: it`),
      );
      assert.match(page, /<h2>Damaged<\/h2>/);
      assert.match(page, /<dd>2 of 2<\/dd>/);
    }
  }
});

/** The picture with other bytes from a place on. */
function changedAt(at: number, bytes: readonly number[]): Uint8Array {
  const changed = PICTURE.slice();
  changed.set(bytes, at);
  return changed;
}

/** A picture of the right size whose data inflate to far more than it has. */
function bomb(): Uint8Array {
  const size = { width: 388, height: 20_000, channels: 1 };
  const bytes = encode({ ...size, data: new Uint8Array(size.width * size.height) });
  bytes.set(PICTURE.subarray(16, 24), 16); // Its width and height.
  return bytes;
}

Deno.test("a run with a broken picture keeps everything else, and the page names the file", async () => {
  const other = drawSampleGrid({
    ...{ originals: images, reconstructions: images, imageShape: [4, 4, 1] },
  });
  const broken: readonly (readonly [string, string | Uint8Array | null, RegExp])[] = [
    ["empty", "", /it must be a PNG, got another kind/],
    ["a text", "<script>alert(1)</script>", /it must be a PNG, got another kind/],
    ["of another signature", changedAt(1, [0x51]), /it must be a PNG, got another kind/],
    ["cut short", PICTURE.slice(0, PICTURE.length / 2), /it must be whole, got a truncated one/],
    ["without an end", PICTURE.slice(0, -12), /it must be whole, got a truncated one/],
    [
      "absurdly wide",
      changedAt(16, [0x7f, 255, 255, 255]),
      /it must have \d+×\d+ pixels, got 2147483647×/,
    ],
    ["of 16 bits", changedAt(24, [16]), /8 bits, grey or RGB, in one pass/],
    ["with a palette", changedAt(25, [3]), /8 bits, grey or RGB, in one pass/],
    ["of other images", other, /4 images of \[2, 2, 1\] in a grid: it must have/],
    ["of broken data", changedAt(41, [0, 0, 0, 0]), /its pixels must unpack to \d+ bytes/],
    ["a bomb", bomb(), /its pixels must unpack to \d+ bytes/],
    ["a folder", null, /must be a regular file/],
  ];
  for (const [why, content, message] of broken) {
    const { states, damage, page } = await collect({ "samples/epoch-001.png": content });
    assert.deepEqual(states, ["finished", "finished"], why);
    assert.equal(damage.length, 1, why);
    assert.match(damage[0], /Cannot read OUT\/runs\/\w+\/samples\/epoch-001\.png: it must be /);
    assert.match(damage[0], message);
    assert.equal(page.match(/alt="quantizer\.codebookSize 8 1"/g), null);
    assert.equal(page.match(/alt="quantizer\.codebookSize 16 1"/g)?.length, 1, "the other's stay");
    assert.equal(
      page.match(/<div class="histograms">(.*?)<\/section>/s)![1].split("<figure").length,
      3,
    );
  }
});

Deno.test("a picture with any changed bytes is either shown or reported by name", async () => {
  await withStudy({}, async (out) => {
    const { records: [{ folder }] } = await collectStudy(out);
    const run = new RunFolder(folder), path = `${folder}/samples/epoch-001.png`;
    const edit = fc.tuple(fc.nat(PICTURE.length - 1), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
        const bytes = PICTURE.slice();
        for (const [at, value] of edits) bytes[at] = value;
        await Deno.writeFile(path, bytes);
        const read = await run.lastSamples(4, [2, 2, 1]).catch((error: Error) => {
          assert.equal(error.name, "DamagedFileError");
          assert.ok(error.message.startsWith(`Cannot read ${path}: it must be the picture`));
        });
        if (read) assert.equal(read.originals.length, 16);
      }),
      { numRuns: 300 },
    );
  });
});

Deno.test("collecting continues whatever JSON a summary contains", async () => {
  const leaf = fc.constantFrom<unknown>(null, true, -1, 1e308, "", "<b>", "aa", [], {}, [1, 2, 3]);
  const places = ["steps", "device", "imagesPerSecond", "protocols", "test"] as const;
  await withStudy({}, async (out) => {
    const { records: [{ folder }] } = await collectStudy(out);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<readonly string[]>(
          [],
          ...places.map((place) => [place]),
          ...Object.keys(SUMMARY.test).map((name) => ["test", name]),
          ...Object.keys(PROTOCOL).map((name) => ["protocols", "aa", name]),
        ),
        leaf,
        async (path, value) => {
          const changed = replaced(SUMMARY, path, value);
          await Deno.writeTextFile(`${folder}/summary.json`, JSON.stringify(changed) ?? "");
          const { records } = await collectStudy(out);
          assert.equal(records[1].state, "finished");
          assert.ok(["finished", "damaged"].includes(records[0].state));
        },
      ),
      { numRuns: 60 },
    );
  });
});

/** A value with another at a path within it. */
function replaced(whole: unknown, [name, ...rest]: readonly string[], value: unknown): unknown {
  if (name === undefined) return value;
  const record = whole as Readonly<Record<string, unknown>>;
  return { ...record, [name]: replaced(record[name], rest, value) };
}

Deno.test("an invalid plan is rejected with the position of the error, and nothing is written", async () => {
  await withStudy({}, async (out) => {
    const path = `${out}/plan.json`, plan = JSON.parse(await Deno.readTextFile(path));
    const first = plan.runs[0];
    const refusals: readonly (readonly [unknown, RegExp])[] = [
      [null, /expected object.*at its top/],
      [{ ...plan, study: 3 }, /it must be an object with a name and axes, got 3/],
      [{ ...plan, runs: null }, /at runs$/],
      ...([
        [{ seed: '"><img src=q onerror=alert(1)>' }, /at runs\.0\.seed$/],
        [{ seed: 1e999 }, /at runs\.0\.seed$/],
        [{ hash: "../../elsewhere" }, /must be 12 hexadecimal digits" at runs\.0\.hash$/],
        [{ point: { "<b>": 1 } }, /other axes than the study's at runs\.0\.point$/],
        [
          { point: { "quantizer.codebookSize": {} } },
          /at runs\.0\.point\.quantizer\.codebookSize$/,
        ],
        [
          { config: { training: { batchSize: "<b>" } } },
          /at runs\.0\.config\.training\.batchSize$/,
        ],
      ] as const).map(([changed, message]) =>
        [{ ...plan, runs: [{ ...first, ...changed }] }, message] as const
      ),
    ];
    const before = [...Deno.readDirSync(out)].map(({ name }) => name).sort();
    for (const [given, message] of refusals) {
      await Deno.writeTextFile(path, JSON.stringify(given));
      await assert.rejects(collectStudy(out), (error: Error) => {
        assert.match(
          error.message,
          /^Cannot collect .*: it must be the folder of a study, .* got /,
        );
        assert.match(error.message, message);
        return error instanceof RangeError;
      });
    }
    assert.deepEqual([...Deno.readDirSync(out)].map(({ name }) => name).sort(), before);
  });
});
