/** Studies' folders that come from elsewhere: files that would run, and files that are damaged. */
import assert from "node:assert/strict";
import { collectStudy } from "../../../training/study/collect_study.ts";
import { PrintLauncher } from "../../../training/study/launchers/print.ts";
import { launchStudy } from "../../../training/study/run_study.ts";
import type { Study } from "../../../training/study/study.ts";
import { showCsv, showMarkdown } from "../../../training/study/tables.ts";
import { drawSampleGrid } from "../../../training/sample_grid.ts";
import { browse, findBrowser } from "../../browser.ts";

const ROOT = Deno.makeTempDirSync({ prefix: "codebook-hostile-" });
Deno.test.afterAll(() => Deno.removeSync(ROOT, { recursive: true }));

const BREAKOUT =
  `"><img src=q onerror="document.title='owned'"><script>document.title='owned'</script>`;
const study: Study = {
  name: "sizes",
  about: BREAKOUT,
  axes: [{ path: "quantizer.codebookSize", values: [8, 16] }],
  seeds: [1],
};

/** A study of two finished runs. */
async function finishedStudy(
  name: string,
): Promise<{ readonly out: string; readonly runs: string[] }> {
  const out = `${ROOT}/${name}`;
  await launchStudy(study, new PrintLauncher(), { out });
  const runs = [...Deno.readDirSync(`${out}/runs`)].map(({ name }) => `${out}/runs/${name}`).sort();
  for (const run of runs) {
    const metrics = { mse: "m", psnr: "p", usage: "u", perplexity: "p" };
    const protocol = {
      ...{ dataset: BREAKOUT, split: "test", images: 8, imageShape: [4, 4, 1] },
      ...{ valueRange: [-1, 1], metrics },
    };
    const test = { mse: 0.5, psnr: 9, usage: 1, perplexity: 2, protocol: "aa" };
    const summary = {
      ...{ steps: 3, device: BREAKOUT, test, imagesPerSecond: 10 },
      protocols: { aa: protocol },
    };
    Deno.writeTextFileSync(`${run}/summary.json`, JSON.stringify(summary));
    const records = [1, 2].map((step) => ({
      ...{ kind: "epoch", step, epoch: step },
      test: { mse: 1 / step, psnr: 1, usage: 1, perplexity: 2, protocol: BREAKOUT },
    }));
    Deno.writeTextFileSync(
      `${run}/metrics.jsonl`,
      records.map((each) => JSON.stringify(each)).join("\n"),
    );
    Deno.writeTextFileSync(`${run}/counts.json`, "[1, 2]");
    Deno.mkdirSync(`${run}/samples`, { recursive: true });
    const originals = new Float32Array(8 * 16);
    const png = drawSampleGrid({ originals, reconstructions: originals, imageShape: [4, 4, 1] });
    Deno.writeFileSync(`${run}/samples/epoch-001.png`, png);
  }
  return { out, runs };
}

const browser = await findBrowser();

