import assert from "node:assert/strict";
import { checkOut, flagsBesideFile } from "../../training/origins.ts";
import { resolveConfig } from "../../training/resolve.ts";
import { planRuns } from "../../studies/plan.ts";

const LIBRARY = "/tmp/evil.so", ADDRESS = "https://example.org/{00..03}.tar";

/** Settings that count from the command line alone, by how they are named. */
const RESTRICTED: readonly (readonly [path: string, settings: object, value: string])[] = [
  ["cpu.blas", { cpu: { blas: LIBRARY } }, LIBRARY],
  ["cpu.blas", { cpu: { blas: "libevil.so" } }, "libevil.so"],
  ["cpu.blas", { cpu: { blas: "AUTO" } }, "AUTO"],
  ["cpu.dnn", { cpu: { dnn: LIBRARY } }, LIBRARY],
  ["data.train", { data: { name: "webdataset", train: ADDRESS } }, ADDRESS],
  ["data.test", { data: { name: "parquet", test: `a, ${ADDRESS}` } }, `a, ${ADDRESS}`],
  ["data.train", { data: { name: "webdataset", train: "a,//host/b" } }, "a,//host/b"],
  ["data.path", { data: { name: "image-folder", path: "\\\\host\\share" } }, "\\\\host\\share"],
  ["data.root", { data: { name: "mnist", root: "//host/share" } }, "//host/share"],
];

const refusal = (made: () => unknown): string => {
  try {
    made();
  } catch (error) {
    assert.ok(error instanceof RangeError, String(error));
    return error.message;
  }
  assert.fail("it must be refused");
};

Deno.test("settings that would run code or connect are rejected by name in a saved configuration and in a file", () => {
  for (const [path, settings, value] of RESTRICTED) {
    for (const sources of [{ saved: settings }, { file: settings }]) {
      const message = refusal(() => resolveConfig(sources));
      assert.match(message, new RegExp(`: ${path} must be .* if it comes from a file, `));
      assert.ok(message.includes(`got ${JSON.stringify(value)}; `), message);
      assert.ok(message.endsWith(`give --${path} on the command line`), message);
    }
  }
});

Deno.test("the command line may set them, and overrides a file", () => {
  for (const [path, settings, value] of RESTRICTED) {
    const config = resolveConfig({ flags: settings });
    assert.deepEqual(resolveConfig({ saved: config, flags: settings }), config);
    assert.deepEqual(flagsBesideFile(config), [`--${path}=${value}`]);
  }
  const { cpu } = resolveConfig({
    saved: { cpu: { blas: LIBRARY } },
    flags: { cpu: { blas: "off" } },
  });
  assert.equal(cpu.blas, "off");
});

Deno.test("a file may contain everything else, including auto, off and local paths", () => {
  const settings = [
    { cpu: { blas: "auto", dnn: "off" } },
    { cpu: { blas: "off", dnn: "auto", threads: 2 } },
    { data: { name: "image-folder", path: "/data/pictures" } },
    { data: { name: "mnist", root: "data" } },
    { data: { name: "webdataset", train: "/data/{00..41}.tar,more", test: "test.tar" } },
  ];
  for (const file of settings) {
    const config = resolveConfig({ file });
    assert.deepEqual(resolveConfig({ saved: config }), config);
    assert.deepEqual(flagsBesideFile(config), []);
  }
});

Deno.test("a study cannot set them either, but the settings beside it can", async () => {
  const place = { out: "runs/study" };
  const axes = [{ path: "seed", values: [1] }];
  const codes = [{ path: "quantizer.codebookSize", values: [8, 16] }];
  const blas = { cpu: { blas: LIBRARY } };
  const studies = [
    { name: "base", base: blas, axes: codes },
    { name: "axis", axes: [{ path: "cpu.blas", values: [LIBRARY] }] },
    { name: "points", axes: [{ name: "which", values: { evil: blas } }] },
    { name: "scale", axes: codes, scales: { small: { settings: blas } } },
  ];
  for (const study of studies) {
    await assert.rejects(planRuns(study, place), {
      name: "RangeError",
      message:
        /^Cannot plan the study \w+: in the run .*, cpu\.blas must be auto or off if it comes from a file/,
    });
  }
  await assert.rejects(planRuns({ name: "seeds", axes }, place), /seed must not be set/);
  const runs = await planRuns({ name: "sizes", axes: codes }, { ...place, settings: blas });
  assert.deepEqual(runs.map(({ config }) => config.cpu.blas), [LIBRARY, LIBRARY]);
});

Deno.test("a file can name a run's folder only inside the working folder", () => {
  for (const out of ["runs/digits", "runs/../other", "..dots", "a\nb"]) checkOut(out);
  for (const out of ["/tmp/run", "..", "../run", "runs/../../run", "./../run"]) {
    assert.match(
      refusal(() => checkOut(out)),
      /: out must be within the working folder if it comes from a file/,
    );
  }
});
