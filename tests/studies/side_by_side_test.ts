import assert from "node:assert/strict";
import { readComparedRuns } from "../../studies/side_by_side.ts";
import { drawSideBySide } from "../../studies/side_by_side_page.ts";
import { resolveConfig } from "../../training/resolve.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { withFolder } from "../training/tiny.ts";

const protocolOf = (images: number) => ({
  ...{ dataset: "waves", split: "test", images, imageShape: [8, 8, 1], valueRange: [-1, 1] },
  metrics: { mse: "m", psnr: "p", usage: "u", perplexity: "p" },
});

/** Leaves the files of a run that was trained and measured, without weights. */
async function leaveRun(path: string, codebookSize: number, protocol: string): Promise<void> {
  const config = resolveConfig({ flags: { quantizer: { codebookSize }, out: path } });
  const folder = new RunFolder(path);
  await folder.begin(0);
  await folder.writeConfig(config);
  const test = { mse: 1 / codebookSize, psnr: 12, usage: 0.5, perplexity: 2, protocol };
  await folder.log({ kind: "step", step: 1, loss: codebookSize });
  await folder.log({ kind: "epoch", step: 1, test });
  await folder.writeSummary({
    ...{ steps: 1, device: "cpu", test, imagesPerSecond: 10 },
    protocols: { [protocol]: protocolOf(protocol === "aa" ? 6 : 7) },
  });
  const measurements = [
    { name: "SSIM", value: codebookSize / 100, decimals: 2, better: "higher", protocol },
  ];
  await folder.writeEvaluation({ measurements }, "");
}

Deno.test("runs are compared side by side with their differences, and apart if their protocols differ", () =>
  withFolder(async (path) => {
    const paths = ["small", "large", "other"].map((name) => `${path}/${name}`);
    await leaveRun(paths[0], 8, "aa");
    await leaveRun(paths[1], 64, "aa");
    await leaveRun(paths[2], 64, "bb");
    const page = drawSideBySide(await readComparedRuns(paths));
    assert.match(
      page,
      /<td>quantizer\.codebookSize<\/td><td class="value">8<\/td><td class="value">64</,
    );
    assert.doesNotMatch(page, /<td>(quantizer\.codebookDim|out)</, "only what differs");
    assert.equal(page.match(/<article>/g)?.length, 2, "a part a protocol");
    assert.match(page, /measured by 2 protocols/);
    assert.match(
      page,
      /<code>aa<\/code><\/td><td class="value">0\.08<\/td><td class="value">0\.64<\/td><td class="value">–</,
    );
    assert.match(
      page,
      /<code>bb<\/code><\/td><td class="value">–<\/td><td class="value">–<\/td><td class="value">0\.64</,
    );
    assert.doesNotMatch(page, /(src|href)="(?!data:)|url\(/, "it loads nothing");
    const same = drawSideBySide(await readComparedRuns(paths.slice(0, 2)));
    assert.equal(same.match(/<article>/g)?.length, 1);
    assert.match(same, />2 runs\.</);
  }));

Deno.test("an unfinished run is named, and folders with the same name are shown with their paths", () =>
  withFolder(async (path) => {
    await leaveRun(`${path}/one/run`, 8, "aa");
    const folder = new RunFolder(`${path}/two/run`);
    await folder.writeConfig(resolveConfig());
    const runs = await readComparedRuns([`${path}/one/run`, folder.path]);
    assert.deepEqual(runs.map(({ name }) => name), [`${path}/one/run`, folder.path]);
    assert.match(
      drawSideBySide(runs),
      new RegExp(`<h2>Not finished</h2>.*\n<p>${folder.path}</p>`),
    );
    await Deno.writeTextFile(`${path}/one/run/summary.json`, "{");
    const broken = await readComparedRuns([`${path}/one/run`, folder.path]);
    assert.match(drawSideBySide(broken), /<h2>Damaged<\/h2>/);
  }));

Deno.test("runs that cannot be compared are rejected", () =>
  withFolder(async (path) => {
    await leaveRun(`${path}/run`, 8, "aa");
    const generator = new RunFolder(`${path}/gpt`);
    await generator.writeConfig(resolveConfig({ flags: { preset: "gpt", stage1: `${path}/run` } }));
    const refused = (paths: readonly string[], message: RegExp) =>
      assert.rejects(readComparedRuns(paths), { message });
    await refused([`${path}/run`], /at least two different folders, got \S+run$/);
    await refused([`${path}/run`, `${path}/run/`], /at least two different folders/);
    await refused([`${path}/run`, `${path}/none`], /the folder must hold a run, got none$/);
    await refused([`${path}/run`, generator.path], /of a first stage, got the objective autoregr/);
  }));
