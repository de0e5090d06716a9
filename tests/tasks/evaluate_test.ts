import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { readCheckpoint, saveCheckpoint } from "../../training/checkpoint.ts";
import { folderForTests, lastLine, runTask, snapshot, TINY } from "./child.ts";

const folder = folderForTests();
const run = `${folder}/run`;
const last = `${run}/checkpoints/last.safetensors`;
const FOREIGN = fileURLToPath(
  new URL("../fixtures/quantizer-l2-none.safetensors", import.meta.url),
);

/** The device cpu with its own kernels alone. */
const PORTABLE = ["--device", "cpu", "--cpu.blas", "off", "--cpu.dnn", "off"] as const;

Deno.test("evaluate reproduces the run's final numbers", async () => {
  const trained = await runTask("train", [
    ...[...TINY, ...PORTABLE, "--out", run, "--json"],
  ]);
  assert.equal(trained.code, 0, trained.stderr);
  const { code, stdout, stderr } = await runTask("evaluate", [
    ...[run, ...PORTABLE, "--json", "--report", "false"],
  ]);
  assert.equal(code, 0, stderr);
  const { run: of, checkpoint, device, codebook, measurements, unmeasured, protocols, ...numbers } =
    lastLine(stdout);
  assert.deepEqual(numbers, lastLine(trained.stdout).test);
  assert.ok(codebook && measurements && protocols);
  assert.deepEqual(unmeasured, []);
  assert.deepEqual([of, checkpoint], [run, last]);
  assert.match(String(device), /^cpu/);
});

Deno.test("evaluate accepts the best checkpoint or a file, and prints readable output", async () => {
  const evaluated = ["best", last].map((checkpoint) =>
    runTask("evaluate", [
      ...[run, "--checkpoint", checkpoint, "--device", "cpu", "--report=false"],
    ])
  );
  for (const { code, stdout, stderr } of await Promise.all(evaluated)) {
    assert.equal(code, 0, stderr);
    for (const name of ["mse", "PSNR", "usage", "perplexity"]) {
      assert.match(stdout, new RegExp(`^${name} +\\d`, "m"));
    }
  }
});