if (browser !== undefined) {
  Deno.test("nothing that a study's files say runs in its page, and the page's own script does", async () => {
    const { out } = await finishedStudy("script");
    await collectStudy(out);
    const html = Deno.readTextFileSync(`${out}/study.html`);
    assert.match(
      html,
      /Content-Security-Policy" content="default-src 'none'; .*script-src 'sha256-/,
    );
    const { stdout, stderr } = await browse(browser, `file://${out}/study.html`, ["--dump-dom"]);
    assert.doesNotMatch(stdout, /<title>owned/);
    assert.doesNotMatch(stdout, /<img src="?q/);
    assert.doesNotMatch(stderr, /Content Security Policy/, "the page keeps to its own policy");
    assert.match(stdout, /<button type="button" value="all"/);
  });

  Deno.test("even a script that got into a page does not run", async () => {
    const { out } = await finishedStudy("policy");
    await collectStudy(out);
    const html = Deno.readTextFileSync(`${out}/study.html`)
      .replace("</header>", `</header><script>document.title = "owned"</script>`);
    Deno.writeTextFileSync(`${out}/broken.html`, html);
    const { stdout } = await browse(browser, `file://${out}/broken.html`, ["--dump-dom"]);
    assert.match(stdout, /<title>sizes<\/title>/);
  });
}

Deno.test("a plan whose runs are not what they must be is refused by place", async () => {
  const { out } = await finishedStudy("plan");
  const path = `${out}/plan.json`;
  const plan = JSON.parse(Deno.readTextFileSync(path));
  const wrong = [{ seed: BREAKOUT }, { hash: "../../elsewhere" }, { point: { a: {} } }, {
    config: 3,
  }];
  for (const change of wrong) {
    const runs = [{ ...plan.runs[0], ...change }, plan.runs[1]];
    Deno.writeTextFileSync(path, JSON.stringify({ ...plan, runs }));
    await assert.rejects(collectStudy(out), {
      name: "RangeError",
      message:
        /^Cannot collect .*plan: it must be the folder of a study, with its plan\.json, got /,
    });
  }
});

const damages: readonly (readonly [file: string, content: string | Uint8Array, state: string])[] = [
  ["summary.json", "null", "damaged"],
  ["summary.json", `{"steps": "<b>"}`, "damaged"],
  ["summary.json", "{", "damaged"],
  ["failure.json", "[]", "damaged"],
  ["counts.json", `{"length": 4}`, "finished"],
  ["counts.json", "nothing", "finished"],
  ["samples/epoch-001.png", new Uint8Array(7), "finished"],
  ["samples/epoch-001.png", absurdPng(), "finished"],
];

/** A PNG's beginning that says it is 4 billion pixels wide. */
function absurdPng(): Uint8Array {
  const png = new Uint8Array(33);
  const view = new DataView(png.buffer);
  png.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  view.setUint32(8, 13);
  view.setUint32(12, 0x49484452);
  view.setUint32(16, 0xffffffff);
  view.setUint32(20, 0xffffffff);
  return png;
}

for (const [index, [file, content, state]] of damages.entries()) {
  Deno.test(`a damaged ${file} is named, and the other runs are shown (${index})`, async () => {
    const { out, runs: [run] } = await finishedStudy(`damage-${index}`);
    if (file === "failure.json") Deno.removeSync(`${run}/summary.json`);
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    Deno.writeFileSync(`${run}/${file}`, bytes);
    const { records } = await collectStudy(out);
    const [damaged, intact] = [true, false].map((mine) =>
      records.find(({ folder }) => (folder === run) === mine)!
    );
    assert.deepEqual([damaged.state, intact.state], [state, "finished"]);
    const html = Deno.readTextFileSync(`${out}/study.html`);
    assert.ok(html.includes(`Cannot read ${run}/${file}`), "the page names the file");
  });
}

Deno.test("tables hold no formulas, no cells of their own and no HTML", () => {
  const common = { hash: "0", folder: "0", state: "finished", failure: null, steps: 9 } as const;
  const measured = { usage: 1, perplexity: 2, mse: -1, psnr: 6, secondsPerStep: 0.1 };
  const record = (value: string, seed: number) => ({
    ...{ point: { method: value }, seed, device: "=cpu", protocol: "1f", measured, ...common },
  });
  const records = ["=HYPERLINK(1)", "a | b\nc", "<img>"].map(record);
  const csv = showCsv(records);
  assert.match(csv, /^'=HYPERLINK\(1\),0,/m);
  assert.match(csv, /,'=cpu,/);
  assert.match(csv, /,-1,/, "a negative number is a number");
  const markdown = showMarkdown(
    { ...study, axes: [{ name: "method", values: { a: {} } }] },
    records,
  );
  assert.match(markdown, /\| a \\\| b c +\|/);
  assert.doesNotMatch(markdown, /<img|<script/);
});
