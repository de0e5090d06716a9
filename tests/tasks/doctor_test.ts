import assert from "node:assert/strict";
import { findMpi } from "../../training/distributed/mpi_library.ts";
import { folderForTests, lastLine, runTask } from "./child.ts";

Deno.test("doctor lists every device, the libraries, and the choice of auto", async () => {
  const { code, stdout, stderr } = await runTask("doctor", ["--json"]);
  assert.equal(code, 0, stderr);
  const { deno, devices, auto, cores, blas, dnn, mpi } = lastLine(stdout);
  assert.equal(deno, Deno.version.deno);
  assert.equal(cores, navigator.hardwareConcurrency);
  const found = devices as {
    name: string;
    description: string;
    available: boolean;
    adapter?: { limits: object };
  }[];
  assert.deepEqual(found.map(({ name }) => name).sort(), ["cpu", "reference", "webgpu"]);
  assert.ok(found.some(({ name, available }) => name === auto && available));
  const cpu = found.find(({ name }) => name === "cpu");
  const [products, convolutions] = [blas, dnn].map((by) => by as string | null);
  assert.equal(
    cpu?.description.replace(/^.*? threads?/, ""),
    (products === null ? "" : `, products by ${products}`) +
      (convolutions === null ? "" : `, convolutions by ${convolutions}`),
  );
  assert.equal(mpi === null, findMpi() === undefined);
  const webgpu = found.find(({ name }) => name === "webgpu");
  if (webgpu?.available) {
    assert.ok(Object.keys(webgpu.adapter?.limits ?? {}).length > 0);
    assert.match(webgpu.description, /, (no subgroups|subgroups of \d+)/);
  }
});

Deno.test("every task lists its flags with --help", async () => {
  const helps = await Promise.all(
    ["train", "evaluate", "doctor"].map((t) => runTask(t, ["--help"])),
  );
  const flags = [["--training.epochs <an integer of at least 1>, default 10"], ["RUN"], ["--json"]];
  helps.forEach(({ code, stdout }, task) => {
    assert.equal(code, 0);
    for (const flag of [...flags[task], "--json", "--help"]) assert.ok(stdout.includes(flag), flag);
  });
});

Deno.test("doctor --plan shows what a preset, a run or a settings file needs, and whether the device has it", async () => {
  const folder = folderForTests(), file = `${folder}/settings.json`;
  Deno.writeTextFileSync(file, JSON.stringify({ preset: "digits", model: { hidden: 32 } }));
  const plan = async (source: string, ...flags: readonly string[]) => {
    const { code, stdout, stderr } = await runTask("doctor", [
      ...["--plan", source, "--device", "cpu", "--json", ...flags],
    ]);
    return { code, stderr, result: code > 1 ? {} : lastLine(stdout) };
  };
  const [large, run, settings] = await Promise.all([
    plan("vqgan-f16", "--data.name", "ffhq", "--batch", "1,12"),
    plan("tests/fixtures/run-before-objectives"),
    plan(file, "--training.accumulate", "2"),
  ]);
  assert.equal(large.code, 1, "its own batch of 12 does not fit 4 GiB");
  type Steps = readonly { batch: number; recompute: boolean; fits: string; peakBytes: number }[];
  const steps = large.result.steps as Steps;
  assert.deepEqual(steps.map(({ batch, recompute, fits }) => [batch, recompute, fits]), [
    [1, false, "yes"],
    [1, true, "yes"],
    [12, false, "no"],
    [12, true, "no"],
  ]);
  assert.equal(large.result.parameters, 74_907_332);
  assert.equal(run.code, 0);
  assert.deepEqual(run.result.imageShape, [28, 28, 1]);
  assert.equal(settings.code, 0);
  assert.equal((settings.result.steps as Steps)[0].batch, 2, "batches that the parts divide");

  const refusals: [string[], RegExp][] = [
    [
      ["--plan", "vqgan-f17"],
      /preset must name a preset, got "vqgan-f17", did you mean vqgan-f16\?/,
    ],
    [["--batch", "4"], /--plan must name a configuration, got none beside --batch/],
    [
      ["--plan", "vqgan-small", "--model.attnResolutions", "7"],
      /must be among .* 32, 16, 8, got 7/,
    ],
    [["--plan", "gpt"], /stage1 must be the folder of a finished run/],
  ];
  await Promise.all(refusals.map(async ([flags, message]) => {
    const { code, stderr } = await runTask("doctor", flags);
    assert.equal(code, 2);
    assert.match(stderr, message);
  }));
});