Deno.test("a run is measured as far as possible, and the report and the exit code show what is missing", async () => {
  const { code, stdout, stderr } = await runTask("evaluate", [
    ...[run, "--device", "cpu", "--limit", "8", "--metrics", "ms-ssim,mse,fid,digit-fid,psnr"],
  ]);
  assert.equal(code, 2, stderr);
  assert.match(stdout, /^continuing without fid$/m);
  assert.match(stdout, /^mse +\d\S+ {2}\(unclipped\)$/m);
  assert.match(stdout, /^mse, clipped +\d/m);
  assert.match(stdout, /^PSNR \(dB\), clipped +\d/m);
  assert.match(stdout, /^ms-ssim +not measured: .* at least 161, got 28×28$/m);
  assert.match(
    stdout,
    /^FID \(digit features\) +\S+ {2}\(.*; with 8 images and 64 features a covariance is singular/m,
  );
  assert.match(stdout, /^KID \(digit features\) +\S+ {2}\(/m);
  assert.match(stderr, /^Cannot measure MS-SSIM: .* at least 161, got 28×28$/m);
  const names = [...stdout.matchAll(/^(\S.*?) {2,}-?\d/gm)].map(([, name]) => name);
  assert.equal(new Set(names).size, names.length, `${names}`);

  const kept = JSON.parse(Deno.readTextFileSync(`${run}/evaluation.json`));
  const missing = kept.unmeasured.map(({ metric }: { metric: string }) => metric).sort();
  assert.deepEqual(missing, ["fid", "kid", "ms-ssim"]);
  const byMetric = Object.fromEntries(
    kept.measurements.map((one: { metric: string }) => [one.metric, one]),
  );
  assert.match(kept.protocols[byMetric["digit-fid"].protocol].caution, /^with 8 images/);
  assert.ok(byMetric.mse.value <= kept.mse * (1 + 1e-6));
  const page = Deno.readTextFileSync(`${run}/report.html`);
  assert.match(page, /<td>ms-ssim<\/td><td class="value">–<\/td><td class="faint">not measured: /);
  assert.match(page, /with 8 images and 64 features a covariance is singular/);
});

Deno.test("a run is evaluated with the precision and the number of threads of its training", async () => {
  const mixed = `${folder}/mixed`;
  Deno.mkdirSync(`${mixed}/checkpoints`, { recursive: true });
  const config = JSON.parse(Deno.readTextFileSync(`${run}/config.json`));
  const changed = { ...config, precision: "mixed", cpu: { ...config.cpu, threads: 1 } };
  Deno.writeTextFileSync(`${mixed}/config.json`, JSON.stringify(changed));
  const { state, identity, carried } = await readCheckpoint(last);
  const path = `${mixed}/checkpoints/last.safetensors`;
  await saveCheckpoint(path, state, { identity: { ...identity, precision: "mixed" }, carried });

  const args = [mixed, "--device", "cpu", "--cpu.blas", "off", "--limit", "4", "--json"];
  const refused = await runTask("evaluate", args);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /with precision mixed: .*--precision float32 measures it/);
  const evaluated = await runTask("evaluate", [...args, "--precision", "float32"]);
  assert.equal(evaluated.code, 0, evaluated.stderr);
  const { device, protocol, protocols } = lastLine(evaluated.stdout) as {
    readonly device: string;
    readonly protocol: string;
    readonly protocols: Readonly<Record<string, { readonly precision: string }>>;
  };
  assert.match(device, /on 1 thread$/);
  assert.equal(protocols[protocol].precision, "float32");
  const more = await runTask("evaluate", [...args, "--precision=float32", "--cpu.threads", "2"]);
  assert.match(String(lastLine(more.stdout).device), /on 2 threads$/);
});

Deno.test("a checkpoint that is missing, truncated, foreign or of another run is rejected", async () => {
  const before = snapshot(run);
  const truncated = `${folder}/truncated.safetensors`;
  Deno.writeFileSync(truncated, Deno.readFileSync(last).subarray(0, 5000));
  const garbage = `${folder}/garbage.safetensors`;
  Deno.writeTextFileSync(garbage, "no checkpoint at all");
  const other = `${folder}/other.safetensors`;
  const { state, identity, carried } = await readCheckpoint(last);
  await saveCheckpoint(other, state, { identity: { ...identity, seed: 7 }, carried });

  const cases: [string, RegExp][] = [
    [`${folder}/missing.safetensors`, /the file must exist and be readable, got ENOENT/],
    [truncated, /Cannot read .*truncated\.safetensors: .*, got /],
    [garbage, /Cannot read .*garbage\.safetensors: .*, got /],
    [FOREIGN, /it must be a "codebook checkpoint 1", got .*not named/],
    [other, /^Cannot load .*other\.safetensors: seed must be .* 7, got 42$/m],
  ];
  await Promise.all(cases.map(async ([checkpoint, message]) => {
    const { code, stdout, stderr } = await runTask("evaluate", [run, "--checkpoint", checkpoint]);
    assert.equal(code, 1, checkpoint);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
    assert.equal(stdout, "");
  }));
  assert.deepEqual(snapshot(run), before);
});

Deno.test("train does not resume from a truncated checkpoint, and does not modify it", async () => {
  Deno.writeFileSync(last, Deno.readFileSync(last).subarray(0, 5000));
  const before = snapshot(run);
  const { code, stderr } = await runTask("train", ["--out", run, "--resume"]);
  assert.equal(code, 1);
  assert.match(stderr, /^Cannot read .*last\.safetensors: .*, got .*$/m);
  assert.deepEqual(snapshot(run), before);
});
